"""What a command costs before it does anything: CPU seconds and memory of `--help`, of a wrong path, of short commands.

    python -m benchmarks.start_up --before OTHER_CHECKOUT --run RUN --model DIR

Each command is a process of its own, measured by `os.wait4` (user + system time of the process, its largest resident
memory), in this checkout and in another one, in turns; the median of `--repeat` is shown. The baseline of every row is
the same command in the other checkout.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERBS = (
    "prepare", "audit", "sweep", "runs", "report", "compare", "cite", "leaderboard", "export", "predict", "teach",
    "forget", "stages", "check-method",
)  # fmt: skip


def measured(checkout: Path, arguments: Sequence[str]) -> tuple[float, float]:
    """CPU seconds and peak resident memory (MB) of `python -m ...` with a checkout's code."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # it was waited for here
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def has(checkout: Path, module: str) -> bool:
    """Whether a checkout has a module or package."""
    path = checkout / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def rows(run: Path | None, model: Path | None, recording: Path | None) -> dict[str, list[str]]:
    """Name of the row -> arguments of Python."""
    made = {f"{verb} --help": [f"orchestrator.{verb.replace('-', '_')}", "--help"] for verb in VERBS}
    made |= {f"{verb} --help": [f"trainables.{verb}", "--help"] for verb in ("chain", "pretrain")}
    made["earshot --help"] = ["orchestrator", "--help"]
    made["sweep --version"] = ["orchestrator.sweep", "--version"]
    made["sweep --methd ede (a typo)"] = ["orchestrator.sweep", "--methd", "ede"]
    for line in (
        "sweep --config nowhere.yaml",
        "prepare folder --source nowhere --out out",
        "prepare table --source nowhere --csv nowhere.csv --out out",
        "audit nowhere",
        "report nowhere",
        "export nowhere --out out",
        "predict nowhere one.wav",
        "teach nowhere --class cat one.wav --in-place",
        "forget nowhere --class cat --in-place",
        "cite nowhere",
        "leaderboard show nowhere",
        "stages ls nowhere",
    ):
        verb, *words = line.split()
        made[line] = [f"orchestrator.{verb}", *words]
    if run is not None:
        made["stages ls RUN"] = ["orchestrator.stages", "ls", str(run)]
        made["compare RUN"] = ["orchestrator.compare", str(run)]
        made["report RUN"] = ["orchestrator.report", str(run)]
    if model is not None and recording is not None:
        made["predict MODEL one.wav"] = ["orchestrator.predict", str(model), str(recording)]
    return made


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, metavar="DIR", help="a checkout of another commit")
    parser.add_argument("--run", type=Path, metavar="RUN", help="a run folder that both can read")
    parser.add_argument("--model", type=Path, metavar="DIR", help="an exported model that both can read")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="for --model")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="the median of so many (default: 3)")
    arguments = parser.parse_args()
    print("| command | CPU s before | CPU s | ratio | MB before | MB |\n|---|---:|---:|---:|---:|---:|")
    places = [path.absolute() if path else None for path in (arguments.run, arguments.model, arguments.recording)]
    for name, words in rows(*places).items():
        checkouts = [checkout for checkout in (arguments.before.resolve(), ROOT) if has(checkout, words[0])]
        results: list[list[tuple[float, float]]] = [[] for _ in checkouts]
        for _ in range(arguments.repeat):
            for checkout, values in zip(checkouts, results, strict=True):
                values.append(measured(checkout, words))
        medians = [[statistics.median(column) for column in zip(*values, strict=True)] for values in results]
        cpu, memory = medians[-1]
        if len(medians) == 1:
            print(f"| `{name}` | - | {cpu:.2f} | - | - | {memory:.0f} |", flush=True)
            continue
        cpu_before, memory_before = medians[0]
        seconds = f"{cpu_before:.2f} | {cpu:.2f} | {cpu_before / cpu:.1f}"
        print(f"| `{name}` | {seconds} | {memory_before:.0f} | {memory:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
