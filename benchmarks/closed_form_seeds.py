"""Measures a sweep of closed-form methods over many seeds: in this process, and on Ray's workers.

    python -m benchmarks.closed_form_seeds --out FOLDER

sweeps five closed-form methods over ravdess-16k (5 new classes x 5 shots a session, to the last class) with 32 seeds:
160 chains. The baseline, "on workers", is what such a sweep was before and is for other methods: Ray starts a worker
per trial slot. Every way has a store of its own, which is empty at first.
CPU seconds are those of all processes, from the start of the command to its exit, with imports and report.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.corpora import CORPORA
from benchmarks.rows import Row, rows_table
from benchmarks.watch import CommandError, Cost, watch
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare

METHODS = ("slda", "klda", "gkeal", "fecam", "anacp")
CORPUS = "ravdess-16k"
PROTOCOL = ["--protocol", "free", "--base", "5", "--way", "5", "--shot", "5", "--class-order", "seeded"]
ON_WORKERS = """
import sys
from orchestrator.tuning import sweep
sweep.is_closed_form = lambda plan: False
from orchestrator.sweep import main
sys.exit(main())
"""
WAYS = {"on workers": ["-c", ON_WORKERS], "ours": ["-m", "orchestrator.sweep"]}


def run(way: str, folder: Path, benchmark: Path, methods: Sequence[str], seeds: int) -> Cost:
    """The sweep in one of the two ways, in `folder/sweep`; what is stored there is used."""
    folder.mkdir(parents=True, exist_ok=True)
    space = folder / "space.yaml"
    space.write_text("methods:\n" + "".join(f"  {method}: {{}}\n" for method in methods))
    given = ["--benchmark", str(benchmark), "--space", str(space), "--runs", str(folder), "--name", "sweep"]
    return watch([sys.executable, *WAYS[way], *given, "--seeds", str(seeds), *PROTOCOL])


def predictions(folder: Path) -> dict[str, list[int]]:
    """The predictions of every session, by the name of its file in the folder of the run."""
    files = sorted((folder / "sweep" / "trials").glob("*/session-*.parquet"))
    names = (str(file.relative_to(folder)) for file in files)
    return {name: pq.read_table(file)["prediction"].to_pylist() for name, file in zip(names, files, strict=True)}


def same(one: dict[str, list[int]], other: dict[str, list[int]]) -> tuple[int, int]:
    """Number of predictions that are the same in both ways, and number of all.

    Raises:
        ValueError: the ways have other sessions or clips.
    """
    if {name: len(rows) for name, rows in one.items()} != {name: len(rows) for name, rows in other.items()}:
        raise ValueError("the two ways have other sessions or clips")
    pairs = [pair for name, rows in one.items() for pair in zip(rows, other[name], strict=True)]
    return sum(a == b for a, b in pairs), len(pairs)


def row(way: str, cost: Cost) -> Row:
    """A line of the table."""
    return {
        "way": way,
        "wall s": cost.seconds,
        "CPU s": cost.cpu_seconds,
        "of the command itself": cost.cpu_by_name.get("python", 0.0),
        "peak memory, MiB": cost.peak_bytes / 2**20,
    }


@as_program
def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.closed_form_seeds`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.closed_form_seeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--seeds", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--method", action="append", help=f"may be repeated (default: {', '.join(METHODS)})")
    arguments = parser.parse_args(words)
    methods = arguments.method or METHODS
    corpus, settings = CORPORA[CORPUS]
    benchmark = arguments.out / CORPUS
    costs = {}
    try:
        prepare(corpus, arguments.shared / "corpora" / CORPUS, benchmark, settings)
        for way in WAYS:
            folder = arguments.out / way.replace(" ", "-")
            shutil.rmtree(folder, ignore_errors=True)
            costs[way] = run(way, folder, benchmark, methods, arguments.seeds)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(rows_table([row(way, cost) for way, cost in costs.items()]))
    equal, count = same(*(predictions(arguments.out / way.replace(" ", "-")) for way in WAYS))
    workers, ours = costs.values()
    print(f"\n{len(methods) * arguments.seeds} chains; predictions that are the same: {equal} of {count}")
    ratios = workers.cpu_seconds / ours.cpu_seconds, workers.seconds / ours.seconds
    print(f"{ratios[0]:.1f} x fewer CPU seconds, {ratios[1]:.1f} x less time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
