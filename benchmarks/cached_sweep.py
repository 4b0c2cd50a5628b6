"""Measures a sweep whose sessions are all in the store: in this process, and on Ray's workers.

    python -m benchmarks.cached_sweep --out FOLDER

runs the demo sweep once, so that everything is in the store, and then the same sweep again in both ways in turns. The
baseline, "on workers", starts Ray and a worker per trial slot for it, as a sweep does that has sessions to compute.
CPU seconds are those of all processes.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row, rows_table
from benchmarks.watch import CommandError, Cost, watch

ON_WORKERS = """
import sys
from orchestrator.tuning import sweep
sweep.all_cached = lambda plan: False
from orchestrator.sweep import main
sys.exit(main())
"""
WAYS = {"on workers": ["-c", ON_WORKERS], "ours": ["-m", "orchestrator.sweep"]}


def again(way: str, options: Sequence[str]) -> Cost:
    """The sweep in one of the two ways."""
    return watch([sys.executable, *WAYS[way], *options])


def row(way: str, costs: Sequence[Cost]) -> Row:
    """The medians of a way."""
    driver = [sum(seconds for name, seconds in cost.cpu_by_name.items() if name == "python") for cost in costs]
    cpu = statistics.median(cost.cpu_seconds for cost in costs)
    return {
        "way": way,
        "wall s": statistics.median(cost.seconds for cost in costs),
        "CPU s": cpu,
        "of the command itself": statistics.median(driver),
        "processes": max(len(cost.processes) for cost in costs),
        "peak memory, MiB": max(cost.peak_bytes for cost in costs) / 2**20,
    }


def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.cached_sweep`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cached_sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--repeat", type=int, default=3, help="times (default: %(default)s)")
    arguments, sweep = parser.parse_known_args(words)
    sweep += ["--data", str(arguments.out / "data"), "--runs", str(arguments.out / "runs")]
    try:
        again("ours", sweep)
        costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
        for _ in range(arguments.repeat):
            for way in WAYS:
                costs[way].append(again(way, sweep))
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    workers, ours = (row(way, costs[way]) for way in WAYS)
    print(rows_table([workers, ours]))
    ratios = [float(workers[key]) / float(ours[key]) for key in ("CPU s", "wall s")]
    print(f"\n{ratios[0]:.1f} x fewer CPU seconds, {ratios[1]:.1f} x less time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
