"""Repeats one chain of the released EDE with ours, to the last prediction.

    python -m benchmarks.parity --out FOLDER

cuts the 24 speakers of ravdess-16k as for the golden chain and trains EDE with `compat: reference` from the initial
weights and in the order of clips that the released code drew (6 sessions of 4 classes, one epoch, then 20 each). All
else is computed: front end, networks, training, exemplars, prototypes, scores. Prints the number of equal predictions
by head and session (docs/parity.md).
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from datasets.benchmark.protocol import ClassClips, Session
from datasets.corpora.librispeech import LibriSpeech, LibriSpeechOptions
from datasets.utils.cli import as_program
from orchestrator.reporting.markdown import table
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.methods.ede import EDE, EDESettings
from trainables.networks.backbones.backbone import SpecialisedPart, TokenBackbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.classifier import restored_linear
from trainables.networks.original_ast import convert_block
from trainables.networks.specs import BackboneSpec, ClipFormat, FrontEndSpec
from trainables.store.arrays import ArrayStore

CUT = LibriSpeechOptions(split="cyclic", train=7, val=0, test=3, loudness=False)
EPOCHS = {"base_epochs": 1, "incremental_epochs": 20}
SETTINGS = EDESettings.model_validate({"compat": "reference", **EPOCHS})
WAY = 4


class GoldenChain:
    """What the released code drew and predicted.

    Args:
        golden: folder of `exact_chain.json` and `exact_chain.safetensors`.

    Attributes:
        sessions: of each session `train`, `orders`, `exemplars`, `test` (clips by name) and the predictions by head.
        tensors: initial weights.
    """

    def __init__(self, golden: Path) -> None:
        self.sessions: list[dict[str, Any]] = json.loads((golden / "exact_chain.json").read_text())["sessions"]
        self.tensors = load_file(golden / "exact_chain.safetensors")

    def first_part(self, backbone: TokenBackbone) -> SpecialisedPart:
        """S_0 before training."""
        part = backbone.new_part()
        part.block.load_state_dict(convert_block(self._under("s0.part.last_block.")))
        part.norm.load_state_dict(self._under("s0.part.norm."))
        return part

    def head(self, session: int) -> nn.Linear:
        """The linear head before the training of a session."""
        return restored_linear(self._under(f"s{session}.fc."), torch.device("cpu"))

    def auxiliary_head(self, session: int) -> nn.Linear:
        """The auxiliary head before the training of a session; the base session has none."""
        return restored_linear(self._under(f"s{session}.aux."), torch.device("cpu"))

    def orders(self, session: int, clips: "Speakers") -> list[list[tuple[int, ...]]]:
        """By epoch, the positions of the clips of each batch."""
        return [[clips.positions(batch) for batch in epoch] for epoch in self.sessions[session]["orders"]]

    def _under(self, prefix: str) -> dict[str, Tensor]:
        """Tensors whose names begin with a prefix, by the rest of their names."""
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}


class Speakers:
    """Clips of ravdess-16k by name: `4_17` is the 18th clip of speaker 4.

    Attributes:
        names: by position, speakers and clips in the order of their numbers.
        splits: by position.
    """

    sample_rate = CUT.sample_rate
    num_samples = CUT.num_samples
    fingerprint = "ravdess-16k"
    class_names = tuple(str(number) for number in range(1, 25))

    def __init__(self, source: Path) -> None:
        corpus = LibriSpeech()
        plan = corpus.plan(source, corpus.inventory(source, CUT), CUT)
        clips: dict[str, tuple[str, np.ndarray]] = {}
        for unit in plan.units:
            for clip in corpus.cut(source, unit, CUT):
                assert not hasattr(clip, "reason"), clip
                clips[clip.clip_id] = (clip.split, clip.samples.copy())
        self.names = sorted(clips, key=_numbers)
        self.splits = [clips[name][0] for name in self.names]
        self._samples = [clips[name][1] for name in self.names]
        self._positions = {name: position for position, name in enumerate(self.names)}

    def positions(self, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of clips."""
        return tuple(self._positions[name] for name in names)

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """`[clips, samples]`, float32 in [-1, 1]."""
        return np.stack([self._samples[position] for position in positions])

    def session(self, index: int, golden: dict[str, Any]) -> Session:
        """A session with the clips of the golden chain; label 0 is speaker 1."""
        classes = []
        for label in range(WAY * index, WAY * (index + 1)):
            own = [name for name in self.names if _numbers(name)[0] == label + 1]
            pool = [name for name in own if self.splits[self._positions[name]] == "train"]
            support = self.positions([name for name in golden["train"] if _numbers(name)[0] == label + 1])
            query = self.positions([name for name in golden["test"] if _numbers(name)[0] == label + 1])
            classes.append(ClassClips(label, support, self.positions(pool), (), query))
        return Session(index, tuple(classes))


class RepeatedEDE(EDE):
    """EDE with the initial weights and the orders of clips of the golden chain."""

    def __init__(self, features: Features, chain: GoldenChain, clips: Speakers) -> None:
        super().__init__(SETTINGS, features)
        self._chain, self._clips = chain, clips

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        head, orders = self._chain.head(session.index), self._orders(session)
        if session.index == 0:
            self.train_base(session, self._chain.first_part(self.features.token_backbone), head, generator, orders)
        else:
            self.train_increment(session, head, self._chain.auxiliary_head(session.index), generator, orders)
        self.store_classes(session)

    def _orders(self, session: Session) -> list[list[int]]:
        groups, _ = self.exemplars.with_support(session)
        rows = {position: row for row, position in enumerate(p for group in groups for p in group)}
        return [[rows[p] for batch in epoch for p in batch] for epoch in self._chain.orders(session.index, self._clips)]


def golden_sessions(chain: GoldenChain, clips: Speakers) -> list[Session]:
    """All sessions of the golden chain."""
    return [clips.session(index, golden) for index, golden in enumerate(chain.sessions)]


def load_golden_backbone(shared: Path) -> TokenBackbone:
    """The AST that the golden chain was made with, and the released front end."""
    spec = BackboneSpec(str(shared / "golden" / "ast-tiny-original.safetensors"), FrontEndSpec(kind="reference"))
    backbone = load_backbone(spec, ClipFormat(CUT.sample_rate, CUT.num_samples))
    assert isinstance(backbone, TokenBackbone)
    return backbone


def score_test_clips(learner: Learner, sessions: Sequence[Session]) -> dict[str, Tensor]:
    """Scores by head of the test clips of some sessions, class by class: `[clips, classes]`."""
    scores = [learner.score(of_class.query) for session in sessions for of_class in session.classes]
    return {head: torch.cat([by_head[head] for by_head in scores]) for head in learner.heads}


def repeat(shared: Path, store: Path) -> list[dict[str, tuple[int, int]]]:
    """Repeats the golden chain.

    Args:
        shared: folder of the shared recordings.
        store: folder for outputs of frozen networks.

    Returns:
        By session, for `exemplars` and every head: how many are equal to the released code's, and of how many.
    """
    torch.set_num_threads(1)
    chain, clips = GoldenChain(shared / "golden"), Speakers(shared / "corpora" / "ravdess-16k")
    backbone = load_golden_backbone(shared)
    learner = RepeatedEDE(Features(clips, backbone.frontend, backbone, ArrayStore(store)), chain, clips)
    sessions = golden_sessions(chain, clips)
    result = []
    for session in sessions:
        learner.learn(session, torch.Generator())
        scores = score_test_clips(learner, sessions[: session.index + 1])
        exemplars = [position for group in learner.exemplars.groups for position in group]
        result.append(equal_to_golden(chain, clips, session.index, exemplars, scores))
    return result


def equal_to_golden(
    chain: GoldenChain, clips: Speakers, session: int, exemplars: Sequence[int], scores: dict[str, Tensor]
) -> dict[str, tuple[int, int]]:
    """How many exemplars and predictions of a session are equal to those of the golden chain, and of how many.

    Args:
        chain: the golden chain.
        clips: its clips.
        session: number of the session.
        exemplars: positions of the exemplars after it.
        scores: by head, of the test clips class by class.
    """
    golden = chain.sessions[session]
    expected = clips.positions(golden["exemplars"])
    equal = {"exemplars": (sum(a == b for a, b in zip(exemplars, expected, strict=True)), len(expected))}
    for head, of_head in scores.items():
        predictions = torch.tensor(golden[head])
        equal[head] = (int((of_head.argmax(dim=1) == predictions).sum()), len(predictions))
    return equal


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in name.split("_"))


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.parity`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    sessions = repeat(options.shared, options.out / "features")
    totals = {what: (sum(s[what][0] for s in sessions), sum(s[what][1] for s in sessions)) for what in sessions[0]}
    rows = [
        [name, *(f"{equal} of {count}" for equal, count in row.values())]
        for name, row in [*((str(index), row) for index, row in enumerate(sessions)), ("all", totals)]
    ]
    print(table(["session", *(f">{what}" for what in totals)], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
