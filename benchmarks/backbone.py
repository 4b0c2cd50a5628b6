"""Accuracy of a frozen backbone with prototypes: five shots, 20 draws.

    python -m benchmarks.backbone --out FOLDER                              earshot-tiny on three corpora
    python -m benchmarks.backbone --out FOLDER --backbone pretrained/model  another one
    python -m benchmarks.backbone --out FOLDER --benchmark data/mine        on your own prepared benchmark

    pip install --no-deps resemblyzer==0.1.4                                a speaker encoder trained on real speech
    python -m benchmarks.backbone --out FOLDER --backbone earshot-tiny \\
        --backbone benchmarks/resemblyzer_encoder.py:encoder

prepares ravdess-16k (24 speakers), philharmonia (15 instruments) and demo (25 synthetic sources), clips of 2 s (demo:
1 s) at 16 kHz. All classes are classified at once: the prototype of a class is the mean of five train clips, all test
clips are scored. All rows use the same draws:

    random             the architecture of an AST with random weights
    log-mel mean+std   mean and std over time of the kaldi log-mel, cosine to the class mean (euclidean is worse here)
    mfcc-ncm           the baseline: MFCC mean and std, standardised by the support; nearest class mean, cosine or
                       euclidean, whichever is better on the corpus (the method uses euclidean)
    BACKBONE           its embedding, cosine to the class mean, as simplecil does

The last columns are the paired difference from mfcc-ncm with its 95 % t interval over draws, and the margin over chance
relative to that of mfcc-ncm.
"""

import argparse
import copy
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datasets.benchmark.shards import Shards
from datasets.utils.cli import as_program
from datasets.utils.errors import EarshotError
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.formatting import percent
from orchestrator.reporting.markdown import table
from orchestrator.statistics.estimates import ACCURACY, Estimate, estimate
from trainables.methods.mfcc_ncm import MfccNcmSettings, mfcc_statistics
from trainables.networks.backbones.ast import ASTBackbone
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import BackboneSpec, ClipFormat, FrontEndSpec
from trainables.networks.weights import initialise

BASELINE = "mfcc-ncm"
BATCH = 64
CORPORA: dict[str, tuple[str, dict[str, object]]] = {
    "ravdess-16k": ("librispeech", {"speakers": 24, "train": 60, "val": 20, "test": 20}),
    "philharmonia": ("folder", {"sample_rate": 16_000, "clip_seconds": 2.0}),
    "demo": ("demo", {}),
}


@dataclass(frozen=True)
class Split:
    """Clips of one split.

    Attributes:
        labels: int64 `[clips]`.
        waves: `[clips, samples]` in [-1, 1].
        inputs: normalised kaldi log-mel, `[clips, frames, 128]`.
        mfcc: mean and std of the MFCCs, `[clips, 2 n]`.
    """

    labels: Tensor
    waves: Tensor
    inputs: Tensor
    mfcc: Tensor


def read(shards: Shards, split: str) -> Split:
    """The clips of a split."""
    positions = shards.select(splits=[split])
    frontend = FrontEnd(FrontEndSpec(), shards.sample_rate, shards.manifest.num_samples)
    count = MfccNcmSettings().coefficients
    waves, inputs, mfcc = [], [], []
    for _, audio in shards.batches(positions, BATCH):
        waves.append(torch.from_numpy(audio))
        inputs.append(frontend(waves[-1]))
        mfcc.append(mfcc_statistics(waves[-1], sample_rate=shards.sample_rate, count=count))
    labels = torch.from_numpy(shards.table.labels[positions].astype(np.int64))
    return Split(labels, torch.cat(waves), torch.cat(inputs), torch.cat(mfcc))


def draw(labels: Tensor, shots: int, draws: int) -> list[Tensor]:
    """Positions of the support of each draw, int64 `[classes, shots]`; always the same.

    Raises:
        EarshotError: a class has too few train clips.
    """
    generator = torch.Generator().manual_seed(0)
    by_class = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    fewest = min(map(len, by_class))
    if fewest < shots:
        raise EarshotError(f"expected {shots} train clips of every class, found {fewest}; lower --shots")
    return [
        torch.stack([rows[torch.randperm(len(rows), generator=generator)[:shots]] for rows in by_class])
        for _ in range(draws)
    ]


def accuracies(
    train: Tensor, test: Tensor, labels: Tensor, supports: list[Tensor], *, cosine: bool, standardised: bool = False
) -> np.ndarray:
    """Accuracy of nearest class means for each draw.

    Args:
        train: embeddings of the train clips, `[clips, dim]`.
        test: embeddings of the test clips.
        labels: of the test clips.
        supports: see `draw`.
        cosine: whether similarity is the cosine; else the negative Euclidean distance.
        standardised: whether every dimension is standardised by the support.
    """
    accuracy = []
    for positions in supports:
        support, queries = train[positions], test
        if standardised:
            centre, scale = support.flatten(0, 1).mean(0), support.flatten(0, 1).std(0).clamp_min(1e-6)
            support, queries = (support - centre) / scale, (queries - centre) / scale
        means = support.mean(1)
        if cosine:
            scores = nn.functional.normalize(queries, dim=1) @ nn.functional.normalize(means, dim=1).T
        else:
            scores = -torch.cdist(queries, means)
        accuracy.append(float((scores.argmax(1) == labels).float().mean()))
    return np.array(accuracy)


def embed(backbone: Backbone, split: Split) -> Tensor:
    """Embeddings of the clips of a split, `[clips, dim]`."""
    with torch.inference_mode():
        return torch.cat([backbone.embed(backbone.frontend(part)) for part in split.waves.split(BATCH)])


def random_like(backbone: ASTBackbone) -> ASTBackbone:
    """The same architecture with random weights."""
    other = copy.deepcopy(backbone)
    initialise(other, torch.Generator().manual_seed(0))
    return other


def rows_of(shards: Shards, backbones: list[str], shots: int, draws: int) -> dict[str, np.ndarray]:
    """Accuracies of each draw by name of the embedding, fractions of one."""
    train, test = read(shards, "train"), read(shards, "test")
    supports = draw(train.labels, shots, draws)

    def score(features: Callable[[Split], Tensor], *, cosine: bool = True, standardised: bool = False) -> np.ndarray:
        return accuracies(
            features(train), features(test), test.labels, supports, cosine=cosine, standardised=standardised
        )

    def network(backbone: Backbone) -> np.ndarray:
        return score(lambda split: embed(backbone, split))

    baselines = [score(lambda split: split.mfcc, cosine=cosine, standardised=True) for cosine in (False, True)]
    clips = ClipFormat(shards.sample_rate, shards.manifest.num_samples)
    loaded = {name: load_backbone(BackboneSpec(name), clips) for name in backbones}
    rows = {
        f"random, as {Path(name).name}": network(random_like(backbone))
        for name, backbone in loaded.items()
        if isinstance(backbone, ASTBackbone)
    }
    rows["log-mel mean+std"] = score(lambda split: torch.cat([split.inputs.mean(1), split.inputs.std(1)], 1))
    rows[BASELINE] = max(baselines, key=lambda values: float(values.mean()))
    return rows | {name: network(backbone) for name, backbone in loaded.items()}


def scores_table(rows: dict[str, np.ndarray], chance: float) -> str:
    """Markdown table: accuracy, difference from the baseline, margin over chance relative to the baseline's."""
    header = [
        "embedding",
        ">accuracy %",
        ">95 % interval",
        f">over {BASELINE}",
        ">margin over chance, x the baseline's",
    ]
    baseline = rows[BASELINE]
    cells: list[list[object]] = []
    for name, values in rows.items():
        accuracy = estimate(values, within=ACCURACY)
        margin = (accuracy.mean - chance) / (baseline.mean() - chance)
        difference = "" if name == BASELINE else _points(estimate(values - baseline))
        cells.append(
            [
                name,
                percent(accuracy.mean),
                f"{percent(accuracy.low)} to {percent(accuracy.high)}",
                difference,
                f"{margin:.2f}",
            ]
        )
    return table(header, cells)


def _points(value: Estimate) -> str:
    """A paired difference in points with its interval: '+3.1 (1.0 to 5.2)'."""
    return f"{100 * value.mean:+.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})"


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.backbone`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backbone", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True, help="folder for the prepared corpora")
    parser.add_argument(
        "--benchmark", action="append", default=[], help="prepared benchmark instead of the corpora; may be repeated"
    )
    parser.add_argument(
        "--backbone", action="append", default=[], help="backbone; may be repeated (default: earshot-tiny)"
    )
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name, (corpus, settings) in CORPORA.items() if not options.benchmark else ():
        source = None if corpus == "demo" else options.shared / "corpora" / name
        prepare(corpus, source, options.out / name, settings)
    for place in options.benchmark or [options.out / name for name in CORPORA]:
        shards = Shards(place)
        classes = len(shards.table.class_names)
        rows = rows_of(shards, options.backbone or ["earshot-tiny"], options.shots, options.draws)
        print(f"\n### {shards.manifest.name}: {classes} classes, chance {100 / classes:.1f} %\n")
        print(scores_table(rows, 1 / classes), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
