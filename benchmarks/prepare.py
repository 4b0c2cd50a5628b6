"""What `orchestrator.prepare` costs, beside simpler ways of cutting the same corpus.

    python -m benchmarks.prepare --out FOLDER [--hours 10] [--repeat 1] [--no-linearity]

makes synthetic speech (`benchmarks.speech`, 61 MB an hour, kept in FOLDER), cuts it in each way, one after another, and
prints time, memory and speed; then where our time goes, how it grows with the hours, and what loudness normalisation
adds. Every way is a process of its own, measured from its start to its exit. It finds the corpus in the page cache, and
nobody else's writes under way. Repeated runs take turns, and the median one is told.
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

_WAYS = {  # names of the baselines, see `benchmarks.baselines`, and how they are told
    "loop": "loop",
    "released": "as released",
    "pool": "loop per core",
    "units": "our units per core",
}
_OURS = "ours"


@dataclass(frozen=True)
class Run:
    """One way, measured.

    Attributes:
        cost: of the process and all that it started.
        hours: of audio that it cut.
        written: bytes.
        stages: seconds by name, in order, which add up to the whole; of ours only.
        steady: hours of audio cut in an hour while every core had a unit; of ours only.
    """

    cost: Cost
    hours: float
    written: int
    stages: dict[str, float]
    steady: float = 0.0

    @property
    def speed(self) -> float:
        """Hours of audio in an hour."""
        return 3600 * self.hours / self.cost.seconds


def run_baseline(name: str, source: Path, out: Path, hours: float) -> Run:
    """Measures one way of `benchmarks.baselines`; removes what it wrote."""
    os.sync()
    cost = watch([sys.executable, "-m", "benchmarks.baselines", name, str(source), str(out)])
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    return Run(cost, hours, written, {})


def run_ours(source: Path, out: Path, loudness: bool = False) -> Run:
    """Measures `python -m orchestrator.prepare`; removes what it wrote."""
    flags = [f"--{key}={value}" for key, value in OPTIONS.model_dump(exclude={"loudness", "speakers"}).items()]
    flags = [flag.replace("_", "-", 1) for flag in [*flags, "--loudness" if loudness else "--no-loudness"]]
    begun: dict[str, float] = {}
    shards = out / "shards"

    def look(now: float) -> None:
        """Notes when each shard is begun: it is then a file aside of it, `.00003.parquet.4f1c.aside`."""
        for path in shards.iterdir() if shards.is_dir() else ():
            if path.name.endswith(TEMPORARY_SUFFIX):
                begun.setdefault(path.name.split(".")[1], now)

    os.sync()
    places = ["--source", str(source), "--out", str(out)]
    cost = watch([sys.executable, "-m", "orchestrator.prepare", "librispeech", *places, *flags], look)
    manifest = Manifest.load(out)
    ended = {Path(entry.file).stem: _changed(out / entry.file) for entry in manifest.shards}
    hours = {Path(entry.file).stem: entry.clips * OPTIONS.clip_seconds / 3600 for entry in manifest.shards}
    moments = {
        "imports": _changed(out / LOCK),
        "plan": cost.processes.get("gcs_server", min(begun.values())),
        "start of Ray": min(begun.values()),
        "cutting": max(ended.values()),
        "end of Ray, manifest": _changed(out / FILE_NAME),
        "exit": cost.ended,
    }
    moved = pairwise([cost.began, *moments.values()])
    stages = {name: end - start for name, (start, end) in zip(moments, moved, strict=True)}
    written = sum(entry.bytes for entry in manifest.shards)
    shutil.rmtree(out)
    return Run(cost, sum(hours.values()), written, stages, steady_speed(begun, ended, hours, CORES))


def steady_speed(begun: dict[str, float], ended: dict[str, float], hours: dict[str, float], workers: int) -> float:
    """Hours of audio cut in an hour, from when all workers have begun to when the first one has nothing more to do.

    A unit that lies partly outside of that time counts with the part of its own time that lies inside.

    Args:
        begun: Unix time at which each unit was begun.
        ended: Unix time at which it was done.
        hours: of audio in it.
        workers: at most as many as units.
    """
    workers = min(workers, len(begun))
    first, last = sorted(begun.values())[workers - 1], sorted(ended.values())[-workers]
    if last <= first:
        return 0.0
    parts = {
        unit: max(0.0, min(ended[unit], last) - max(begun[unit], first)) / (ended[unit] - begun[unit]) for unit in begun
    }
    return 3600 * sum(hours[unit] * part for unit, part in parts.items()) / (last - first)


def _changed(path: Path) -> float:
    """Unix time of the last change of a file's content or name."""
    return path.stat().st_ctime


def corpus(out: Path, hours: float) -> Path:
    """The corpus of so many hours, made where it is absent and read once, so that it lies in the page cache."""
    folder = out / f"speech-{hours:g}h"
    write_speech(folder, hours)
    for path in folder.rglob("*.flac"):
        path.read_bytes()
    return folder


def median(runs: Sequence[Run]) -> Run:
    """The run that took the median time, the upper one of two."""
    return sorted(runs, key=lambda run: run.cost.seconds)[len(runs) // 2]


def compare(source: Path, work: Path, hours: float, repeat: int, console: Console) -> None:
    """Prints all ways of cutting so many hours, where our time goes and what loudness adds."""
    turns = []
    for _ in range(repeat):
        turn = {way: run_baseline(name, source, work, hours) for name, way in _WAYS.items()}
        turns.append({**turn, _OURS: run_ours(source, work), f"{_OURS}, loudness": run_ours(source, work, True)})
    runs = {way: median([turn[way] for turn in turns]) for way in turns[0]}
    loop, pool, ours = runs[_WAYS["loop"]], runs[_WAYS["pool"]], runs[_OURS]
    table = Table("way", "s", "h/s", "x loop", "CPU s", "peak MiB", "MB", title=f"{hours:g} h of audio")
    for column in table.columns[1:]:
        column.justify = "right"
    for way, run in runs.items():
        cost = run.cost
        speeds = f"{run.speed / 3600:.3f}", f"{run.speed / loop.speed:.2f}"
        numbers = f"{cost.cpu_seconds:.1f}", f"{cost.peak_bytes / 2**20:.0f}", f"{run.written / 1e6:.0f}"
        table.add_row(way, f"{cost.seconds:.1f}", *speeds, *numbers)
    console.print(table)
    console.print("our seconds:", ", ".join(f"{name} {seconds:.1f}" for name, seconds in ours.stages.items()))
    console.print(
        f"while every core had a unit: {ours.steady / 3600:.3f} h of audio/s, "
        f"{ours.steady / loop.speed / CORES:.2f} x {CORES} cores x loop"
    )
    console.print(f"against the pool: {100 * (ours.cost.seconds / pool.cost.seconds - 1):+.0f} % time")


def grow(out: Path, work: Path, repeat: int, console: Console) -> None:
    """Prints how our time grows with the hours."""
    table = Table("h of audio", "s", "s per h", "cutting s per h", "peak MiB", title="growth")
    for column in table.columns:
        column.justify = "right"
    for hours in GROWTH:
        source = corpus(out, hours)
        run = median([run_ours(source, work) for _ in range(repeat)])
        per_hour = f"{run.cost.seconds / run.hours:.2f}", f"{run.stages['cutting'] / run.hours:.2f}"
        table.add_row(f"{run.hours:.2f}", f"{run.cost.seconds:.1f}", *per_hour, f"{run.cost.peak_bytes / 2**20:.0f}")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.prepare`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the corpora, which are kept")
    parser.add_argument("--hours", type=float, default=10.0, help="of audio (default: 10)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, of which the median is told (default: 1)")
    parser.add_argument("--linearity", action=argparse.BooleanOptionalAction, default=True, help="time 1 to 20 hours")
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
