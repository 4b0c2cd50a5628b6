"""Measures what chains store of clips: with the spectrograms of all clips, and as the package does it.

    python -m benchmarks.store_size --out FOLDER

The baseline, "all stored", stores the spectrograms of every group of clips that a frozen network reads. The package
computes them from the waveforms where nothing reads them again. Each row is a method: one chain per seed, all in one
store that is empty at first, as in a sweep; the networks that seeds train in their base sessions differ, so a chain of
another seed computes spectrograms again. CPU seconds are those of the sessions. The last line compares the CPU time of
a clip's spectrogram, decoding included, with that of its embedding.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.chain import settings_for
from benchmarks.rows import Row, rows_table
from datasets.benchmark.protocol import Protocol
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from trainables.chain_config import ChainConfig
from trainables.chain_inputs import open_features
from trainables.learners.features import BATCH, Features, row_batches
from trainables.methods.registry import find_method
from trainables.records import SeedTriple
from trainables.session_chain import Chain

METHODS = ("simplecil", "ede", "mar", "ranpac", "aper", "teen", "memo", "der", "l2p", "finetune")


class StoringFeatures(Features):
    """Features that store the spectrograms of every group of clips that a network reads."""

    @classmethod
    def like(cls, features: Features) -> "StoringFeatures":
        """The same clips, front end, backbone and store."""
        given = features.clips, features.frontend, features._backbone, features.store
        return cls(*given, features.device, features.precision)

    def input_batches(self, positions: tuple[int, ...]) -> Iterator[Tensor]:
        """See `Features.input_batches`."""
        yield from row_batches(self.inputs(positions))


class StoringChain(Chain):
    """A chain that stores all spectrograms."""

    def __init__(self, config: ChainConfig, folder: Path) -> None:
        super().__init__(config, folder)
        self._features = StoringFeatures.like(self._features)


WAYS: dict[str, type[Chain]] = {"all stored": StoringChain, "ours": Chain}


def run(way: str, method: str, options: argparse.Namespace) -> tuple[int, float, dict[str, bytes]]:
    """Runs the chains of a method; returns bytes of arrays, CPU seconds of the sessions, and files of predictions."""
    work = options.out / "chains" / f"{method}-{way}"
    shutil.rmtree(work, ignore_errors=True)
    cpu = 0.0
    for seed in range(options.seeds):
        config = ChainConfig(
            benchmark=str(options.benchmark),
            method=method,
            settings=settings_for(find_method(method), options.epochs),
            protocol=Protocol(name="free", base=options.way, way=options.way),
            seeds=SeedTriple(order=seed, support=seed, initialisation=seed),
            backbone=options.backbone,
            store=str(work / "store"),
        )
        chain = WAYS[way](config, work / f"trial-{seed}")
        began = time.process_time()
        while not chain.done:
            chain.step()
        cpu += time.process_time() - began
    stored = sum(path.stat().st_size for path in (work / "store" / "features").rglob("*.npy"))
    return stored, cpu, {str(path.relative_to(work)): path.read_bytes() for path in work.glob("trial-*/*.parquet")}


def per_clip(options: argparse.Namespace, clips: int = 128) -> tuple[float, float]:
    """CPU seconds of a clip's spectrogram, decoding included, and of its embedding; each the least of three passes."""
    config = ChainConfig(benchmark=str(options.benchmark), method="simplecil", backbone=options.backbone)
    features, shards = open_features(config)
    positions = range(min(clips, len(shards.table)))
    batches = [tuple(positions[first : first + BATCH]) for first in range(0, len(positions), BATCH)]
    times: dict[str, list[float]] = {"spectrogram": [], "embedding": []}
    for _ in range(3):
        started = time.process_time()
        inputs = [features.frontend(features.waves(batch)) for batch in batches]
        computed = time.process_time()
        with torch.inference_mode():
            for batch in inputs:
                features.backbone.embed(batch)
        times["embedding"].append(time.process_time() - computed)
        times["spectrogram"].append(computed - started)
    return min(times["spectrogram"]) / len(positions), min(times["embedding"]) / len(positions)


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """A row per method."""
    clips = sum(path.stat().st_size for path in options.benchmark.rglob("*.parquet"))
    for method in options.method:
        stored, cpu, predictions = zip(*(run(way, method, options) for way in WAYS), strict=True)
        assert predictions[0] == predictions[1], f"{method}: predictions differ"
        yield {
            "method": method,
            "all stored, MB": stored[0] / 1e6,
            "ours, MB": stored[1] / 1e6,
            "ratio": stored[0] / max(1, stored[1]),
            "ours / clips": stored[1] / clips,
            "CPU s, all stored": cpu[0],
            "CPU s, ours": cpu[1],
        }


@as_program
def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.store_size`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.store_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--benchmark", type=Path, help="folder (default: the demo benchmark, prepared in OUT)")
    parser.add_argument("--way", type=int, default=5, help="classes of a session (default: %(default)s)")
    parser.add_argument("--method", action="append", help=f"may be repeated (default: {', '.join(METHODS)})")
    parser.add_argument("--seeds", type=int, default=2, help="chains per method (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="of every training (default: %(default)s)")
    parser.add_argument("--backbone", default="earshot-tiny")
    options = parser.parse_args(words)
    options.method = options.method or METHODS
    if options.benchmark is None:
        options.benchmark = options.out / "demo"
        prepare("demo", None, options.benchmark)
    torch.set_num_threads(1)
    print(rows_table(list(measure(options))))
    spectrogram, embedding = per_clip(options)
    times = f"spectrogram {spectrogram * 1e3:.2f} ms, embedding by {options.backbone} {embedding * 1e3:.2f} ms"
    print(f"\na clip: {times}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
