"""Closed-form methods on the shipped encoder: the defaults beside the published values (docs/methods.md).

    python -m benchmarks.closed_form --out FOLDER

prepares ravdess-16k and philharmonia as `benchmarks.corpora` says, embeds every clip once with earshot-tiny, and runs
chains of 5 new classes x 5 shots a session to the last class, over ten seeds that draw class order, support and initial
weights. Nothing is trained, so the chains run in this process, in minutes of CPU time. `--split validation` shows what
defaults were chosen by; `--shot` changes the number of shots. `--transductive` shows the methods of that track instead,
with the prototypes that they refine as the reference.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.corpora import CORPORA
from datasets.benchmark.protocol import Protocol, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.markdown import table
from orchestrator.statistics.estimates import estimate
from trainables.chain_config import ChainConfig
from trainables.chain_inputs import open_features
from trainables.learners.features import Features
from trainables.methods.registry import find_method

REFERENCE = "simplecil"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        method: its name.
        values: which settings these are.
        settings: those that differ from the defaults.
    """

    method: str
    values: str = "default"
    settings: tuple[tuple[str, Any], ...] = ()


ROWS = (
    Row("mfcc-ncm"),
    Row(REFERENCE),
    Row("gkeal"),
    Row("gkeal", "published", (("centres", "base"), ("sigma", 10.0), ("penalty", 0.1))),
    Row("gkeal", "published sigma and lambda", (("sigma", 10.0), ("penalty", 0.1))),
    Row("acil"),
    Row("acil", "published", (("penalty", 0.1),)),
    Row("ds-al"),
    Row("ds-al", "published", (("penalty", 1e-3), ("compensation_penalty", 1e-3))),
    Row("klda"),
    Row("klda", "published ensemble", (("ensembles", 5),)),
    Row("slda"),
    Row("slda", "published", (("shrinkage", 1e-4), ("target", "identity"))),
    Row("fecam"),
    Row("fecam", "published, CNN", (("alpha", 1.0), ("tukey", 0.5))),
    Row("fecam", "published, ViT", (("alpha", 100.0), ("tukey", 1.0))),
    Row("anacp"),
    Row("anacp", "published", (("penalty", 100.0), ("projection", 5000))),
)
TRANSDUCTIVE_ROWS = (
    Row(REFERENCE),
    Row("tape-like"),
    Row("tape-like", "one step", (("steps", 1),)),
    Row("tape-like", "twenty steps", (("steps", 20),)),
    Row("tape-like", "temperature 16", (("temperature", 16.0),)),
    Row("tape-like", "temperature 256", (("temperature", 256.0),)),
    Row("tape-like", "weight 0.5", (("query_weight", 0.5),)),
    Row("tape-like", "weight 2", (("query_weight", 2.0),)),
)


def accuracies(
    row: Row, features: Features, protocol: Protocol, seed: int, split: Literal["validation", "query"]
) -> Iterator[float]:
    """Accuracy over all classes so far after each session of one chain."""
    assert isinstance(features.clips, Shards)
    method = find_method(row.method)
    learner = method(method.Settings.model_validate(dict(row.settings)), features)
    sessions = make_sessions(protocol, features.clips.table, order_seed=seed, support_seed=seed)
    for session in sessions:
        learner.learn(session, torch.Generator().manual_seed(1000 * seed + session.index))
        present = [clips for before in sessions[: session.index + 1] for clips in before.classes]
        scored = learner.score_groups([getattr(clips, split) for clips in present])
        hits = [
            scores[learner.heads[0]].argmax(dim=1) == learner.classes.index(clips.label)
            for clips, scores in zip(present, scored, strict=True)
        ]
        yield float(torch.cat(hits).double().mean())


def average_accuracies(
    row: Row, features: Features, protocol: Protocol, seeds: int, split: Literal["validation", "query"]
) -> np.ndarray:
    """AA of each seed, in percent: `[seeds]`."""
    return np.array([100 * np.mean(list(accuracies(row, features, protocol, seed, split))) for seed in range(seeds)])


def cells(value: np.ndarray, *references: np.ndarray) -> tuple[str, ...]:
    """Mean AA, and its paired differences with 95 % intervals: '76.8' and '+6.1 (4.5 to 7.7)'; '' to itself."""
    paired = (None if value is reference else estimate(value - reference) for reference in references)
    differences = (f"{one.mean:+.1f} ({one.low:.1f} to {one.high:.1f})" if one else "" for one in paired)
    return f"{value.mean():.1f}", *differences


def open_corpus(name: str, options: argparse.Namespace) -> Features:
    """Clips and backbone of a corpus, prepared where it is not yet."""
    corpus, settings = CORPORA[name]
    prepare(corpus, options.shared / "corpora" / name, options.out / name, settings)
    config = ChainConfig(benchmark=str(options.out / name), method=REFERENCE, store=str(options.out / "store"))
    return open_features(config)[0]


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.closed_form`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closed_form", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shot", type=int, default=5)
    parser.add_argument("--split", choices=("validation", "query"), default="query")
    parser.add_argument("--transductive", action="store_true", help="transductive methods instead of the others")
    options = parser.parse_args(arguments)
    rows = TRANSDUCTIVE_ROWS if options.transductive else ROWS
    protocol = Protocol(base=5, way=5, shot=options.shot, class_order="seeded")
    torch.set_num_threads(1)
    columns: list[list[str]] = [[] for _ in rows]
    for name in CORPORA:
        features = open_corpus(name, options)
        values = {row: average_accuracies(row, features, protocol, options.seeds, options.split) for row in rows}
        for row, line in zip(rows, columns, strict=True):
            line += cells(values[row], values[Row(REFERENCE)], values[Row(row.method)])
    titles = (f">over {REFERENCE}", ">over its default")
    header = ["method", "values", *(cell for name in CORPORA for cell in (f">{name}", *titles))]
    print(table(header, [[row.method, row.values, *line] for row, line in zip(rows, columns, strict=True)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
