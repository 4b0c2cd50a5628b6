"""Planning a corpus of several hundred thousand files: seconds, memory, and a second `prepare` with nothing changed.

    python -m benchmarks.planning --before OTHER_CHECKOUT --files 300000

Writes WAV files of 100 samples in 100 folders and a table of them (class, and one of 50 speakers). For `folder` and
`table` a process of its own lists the files, decides the options, plans and computes the keys of the units, as
`earshot prepare` does before it starts Ray; in this checkout and in another one, in turns. The baseline of every row is
the same work in the other checkout. The second `prepare` is that of a benchmark whose shards are all there; the last
rows are a table of which 100,000 rows name no recording.
"""

import argparse
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from datasets.utils.cli import as_program
from datasets.utils.errors import EarshotError

ROOT = Path(__file__).resolve().parents[1]
CORPORA = ("folder", "table")
CLASSES, SPEAKERS, SAMPLES, RATE = 100, 50, 100, 16_000
_MEBIBYTE_IN_KIBIBYTES = 1024


def write_corpus(root: Path, files: int) -> None:
    """Writes `files` WAV files of 100 samples and `table.csv`."""
    size = 2 * SAMPLES
    header = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + b"data" + struct.pack("<I", size)
    with (root / "table.csv").open("w") as table:
        table.write("filename,category,speaker\n")
        for number in range(files):
            label, speaker = number % CLASSES, number // CLASSES % SPEAKERS
            path = root / f"class{label:03d}" / f"{speaker:03d}_{number:06d}.wav"
            if number < CLASSES:
                path.parent.mkdir()
            path.write_bytes(header + os.urandom(size))
            table.write(f"{path.parent.name}/{path.name},{path.parent.name},s{speaker:03d}\n")


def _options(corpus: str) -> dict[str, Any]:
    return {"clip_seconds": 0.1, **({"csv": ["table.csv"]} if corpus == "table" else {})}


def plan(corpus: str, source: Path, out: Path | None) -> dict[str, float]:
    """Plans in this process, with whichever checkout it imports.

    Args:
        corpus: `folder` or `table`.
        source: its recordings.
        out: if given, gets a manifest as if all units were cut, and shards of one byte.

    Returns:
        CPU seconds by stage, in order.
    """
    moments = [("", time.process_time())]

    def note(stage: str) -> None:
        moments.append((stage, time.process_time()))

    from datasets.corpora.registry import corpora
    from orchestrator.preparation.units import unit_key

    found = corpora()[corpus]
    options = found.options_type.model_validate(_options(corpus))
    note("imports")
    inventory = found.inventory(source, options)
    note("list")
    options = found.resolve(source, inventory, options)
    identity, fingerprint = found.identity(options), inventory.fingerprint
    note("options")
    doubts = found.doubts(source, inventory, options)
    planned = found.plan(source, inventory, options)
    note("plan")
    files = {file.path: file for file in inventory.files}
    for unit in planned.units:
        unit_key(found, identity, unit, [files[path] for path in unit.files])
    note("keys")
    assert not doubts and planned.files == len(inventory.files)
    if out is not None:
        _write_benchmark(out, found, planned, identity, fingerprint)
    return {stage: moment - before for (_, before), (stage, moment) in pairwise(moments)}


def _write_benchmark(out: Path, corpus: Any, planned: Any, identity: dict[str, Any], fingerprint: str) -> None:
    """A manifest and shards of one byte: a run with nothing changed looks at the sizes of the shards only."""
    from datasets.benchmark.manifest import ClassEntry, Manifest, ShardEntry, SourceEntry, SplitCounts
    from orchestrator.preparation.units import shard_name

    (out / "shards").mkdir(parents=True)
    per_class, entries = planned.files // len(planned.classes), []
    digest = hashlib.sha256(b"x").hexdigest()
    for index, unit in enumerate(planned.units):
        (out / shard_name(index)).write_bytes(b"x")
        entries.append(ShardEntry(file=shard_name(index), clips=len(unit.files), bytes=1, sha256=digest))
    classes = [
        ClassEntry(label=label, name=name, clips=SplitCounts(train=per_class))
        for label, name in enumerate(planned.classes)
    ]
    Manifest(
        corpus=corpus.name,
        name=out.name,
        settings=identity,
        sample_rate=planned.sample_rate,
        num_samples=planned.num_samples,
        classes=tuple(classes),
        shards=tuple(entries),
        source=SourceEntry(fingerprint=fingerprint, files=planned.files, rejected=0),
        versions={"corpus": str(corpus.version)},
        created="",
    ).save(out)
    for name in ("README.md", "croissant.json"):
        (out / name).write_text("x")


def measured(checkout: Path, arguments: Sequence[str], expect: int = 0) -> tuple[str, float, float, float]:
    """Standard output, seconds, CPU seconds and peak memory (MiB) of a Python process with a checkout's code."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    began = time.perf_counter()
    command = [sys.executable, *arguments]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=errors) as process:
            output = process.stdout.read().decode() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode != expect:
            errors.seek(0)
            raise EarshotError(f"{' '.join(arguments)}: {errors.read().decode().strip()}")
    return output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _MEBIBYTE_IN_KIBIBYTES


def measure(source: Path, work: Path, checkouts: dict[str, Path]) -> None:
    """Prints a row for each corpus and checkout, and how many times faster than the last checkout."""
    for corpus in CORPORA:
        rows = {}
        for name, checkout in checkouts.items():
            command = [__file__, "--plan", corpus, "--source", str(source), "--work", str(work / name / corpus)]
            output, seconds, cpu, memory = measured(checkout, command)
            stages = ", ".join(f"{stage} {value:.1f}" for stage, value in json.loads(output).items())
            rows[f"plan {corpus}", name] = seconds, cpu, memory, stages
            command = ["-m", "orchestrator.prepare", corpus, "--source", str(source), "--clip-seconds", "0.1"]
            command += ["--csv", "table.csv"] if corpus == "table" else []
            command += ["--out", str(work / name / corpus)]
            _, seconds, cpu, memory = measured(checkout, command)
            rows[f"again {corpus}", name] = seconds, cpu, memory, ""
        _print(rows, [*checkouts][-1])


def measure_rejected(source: Path, work: Path, checkouts: dict[str, Path], number: int) -> None:
    """Prints what a table costs in which `number` rows name no recording, so that `prepare` ends with an error."""
    lines = (source / "table.csv").read_text().splitlines()[: 1 + 10 * CLASSES]
    lines += [f"class000/missing{row:06d}.wav,class000,s0" for row in range(number)]
    table = work / "missing.csv"
    work.mkdir(parents=True, exist_ok=True)
    table.write_text("\n".join(lines) + "\n")
    rows = {}
    for name, checkout in checkouts.items():
        out = work / name / "rejected"
        command = ["-m", "orchestrator.prepare", "table", "--source", str(source), "--csv", str(table)]
        _, seconds, cpu, memory = measured(checkout, [*command, "--out", str(out)], expect=2)
        left = ", ".join(f"{path.name} {path.stat().st_size} bytes" for path in sorted(out.iterdir()) if path.is_file())
        rows[f"{number} rejected", name] = seconds, cpu, memory, left
    _print(rows, [*checkouts][-1])


def _print(rows: dict[tuple[str, str], tuple[float, float, float, str]], baseline: str) -> None:
    for (row, name), (seconds, cpu, memory, stages) in sorted(rows.items(), reverse=True):
        ratios = f"{rows[row, baseline][0] / seconds:5.2f} x {rows[row, baseline][1] / cpu:5.2f} x"
        print(f"{row:15} {name:7} {seconds:7.1f} s {cpu:7.1f} CPU s {memory:6.0f} MiB {ratios}  {stages}", flush=True)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.planning`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planning", description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=300_000, help=f"a multiple of {CLASSES} (default: 300000)")
    parser.add_argument("--before", type=Path, help="another checkout, the baseline (default: none)")
    parser.add_argument("--rejected", type=int, default=100_000, help="rows without a recording (default: 100000)")
    parser.add_argument("--plan", choices=CORPORA, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help="the corpus, if an earlier run has written it")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.plan:
        print(json.dumps(plan(options.plan, options.source, options.work)))
        return 0
    checkouts = {"now": ROOT} | ({"before": options.before.resolve()} if options.before else {})
    with tempfile.TemporaryDirectory(prefix="planning-") as folder:
        source = options.source or Path(folder) / "source"
        if options.source is None or not source.exists():
            if shutil.disk_usage(folder).free < options.files * 8192:
                raise EarshotError(f"{folder}: expected 8 KiB for each file, found less; set TMPDIR")
            source.mkdir(parents=True)
            write_corpus(source, options.files)
        measure(source, Path(folder) / "out", checkouts)
        measure_rejected(source, Path(folder) / "out", checkouts, options.rejected)
    return 0


if __name__ == "__main__":
    sys.exit(main())
