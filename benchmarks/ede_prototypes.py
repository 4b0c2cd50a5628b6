"""EDE's prototypes, combination and learning rates against SimpleCIL, with `earshot-tiny`.

    python -m benchmarks.ede_prototypes --out FOLDER

prepares ravdess-16k (24 speakers), philharmonia (15 instruments) and the demo (25 synthetic sources), runs chains of 5
classes a session with 5 shots, 20 epochs a session, and prints AA of the prototype head on validation and on test
clips, and the difference to SimpleCIL on the same seeds (docs/methods.md). A seed is another class order, support draw
and initialisation. Chains that FOLDER already has are read, not computed again.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpora import CORPORA
from benchmarks.method_pages import difference
from datasets.benchmark.protocol import Protocol
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.formatting import mean_std, percent
from orchestrator.reporting.markdown import table
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import estimate
from trainables.chain_config import ChainConfig
from trainables.records import SeedTriple
from trainables.session_chain import Chain

DEMO = "demo"
PROTOCOL = Protocol(base=5, way=5, class_order="seeded")
EPOCHS = {"base_epochs": 20, "incremental_epochs": 20}
REFERENCE = "simplecil"
ROWS: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    "as published": {"prototypes": "exemplars", "combine": "concatenate"},
    "prototypes kept": {"combine": "concatenate"},
    "kept and normalised (the default)": {},
    "the same, `part_initialisation: torch`": {"part_initialisation": "torch"},
    "the same, learning rates 0.01": {"base_lr": 0.01, "incremental_lr": 0.01},
    "the same, learning rates 0.0003": {"base_lr": 0.0003, "incremental_lr": 0.0003},
    "the same, 100 epochs": {"base_epochs": 100, "incremental_epochs": 100},
}


def benchmark(name: str, shared: Path, out: Path) -> Path:
    """Prepares a corpus; the folder of the benchmark."""
    corpus, settings = CORPORA.get(name, (DEMO, {}))
    prepare(corpus, None if name == DEMO else shared / "corpora" / name, out / name, settings)
    return out / name


def run_chains(folder: Path, run: Path, store: Path, rows: Iterable[str], seeds: int) -> dict[str, str]:
    """Runs the chains of some rows, as the trials of a run.

    Args:
        folder: of the benchmark.
        run: folder of the run.
        store: folder for stages and embeddings.
        rows: of `ROWS`.
        seeds: number of seeds.

    Returns:
        The name of the configuration of each row.
    """
    configurations = {}
    for row in rows:
        for seed in range(seeds):
            config = ChainConfig(
                benchmark=str(folder),
                method=REFERENCE if row == REFERENCE else "ede",
                settings={} if row == REFERENCE else {**EPOCHS, **ROWS[row]},
                protocol=PROTOCOL,
                seeds=SeedTriple(order=seed, support=seed, initialisation=seed),
                store=str(store),
            )
            configurations[row] = config.configuration
            chain = Chain(config, run / "trials" / config.trial)
            while not chain.done:
                chain.step()
    return configurations


def accuracy_table(run: Run, configurations: dict[str, str]) -> str:
    """AA of the prototype head of each row, in percent.

    Args:
        run: with the chains.
        configurations: by row.
    """
    chains = run.chains[run.chains["head"] == "prototype"].set_index("seeds")
    aa = {
        row: {split: values["aa"] for split, values in chains[chains["configuration"] == name].groupby("split")}
        for row, name in configurations.items()
    }
    lines: list[list[object]] = []
    for row, of_split in aa.items():
        gain = estimate(100 * (of_split["test"] - aa[REFERENCE]["test"]).dropna())
        lines.append(
            [
                row,
                len(of_split["test"]),
                percent(of_split["val"].mean()),
                mean_std(estimate(of_split["test"])),
                "" if row == REFERENCE else difference(gain),
            ]
        )
    return table(["", ">n", ">validation AA", ">test AA", f">test AA over {REFERENCE}"], lines)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.ede_prototypes`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ede_prototypes", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    names = [*CORPORA, DEMO]
    parser.add_argument("--corpus", action="append", choices=names, help="may be repeated (default: all)")
    parser.add_argument("--row", action="append", choices=list(ROWS), help="may be repeated (default: all)")
    options = parser.parse_args(arguments)
    rows = [REFERENCE, *(row for row in options.row or ROWS if row != REFERENCE)]
    for name in options.corpus or names:
        folder = benchmark(name, options.shared, options.out)
        run = options.out / "runs" / name
        configurations = run_chains(folder, run, options.out / "store", rows, options.seeds)
        print(f"\n### {name}\n")
        print(accuracy_table(Run.load(run), configurations))
    return 0


if __name__ == "__main__":
    sys.exit(main())
