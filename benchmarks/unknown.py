"""Which score separates classes that a chain knows from those that come next, and what a threshold on it does.

    python -m benchmarks.unknown --out FOLDER

prepares ravdess-16k (24 speakers) and philharmonia (15 instruments) and runs chains of each method with `earshot-tiny`
(5 shots, 5 classes a session, seeded class order). From their stored predictions: AUROC of the highest score of a clip
and of the margin between the two highest, and what a threshold that keeps 95 % of the validation clips, as `export`
chooses it, does with test clips: how many of the known classes it keeps, how many of the next classes it rejects. All
are means over the sessions after which classes come, and over the seeds.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch

from benchmarks.corpora import CORPORA
from datasets.benchmark.protocol import Protocol
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.formatting import percent
from orchestrator.reporting.markdown import table
from trainables.chain_config import ChainConfig
from trainables.inference.thresholds import choose_thresholds
from trainables.records import SeedTriple
from trainables.session_chain import Chain
from trainables.unknown_score import auroc

METHODS = ("simplecil", "fecam", "slda", "klda", "acil", "gkeal", "mfcc-ncm")
PROTOCOL = Protocol(base=5, way=5, class_order="seeded")
KEEP = 0.95
HEADER = ["method", ">AUROC, highest score", ">AUROC, margin", ">known kept", ">next rejected"]


def measured(benchmark: Path, method: str, seed: int, out: Path, protocol: Protocol = PROTOCOL) -> list[list[float]]:
    """Of each session of a chain after which classes come: the columns of the table, fractions of one."""
    config = ChainConfig(
        benchmark=str(benchmark),
        method=method,
        protocol=protocol,
        seeds=SeedTriple(order=seed, support=seed, initialisation=seed),
        store=str(out / "store"),
    )
    folder = out / "trials" / config.trial
    chain = Chain(config, folder)
    rows = []
    while not chain.done:
        session = chain.step()
        if session.unknown is not None:
            head = chain.record.default_head
            known, unknown = (_of_head(folder / name, head) for name in (session.predictions, session.unknown))
            rows.append(_row(known[known["split"] == "val"], known[known["split"] == "test"], unknown))
    return rows


def _of_head(path: Path, head: str) -> pd.DataFrame:
    frame = pq.read_table(path).to_pandas()
    best = np.stack([scores[:2] for scores in frame["top_scores"]]).astype(float)
    return frame.assign(highest=best[:, 0], margin=best[:, 0] - best[:, 1])[frame["head"] == head]


def _row(validation: pd.DataFrame, test: pd.DataFrame, unknown: pd.DataFrame) -> list[float]:
    scores = {"head": torch.tensor(validation["highest"].to_numpy())[:, None]}
    thresholds = choose_thresholds(scores, {}, KEEP, 0)
    assert thresholds is not None, "the protocol has validation clips"
    threshold = thresholds.heads["head"].value
    areas = [auroc(test[name], unknown[name]) for name in ("highest", "margin")]
    return [*areas, float((test["highest"] >= threshold).mean()), float((unknown["highest"] < threshold).mean())]


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.unknown`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unknown", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA), help="may be repeated (default: both)")
    parser.add_argument("--method", action="append", help="may be repeated (default: seven that train nothing)")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args(arguments)
    for name in options.corpus or CORPORA:
        corpus, settings = CORPORA[name]
        prepare(corpus, options.shared / "corpora" / name, options.out / name, settings)
        cells: list[list[object]] = []
        for method in options.method or METHODS:
            chains = [measured(options.out / name, method, seed, options.out) for seed in range(options.seeds)]
            means = np.mean([np.mean(rows, axis=0) for rows in chains], axis=0)
            cells.append([method, *map(percent, means)])
        print(f"\n### {name}\n\n{table(HEADER, cells)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
