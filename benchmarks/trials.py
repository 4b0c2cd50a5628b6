"""Measures the overhead of the orchestrator: a sweep of a thousand trivial chains.

    python -m benchmarks.trials --out FOLDER

runs `earshot sweep --json` with `mfcc-ncm` and two sessions of two classes, 50 configurations x 20 seeds, and prints
the cost of a trial outside of its sessions: time between trials, CPU seconds of driver and workers, memory of the
driver, files and bytes. All numbers come from the events, from /proc and from the folders of the run.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.watch import CommandError, Cost, watch
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.markdown import table

CLIPS = {"classes": 6, "clips_per_class": 5, "seconds": 0.25}
INTERVAL = 5.0  # seconds between two readings of the driver's memory


class Driver:
    """The memory of the process that runs the sweep, from /proc.

    Attributes:
        bytes: private memory, at each reading.
    """

    def __init__(self) -> None:
        self.bytes: list[int] = []
        self._status = Path()
        self._next = 0.0

    def started(self, process: int) -> None:
        """Sets the process."""
        self._status = Path(f"/proc/{process}/status")

    def poll(self, now: float) -> None:
        """Reads the memory if the last reading was `INTERVAL` ago."""
        if now < self._next:
            return
        self._next = now + INTERVAL
        try:
            lines = self._status.read_text().splitlines()
        except OSError:  # the process has just ended
            return
        self.bytes += [1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")]


def events(path: Path) -> Iterator[dict[str, Any]]:
    """Reads a file of events."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def between(log: list[dict[str, Any]], slots: int) -> tuple[float, float, float]:
    """Measures the time between sessions.

    Args:
        log: the events of a sweep.
        slots: trials at a time.

    Returns:
        seconds from the start of the first trial to the end of the last; seconds in sessions, over all trials; seconds
        of a slot outside of sessions, per trial.
    """
    times: dict[str, list[float]] = {e["event"]: [] for e in log}
    for e in log:
        times[e["event"]].append(datetime.fromisoformat(e["time"]).timestamp())
    wall = max(times["trial_ended"]) - min(times["trial_started"])
    computed = sum(e["seconds"] for e in log if e["event"] == "session" and not e["found"])
    return wall, computed, (wall * slots - computed) / len(times["trial_ended"])


def files(folder: Path) -> tuple[int, int]:
    """Number of files in a folder, and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def run(arguments: argparse.Namespace) -> tuple[Cost, Driver, list[dict[str, Any]]]:
    """Runs the sweep with an empty store."""
    runs = arguments.out / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir(parents=True)
    space, log = runs / "space.yaml", runs / "events.jsonl"
    space.write_text("methods: {mfcc-ncm: {coefficients: {int: [2, 60]}}}\n")
    name = "thousand"
    options = [
        *(
            "--benchmark",
            arguments.out / "demo",
            "--space",
            space,
            "--runs",
            runs,
            "--name",
            name,
            "--search",
            "random",
        ),
        *("--trials", arguments.trials, "--seeds", arguments.seeds, "--workers", arguments.workers, "--json"),
        *("--protocol", "free", "--base", 2, "--way", 2, "--shot", 2, "--sessions", 2),
    ]
    driver = Driver()
    command = [str(word) for word in (sys.executable, "-m", "orchestrator.sweep", *options)]
    cost = watch(command, driver.poll, started=driver.started, output=log)
    return cost, driver, list(events(log))


@as_program
def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.trials`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--trials", type=int, default=50, help="configurations, 59 at most")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args(words)
    try:
        prepare("demo", None, arguments.out / "demo", CLIPS)
        cost, driver, log = run(arguments)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    trials = sum(event["event"] == "trial_ended" for event in log)
    wall, computed, overhead = between(log, arguments.workers)
    workers = sum(seconds for name, seconds in cost.cpu_by_name.items() if name.startswith("ray::"))
    (run_files, run_bytes), (store_files, store_bytes) = (
        files(arguments.out / "runs" / "thousand"),
        files(arguments.out / "runs" / "store"),
    )
    quarter = max(1, len(driver.bytes) // 4)
    grown = max(driver.bytes[-quarter:]) - max(driver.bytes[:quarter])
    rows: list[list[object]] = [
        ["trials, sessions", f"{trials}, {sum(event['event'] == 'session' for event in log)}"],
        ["from start to exit, s", f"{cost.seconds:.0f}"],
        ["from the first trial's start to the last one's end, s", f"{wall:.0f}"],
        ["trials a second", f"{trials / wall:.1f}"],
        ["in sessions, s", f"{computed:.0f}"],
        ["a trial outside of its sessions, s of a slot", f"{overhead:.3f}"],
        ["CPU of workers, s a trial", f"{workers / trials:.3f}"],
        ["CPU of all other processes (driver, Ray), s a trial", f"{(cost.cpu_seconds - workers) / trials:.3f}"],
        ["peak memory of the driver, MiB", f"{max(driver.bytes) / 2**20:.0f}"],
        ["memory of the driver, last quarter minus first, kB a trial", f"{grown / trials / 1e3:.1f}"],
        ["files, kB in the run folder, a trial", f"{run_files / trials:.1f}, {run_bytes / trials / 1e3:.1f}"],
        ["files, kB in the store, a trial", f"{store_files / trials:.1f}, {store_bytes / trials / 1e3:.1f}"],
    ]
    print(table(["a sweep of trivial chains", ">"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
