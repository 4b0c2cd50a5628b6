"""A chain of EDE against our own plain writing of the released procedure: CPU seconds.

    python -m benchmarks.ede_chain --out FOLDER

The chain of docs/parity.md: 24 speakers, 6 sessions of 4 classes, 5 shots, one base epoch and 20 epochs a session, the
small AST of the golden chain, one thread. Three ways in one process, one after another:

    plain       `benchmarks.released_ede`, with the draws of the golden chain
    reference   EDE with `compat: reference` and the same draws
    default     EDE with its default settings and draws of its own

Counted are learning and scoring, with everything that they compute from waveforms in memory; imports, decoding and
loading the backbone are not. The first two predict what the released code predicted, so their equal predictions are
printed; the default is another procedure (docs/parity.md).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.parity import (
    EPOCHS,
    GoldenChain,
    RepeatedEDE,
    Speakers,
    equal_to_golden,
    golden_sessions,
    load_golden_backbone,
    score_test_clips,
)
from benchmarks.released_ede import ReleasedEDE
from datasets.benchmark.protocol import Session
from datasets.utils.cli import as_program
from orchestrator.reporting.markdown import table
from trainables.learners.features import Features
from trainables.methods.ede import EDE, EDESettings
from trainables.networks.backbones.backbone import TokenBackbone
from trainables.store.arrays import ArrayStore

Step = Callable[[Session, Sequence[Session]], tuple[Sequence[int], dict[str, Tensor]]]
"""Learns a session and scores the test clips of the sessions so far: exemplars, and scores by head."""


@dataclass(frozen=True)
class Result:
    """A chain that ran.

    Attributes:
        cpu_seconds: of each session.
        equal: predictions and exemplars that are those of the released code.
        count: of how many.
    """

    cpu_seconds: tuple[float, ...]
    equal: int
    count: int

    @property
    def total(self) -> float:
        """CPU seconds of the chain."""
        return sum(self.cpu_seconds)


class Ways:
    """The ways to compute the chain, by name.

    Args:
        shared: folder of the shared recordings.
        sessions: how many; all by default.
    """

    names = ("plain", "reference", "default")

    def __init__(self, shared: Path, sessions: int | None = None) -> None:
        self._chain = GoldenChain(shared / "golden")
        self._clips = Speakers(shared / "corpora" / "ravdess-16k")
        self._backbone = load_golden_backbone(shared)
        self._sessions = golden_sessions(self._chain, self._clips)[:sessions]
        self._backbone.embed(self._backbone.frontend(torch.zeros(1, self._clips.num_samples)))  # libraries set up

    def run(self, name: str, store: Path) -> Result:
        """Runs a chain.

        Args:
            name: of the way.
            store: folder for outputs of frozen networks; empty.
        """
        step = self._plain() if name == "plain" else self._ours(name, store)
        seconds: list[float] = []
        equal: list[tuple[int, int]] = []
        for session in self._sessions:
            began = time.process_time()
            exemplars, scores = step(session, self._sessions[: session.index + 1])
            seconds.append(time.process_time() - began)
            print(f"{name}, session {session.index}: {seconds[-1]:.1f} CPU s", file=sys.stderr)
            equal += equal_to_golden(self._chain, self._clips, session.index, exemplars, scores).values()
        return Result(tuple(seconds), sum(one for one, _ in equal), sum(count for _, count in equal))

    def _plain(self) -> Step:
        chain, clips = self._chain, self._clips
        released = ReleasedEDE(self._backbone, clips)

        def step(session: Session, _: Sequence[Session]) -> tuple[Sequence[int], dict[str, Tensor]]:
            index = session.index
            auxiliary = chain.auxiliary_head(index) if index else None
            first_part = chain.first_part(self._backbone)
            scores = released.learn(session, chain.orders(index, clips), chain.head(index), auxiliary, first_part)
            return released.exemplars, scores

        return step

    def _ours(self, name: str, store: Path) -> Step:
        backbone: TokenBackbone = self._backbone
        features = Features(self._clips, backbone.frontend, backbone, ArrayStore(store))
        if name == "reference":
            learner: EDE = RepeatedEDE(features, self._chain, self._clips)
        else:
            learner = EDE(EDESettings.model_validate(EPOCHS), features)

        def step(session: Session, so_far: Sequence[Session]) -> tuple[Sequence[int], dict[str, Tensor]]:
            learner.learn(session, torch.Generator().manual_seed(session.index))
            scores = score_test_clips(learner, so_far)
            return [position for group in learner.exemplars.groups for position in group], scores

        return step


def results_table(results: dict[str, Result]) -> str:
    """A row of each way, with the CPU seconds of the plain one over its own."""
    plain = results["plain"].total
    rows = [
        [
            name,
            f"{one.total:.1f}",
            f"{plain / one.total:.1f}",
            f"{one.cpu_seconds[-1]:.1f}",
            "" if name == "default" else f"{one.equal} of {one.count}",
        ]
        for name, one in results.items()
    ]
    return table(["way", ">CPU s", ">plain / this", ">last session, CPU s", ">equal to the release"], rows)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.ede_chain`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ede_chain", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True, help="folder for temporary files")
    parser.add_argument("--sessions", type=int, help="only the first ones (default: all 6)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    ways = Ways(options.shared, options.sessions)
    results: dict[str, Result] = {}
    for name in ways.names:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=options.out) as store:
            results[name] = ways.run(name, Path(store))
    print(results_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
