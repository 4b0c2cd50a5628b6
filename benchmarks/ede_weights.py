"""What EDE's trained parts add to the pretrained embedding: the prototype head with other weights of the two.

    python -m benchmarks.ede_weights --out FOLDER

FOLDER is that of `benchmarks.method_table`, with EDE's chains, which are not run again. After each session, clips are
scored with w cos of P's part + (1 - w) mean of the cosines of S_0 .. S_t; EDE has w = 0.5, and w = 1 is SimpleCIL. The
table has the difference in AA of other weights to w = 1, paired by seed, with its 95 % t interval.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from benchmarks.method_pages import difference
from benchmarks.method_results import paired
from benchmarks.table_chains import EDE, FIRST, NAMES, Unit
from datasets.benchmark.protocol import classes_present
from datasets.utils.cli import as_program
from datasets.utils.errors import EarshotError
from orchestrator.reporting.markdown import table
from orchestrator.statistics.estimates import estimate
from trainables.chain_inputs import open_features
from trainables.learners.features import Features
from trainables.methods import ede
from trainables.session_chain import Chain
from trainables.store.stages import StageStore

WEIGHTS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
ALONE = 1.0  # P's part, which the others are compared with
SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Similarities:
    """Clips of one class and split after a session.

    Attributes:
        split: of `SPLITS`.
        column: of their class in the scores.
        cosines: of their parts with those of the prototypes, `[clips, classes, 1 + parts]`, P's first.
    """

    split: str
    column: int
    cosines: Tensor

    def correct(self, weight: float) -> Tensor:
        """Which clips are classified correctly: `[clips]`."""
        scores = weight * self.cosines[..., 0] + (1 - weight) * self.cosines[..., 1:].mean(dim=2)
        return scores.argmax(dim=1) == self.column


def learners(chain: Chain, features: Features) -> Iterator[ede.EDE]:
    """EDE after each session of a finished chain, from its stages."""
    store = StageStore(chain.config.store)
    for address in chain.addresses():
        state = store.state(address)
        if state is None:
            raise EarshotError(f"stage {address}: no longer in the store; run benchmarks.method_table again")
        learner = ede.EDE(ede.EDESettings.model_validate(chain.config.settings), features)
        learner.load(state)
        yield learner


def similarities(chain: Chain, learner: ede.EDE, index: int) -> Iterator[Similarities]:
    """The clips of all classes so far, by class and split."""
    dim = learner.features.backbone.dim

    def parts(rows: Tensor) -> Tensor:
        return nn.functional.normalize(rows.float().unflatten(1, (-1, dim)), dim=2)

    prototypes = parts(learner.prototypes)
    for clips in classes_present(chain.sessions[: index + 1]):
        for split, positions in zip(SPLITS, (clips.validation, clips.query), strict=True):
            dual = torch.cat([learner.features.pooled(positions), learner.stack.embed(positions)], dim=1)
            cosines = torch.einsum("npd,cpd->ncp", parts(dual), prototypes)
            yield Similarities(split, learner.classes.index(clips.label), cosines)


def accuracies(chain: Chain, features: Features) -> dict[tuple[str, float], float]:
    """AA of a chain in percent, by split and weight."""
    by_session: dict[tuple[str, float], list[float]] = {}
    for index, learner in enumerate(learners(chain, features)):
        groups = list(similarities(chain, learner, index))
        for split in SPLITS:
            for weight in (*WEIGHTS, ALONE):
                correct = torch.cat([group.correct(weight) for group in groups if group.split == split])
                by_session.setdefault((split, weight), []).append(100 * correct.double().mean().item())
    return {key: sum(values) / len(values) for key, values in by_session.items()}


def rows(corpus: str, chains: Sequence[dict[tuple[str, float], float]]) -> Iterator[list[object]]:
    """The lines of one corpus, a line for each weight."""
    for weight in WEIGHTS:
        gains = [
            estimate(paired([chain[split, weight] for chain in chains], [chain[split, ALONE] for chain in chains]))
            for split in SPLITS
        ]
        yield [corpus, len(chains), f"{weight:g}", *map(difference, gains)]


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.ede_weights`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ede_weights",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of benchmarks.method_table")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--corpus", action="append", choices=list(NAMES), help="may be repeated (default: all)")
    options = parser.parse_args(arguments)
    lines: list[list[object]] = []
    for corpus in options.corpus or NAMES:
        unit = Unit(options.out.resolve(), FIRST, corpus, EDE)
        settings = unit.chosen()
        finished = [seed for seed in range(options.seeds) if settings and unit.scores(settings, seed)]
        if settings is None or not finished:
            print(f"left out: {corpus}: no chains of EDE; run benchmarks.method_table --method {EDE}", file=sys.stderr)
            continue
        features, _ = open_features(unit.config(settings, finished[0]))
        with TemporaryDirectory() as folder:  # where a chain would write; these write nothing
            chain, found = None, []
            for seed in finished:
                chain = Chain(unit.config(settings, seed), Path(folder), chain)
                found.append(accuracies(chain, features))
        lines += rows(corpus, found)
    print(table(["corpus", ">n", ">w", *(f">{split} AA over w = 1" for split in SPLITS)], lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
