"""What 16 bits change: token maps in 16 bits, and networks in bf16, against float32, on real speech.

    python -m benchmarks.precision --out FOLDER

runs chains of EDE as published (`prototypes: exemplars`, `combine: concatenate`) over ravdess-16k with the small AST
that made the golden tensors, three ways on the same seeds, and prints how many predictions differ and the AA of each
head (docs/methods.md).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.corpora import CORPORA
from datasets.benchmark.protocol import Protocol
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.markdown import table
from trainables.chain_config import ChainConfig
from trainables.learners import features
from trainables.networks.specs import FrontEndSpec
from trainables.records import SeedTriple
from trainables.session_chain import Chain

WAYS: dict[str, tuple[type[np.floating], Literal["float32", "bf16"]]] = {
    "float32": (np.float32, "float32"),
    "token maps in 16 bits (the default)": (np.float16, "float32"),
    "networks in bf16, token maps in 16 bits": (np.float16, "bf16"),
}
HEADS = ("prototype", "linear", "nme")
SETTINGS = {"base_epochs": 20, "incremental_epochs": 20, "prototypes": "exemplars", "combine": "concatenate"}
CORPUS = "ravdess-16k"


def predictions(way: str, seed: int, options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Per head: `[rows, 3]`, session, label and prediction of every scored test clip of a chain."""
    tokens, precision = WAYS[way]
    config = ChainConfig(
        benchmark=str(options.out / CORPUS),
        method="ede",
        settings=SETTINGS,
        protocol=Protocol(base=5, way=5, class_order="seeded"),
        seeds=SeedTriple(order=seed, support=seed, initialisation=seed),
        backbone=str(options.shared / "golden" / "ast-tiny-original.safetensors"),
        frontend=FrontEndSpec(kind="reference"),
        precision=precision,
        store=options.out / f"store-{np.dtype(tokens)}-{precision}",
    )
    features.TOKENS = tokens
    return scored(Chain(config, options.out / "trials" / f"{np.dtype(tokens)}-{precision}-{seed}"))


def scored(chain: Chain) -> dict[str, np.ndarray]:
    """Runs a chain of EDE; per head: session, label and prediction of every scored test clip, `[rows, 3]`."""
    rows: dict[str, list[np.ndarray]] = {head: [] for head in HEADS}
    while not chain.done:
        record = chain.step()
        frame = pq.read_table(pa.BufferReader((chain.folder / record.predictions).read_bytes())).to_pandas()
        frame = frame[frame["split"] == "test"]
        for head in HEADS:
            found = frame[frame["head"] == head]
            sessions = np.full(len(found), record.index)
            rows[head].append(np.stack([sessions, found["label"], found["prediction"]], axis=1))
    return {head: np.concatenate(parts) for head, parts in rows.items()}


def average_accuracy(rows: np.ndarray) -> float:
    """AA of one chain, in percent."""
    right = rows[:, 1] == rows[:, 2]
    return float(np.mean([100 * right[rows[:, 0] == session].mean() for session in np.unique(rows[:, 0])]))


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.precision`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    corpus, settings = CORPORA[CORPUS]
    prepare(corpus, options.shared / "corpora" / CORPUS, options.out / CORPUS, settings)
    found = {way: [predictions(way, seed, options) for seed in range(options.seeds)] for way in WAYS}
    rows: list[list[object]] = []
    exact = found["float32"]
    for way, chains in found.items():
        row: list[object] = [way]
        for head in HEADS:
            pairs = [(one[head], other[head]) for one, other in zip(chains, exact, strict=True)]
            differ = 100 * float(np.mean([(one[:, 2] != other[:, 2]).mean() for one, other in pairs]))
            row += [f"{differ:.2f}", f"{np.mean([average_accuracy(one) for one, _ in pairs]):.2f}"]
        rows.append(row)
    header = ["", *(f">{head}: {what}" for head in HEADS for what in ("% other predictions", "AA"))]
    print(table(header, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
