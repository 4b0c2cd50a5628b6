"""Teaching an exported model new classes, against running and exporting the chain again with these classes.

    python -m benchmarks.teaching --out FOLDER

prepares the demo and, for every method that learns without training, runs a chain of five sessions and exports it
after the fourth. The model then learns the five classes of the last session from five recordings each. "teach" is the
call of the library after all imports: the model is read, recordings are read, cut, embedded and learned, and the new
model folder is written. "chain" is the way without teaching, and the baseline: a sweep of that one chain, and its
export; the store has all of its embeddings and sessions by then, so this is the least that it can cost. Seconds are
wall time; of `--repeat` rounds the fastest counts. The last column is the whole command in a process of its own.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import earshot
from benchmarks.rows import Row, rows_table
from datasets.utils.cli import as_program

METHODS = ("mfcc-ncm", "simplecil", "slda", "klda", "fecam", "acil", "ds-al", "gkeal", "anacp")
PROTOCOL = {"base": 5, "way": 5, "shot": 5}
LAST = 4  # session of the demo's 25 classes
FILES = 5  # recordings of each class that is taught


def fastest(repeat: int, call: Callable[[], object]) -> float:
    """Seconds of the fastest of several calls."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def chain(benchmark: earshot.Benchmark, method: str, folder: Path, out: Path, session: int) -> earshot.Model:
    """A sweep of one chain with the method's defaults, in this process, and the export after a session."""
    space = folder / f"{method}.yaml"
    space.write_text(f"methods: {{{method}: {{}}}}\n")
    run = earshot.sweep(benchmark, space=space, protocol=PROTOCOL, seeds=1, runs=folder, progress=False)
    return run.best().export(out, session=session, force=True)


def measure(benchmark: earshot.Benchmark, method: str, folder: Path, repeat: int) -> Row:
    """The row of a method."""
    model = chain(benchmark, method, folder, folder / f"{method}-before", LAST - 1)
    folders = sorted({path.parent for path in Path(benchmark.path, "source").glob("*/*.wav")})
    new = [folder for folder in folders if folder.name not in model.classes]
    classes = {folder.name: sorted(folder.glob("*.wav"))[:FILES] for folder in new}
    taught = fastest(repeat, lambda: model.teach(classes, folder / f"{method}-taught", force=True))
    again = fastest(repeat, partial(chain, benchmark, method, folder, folder / f"{method}-again", LAST))
    given = [word for name, files in classes.items() for word in ("--class", name, *map(str, files))]
    command = [sys.executable, "-m", "orchestrator.teach", str(model.path), *given, "--force", "--out"]
    process = partial(subprocess.run, [*command, str(folder / f"{method}-command")], check=True, capture_output=True)
    return {
        "method": method,
        "classes taught": len(classes),
        "teach, s": taught,
        "chain, s": again,
        "ratio": again / taught,
        "command, s": fastest(repeat, process),
    }


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.teaching`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.teaching",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--method", action="append", choices=METHODS, help="may be repeated (default: all)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--clips", type=int, default=40, help="of a class of the demo (default: 40)")
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    benchmark = earshot.prepare("demo", out=out / "demo", clips_per_class=options.clips, progress=False)
    runs = out / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    rows = [measure(benchmark, method, runs, options.repeat) for method in options.method or METHODS]
    print(f"{os.cpu_count()} cores\n\n{rows_table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
