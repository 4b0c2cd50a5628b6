"""Measures a chain of 200 sessions of 5 classes: CPU seconds and memory by session.

    python -m benchmarks.many_sessions --out FOLDER

Embeddings are synthetic: a class is a Gaussian around a mean of its own, 5 support clips and 2 queries. Each session is
learned, all queries so far are scored, and the state is published as a stage, as in a chain. Every method has a process
of its own, whose peak resident memory so far is shown.
"""

import argparse
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from benchmarks.rows import Row, rows_table
from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.features import Features
from trainables.methods.registry import find_method
from trainables.networks.backbones.ast import load_ast
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.store.arrays import ArrayStore
from trainables.store.layout import address_of
from trainables.store.stages import Stage, StageStore

SHOTS, QUERIES = 5, 2
METHODS = ("simplecil", "slda", "fecam")
RATE, SAMPLES = 16_000, 32_000


@dataclass(frozen=True)
class NoClips:
    """Clips without audio: nothing reads it."""

    sample_rate: int = RATE
    fingerprint: str = "synthetic"
    class_names: tuple[str, ...] = ()

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """Never called: the methods read embeddings."""
        raise AssertionError("the embeddings are synthetic")


class SyntheticFeatures(Features):
    """Embeddings from a random generator, by position.

    Args:
        classes: number of classes.
        store: folder of the store.
    """

    def __init__(self, classes: int, store: Path) -> None:
        frontend = FrontEnd(FrontEndSpec(), RATE, SAMPLES)
        super().__init__(NoClips(), frontend, load_ast("random-tiny", frontend.frames), ArrayStore(store))
        generator = torch.Generator().manual_seed(0)
        means = torch.randn(classes, self.backbone.dim, generator=generator)
        noise = torch.randn(classes, SHOTS + QUERIES, self.backbone.dim, generator=generator)
        self._rows = (means[:, None] + noise).flatten(0, 1)

    def pooled(self, positions: tuple[int, ...]) -> Tensor:
        """`[clips, dim]`."""
        return self._rows[list(positions)]


def sessions(count: int, way: int) -> Iterator[Session]:
    """Sessions of `way` classes, whose clips are one after the other."""
    for index in range(count):
        classes = []
        for label in range(index * way, (index + 1) * way):
            first = label * (SHOTS + QUERIES)
            support, query = range(first, first + SHOTS), range(first + SHOTS, first + SHOTS + QUERIES)
            classes.append(ClassClips(label, tuple(support), tuple(support), (), tuple(query)))
        yield Session(index, tuple(classes))


def measure(method: str, count: int, way: int, folder: Path) -> list[dict[str, float]]:
    """Seconds and memory of each session of a chain, on one thread."""
    torch.set_num_threads(1)
    shutil.rmtree(folder, ignore_errors=True)
    features, store = SyntheticFeatures(count * way, folder), StageStore(folder)
    of_method = find_method(method)
    learner = of_method(of_method.Settings(), features)
    groups: list[tuple[int, ...]] = []
    measured, parent = [], None
    for session in sessions(count, way):
        times = [time.process_time()]
        learner.learn(session, torch.Generator().manual_seed(session.index))
        times.append(time.process_time())
        groups += [clips.query for clips in session.classes]
        learner.score_groups(groups)
        times.append(time.process_time())
        depends_on = {"parent": parent, "session": session.index}
        parent = address_of(depends_on)
        store.publish(Stage(parent, depends_on, pa.table({"clip": [0]}), 0.0, 0, 0), learner.state())
        times.append(time.process_time())
        learn, score, publish = np.diff(times)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        measured.append({"learn": learn, "score": score, "publish": publish, "MiB": peak})
    return measured


def table_rows(method: str, measured: list[dict[str, float]], way: int) -> Iterator[Row]:
    """Means over the ten sessions up to each quarter of the chain."""
    for last in np.linspace(len(measured) / 4, len(measured), 4).astype(int):
        window = measured[max(0, last - 10) : last]
        mean = {key: float(np.mean([session[key] for session in window])) for key in window[0]}
        yield {
            "method": method,
            "classes": int(last * way),
            "learn, ms": 1e3 * mean["learn"],
            "publish, ms": 1e3 * mean["publish"],
            "score, ms": 1e3 * mean["score"],
            "all, ms a class so far": 1e3 * (mean["learn"] + mean["publish"] + mean["score"]) / (last * way),
            "peak memory, MiB": mean["MiB"],
        }


def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.many_sessions`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_sessions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--sessions", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--way", type=int, default=5, help="new classes of a session (default: %(default)s)")
    parser.add_argument("--method", action="append", help=f"may be repeated (default: {', '.join(METHODS)})")
    options = parser.parse_args(words)
    rows: list[Row] = []
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
        for method in options.method or METHODS:
            measured = process.submit(measure, method, options.sessions, options.way, options.out / "store").result()
            rows += table_rows(method, measured, options.way)
    print(rows_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
