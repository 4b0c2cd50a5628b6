"""Compares the cost of `earshot prepare` with that of simpler programs that cut the same corpus.

    python -m benchmarks.prepare --out FOLDER [--hours 10] [--repeat 1] [--no-linearity]

writes synthetic speech (`benchmarks.speech`, 61 MB per hour, kept in FOLDER), cuts it with each program, and prints
time, memory and speed; then the time of each stage of `earshot prepare`, its growth with the hours, and the cost of
loudness normalisation. Each program is a process, measured from start to exit, with the corpus in the page cache and no
pending writes. Repeated runs alternate between the programs; the median run is reported.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.baselines import OPTIONS
from benchmarks.speech import write_speech
from benchmarks.watch import CommandError, Cost, watch
from datasets.benchmark.manifest import FILE_NAME, Manifest
from datasets.utils.files import TEMPORARY_SUFFIX
from orchestrator.preparation.output_folder import LOCK

CORES = os.cpu_count() or 1
GROWTH = (1.0, 5.0, 10.0, 20.0)  # hours

_BASELINES = {  # names in `benchmarks.baselines`, and labels in the table
    "loop": "loop",
    "released": "as released",
    "pool": "loop per core",
    "units": "Earshot units per core",
}
_EARSHOT = "earshot prepare"


@dataclass(frozen=True)
class Run:
    """One measured run of a program.

    Attributes:
        cost: of the process and all its child processes.
        hours: hours of audio that were cut.
        written: bytes written.
        stages: seconds by name of the stage, in order, which add up to the total; of `earshot prepare` only.
        steady: hours of audio per hour while every core had a unit of work; of `earshot prepare` only.
    """

    cost: Cost
    hours: float
    written: int
    stages: dict[str, float]
    steady: float = 0.0

    @property
    def speed(self) -> float:
        """Hours of audio per hour."""
        return 3600 * self.hours / self.cost.seconds


def run_baseline(name: str, source: Path, out: Path, hours: float) -> Run:
    """Measures a program of `benchmarks.baselines`; removes its output."""
    os.sync()
    cost = watch([sys.executable, "-m", "benchmarks.baselines", name, str(source), str(out)])
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    return Run(cost, hours, written, {})


def run_prepare(source: Path, out: Path, loudness: bool = False) -> Run:
    """Measures `earshot prepare`; removes its output."""
    flags = [f"--{key}={value}" for key, value in OPTIONS.model_dump(exclude={"loudness", "speakers"}).items()]
    flags = [flag.replace("_", "-", 1) for flag in [*flags, "--loudness" if loudness else "--no-loudness"]]
    started: dict[str, float] = {}
    shards = out / "shards"

    def note_started(now: float) -> None:
        """Records when the temporary file of each shard appears, such as `.00003.parquet.4f1c.aside`."""
        for path in shards.iterdir() if shards.is_dir() else ():
            if path.name.endswith(TEMPORARY_SUFFIX):
                started.setdefault(path.name.split(".")[1], now)

    os.sync()
    places = ["--source", str(source), "--out", str(out)]
    cost = watch([sys.executable, "-m", "orchestrator.prepare", "librispeech", *places, *flags], note_started)
    manifest = Manifest.load(out)
    ended = {Path(entry.file).stem: _changed(out / entry.file) for entry in manifest.shards}
    hours = {Path(entry.file).stem: entry.clips * OPTIONS.clip_seconds / 3600 for entry in manifest.shards}
    moments = {
        "imports": _changed(out / LOCK),
        "plan": cost.processes.get("gcs_server", min(started.values())),
        "start of Ray": min(started.values()),
        "cutting": max(ended.values()),
        "end of Ray, manifest": _changed(out / FILE_NAME),
        "exit": cost.ended,
    }
    intervals = pairwise([cost.began, *moments.values()])
    stages = {name: end - start for name, (start, end) in zip(moments, intervals, strict=True)}
    written = sum(entry.bytes for entry in manifest.shards)
    shutil.rmtree(out)
    return Run(cost, sum(hours.values()), written, stages, steady_speed(started, ended, hours, CORES))


def steady_speed(started: dict[str, float], ended: dict[str, float], hours: dict[str, float], workers: int) -> float:
    """Hours of audio cut per hour, from the time all workers have started until the first one is idle.

    A unit counts with the fraction of its duration within that time.

    Args:
        started: Unix time of the start of each unit.
        ended: Unix time of its end.
        hours: hours of audio in it.
        workers: number of workers; at most the number of units is used.
    """
    workers = min(workers, len(started))
    first, last = sorted(started.values())[workers - 1], sorted(ended.values())[-workers]
    if last <= first:
        return 0.0
    parts = {
        unit: max(0.0, min(ended[unit], last) - max(started[unit], first)) / (ended[unit] - started[unit])
        for unit in started
    }
    return 3600 * sum(hours[unit] * part for unit, part in parts.items()) / (last - first)


def _changed(path: Path) -> float:
    """Unix time of the last change of the content or the name of a file."""
    return path.stat().st_ctime


def corpus(out: Path, hours: float) -> Path:
    """The corpus of the given length, written if absent, and read once to load it into the page cache."""
    folder = out / f"speech-{hours:g}h"
    write_speech(folder, hours)
    for path in folder.rglob("*.flac"):
        path.read_bytes()
    return folder


def median(runs: Sequence[Run]) -> Run:
    """The run with the median time; the slower one of two."""
    return sorted(runs, key=lambda run: run.cost.seconds)[len(runs) // 2]


def compare(source: Path, work: Path, hours: float, repeat: int, console: Console) -> None:
    """Prints the cost of all programs, the stages of `earshot prepare` and the cost of loudness normalisation."""
    rounds = []
    for _ in range(repeat):
        measured = {label: run_baseline(name, source, work, hours) for name, label in _BASELINES.items()}
        measured[_EARSHOT] = run_prepare(source, work)
        measured[f"{_EARSHOT}, loudness"] = run_prepare(source, work, True)
        rounds.append(measured)
    runs = {label: median([measured[label] for measured in rounds]) for label in rounds[0]}
    loop, pool, earshot = runs[_BASELINES["loop"]], runs[_BASELINES["pool"]], runs[_EARSHOT]
    table = Table("program", "s", "h/s", "x loop", "CPU s", "peak MiB", "MB", title=f"{hours:g} h of audio")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, run in runs.items():
        cost = run.cost
        speeds = f"{run.speed / 3600:.3f}", f"{run.speed / loop.speed:.2f}"
        numbers = f"{cost.cpu_seconds:.1f}", f"{cost.peak_bytes / 2**20:.0f}", f"{run.written / 1e6:.0f}"
        table.add_row(label, f"{cost.seconds:.1f}", *speeds, *numbers)
    console.print(table)
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in earshot.stages.items())
    console.print(f"seconds of {_EARSHOT}: {stages}")
    console.print(
        f"while every core had a unit: {earshot.steady / 3600:.3f} h of audio/s, "
        f"{earshot.steady / loop.speed / CORES:.2f} x {CORES} cores x loop"
    )
    console.print(f"compared with the pool: {100 * (earshot.cost.seconds / pool.cost.seconds - 1):+.0f} % time")


def grow(out: Path, work: Path, repeat: int, console: Console) -> None:
    """Prints the growth of the time of `earshot prepare` with the hours."""
    table = Table("h of audio", "s", "s per h", "cutting s per h", "peak MiB", title="growth")
    for column in table.columns:
        column.justify = "right"
    for hours in GROWTH:
        source = corpus(out, hours)
        run = median([run_prepare(source, work) for _ in range(repeat)])
        per_hour = f"{run.cost.seconds / run.hours:.2f}", f"{run.stages['cutting'] / run.hours:.2f}"
        table.add_row(f"{run.hours:.2f}", f"{run.cost.seconds:.1f}", *per_hour, f"{run.cost.peak_bytes / 2**20:.0f}")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.prepare`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpora, which are kept")
    parser.add_argument("--hours", type=float, default=10.0, help="hours of audio (default: 10)")
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of each program, of which the median is reported (default: 1)"
    )
    parser.add_argument(
        "--linearity", action=argparse.BooleanOptionalAction, default=True, help="also measure 1 to 20 hours"
    )
    options = parser.parse_args(arguments)
    console = Console()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="work-", dir=options.out) as folder:
            work = Path(folder) / "out"
            compare(corpus(options.out, options.hours), work, options.hours, options.repeat, console)
            if options.linearity:
                grow(options.out, work, options.repeat, console)
    except (CommandError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
