"""Compares our EDE with the released one: per-session accuracy of the three heads on real speech.

    python -m benchmarks.parity --out FOLDER

prepares the 24 speakers of ravdess-16k as for the golden chains, runs a sweep of five seeds with the AST of the golden
tensors and `compat: reference`, and prints both results as a Markdown table (docs/parity.md).
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from datasets.utils.errors import EarshotError, error_line
from orchestrator.preparation.pipeline import prepare
from orchestrator.results.run import Run
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.sweep import sweep

SPEAKERS = 24
CORPUS = {"split": "cyclic", "train": 7, "val": 0, "test": 3, "loudness": False}


def released_accuracies(shared: Path) -> dict[str, Any]:
    """`per_seed`, `mean` and `std_ddof1` of the released code by head, fractions by session."""
    heads: dict[str, Any] = json.loads((shared / "golden" / "reference_chain.json").read_text())["heads"]
    return heads


def measured_accuracies(shared: Path, out: Path, console: Console) -> dict[str, np.ndarray]:
    """Accuracy `[seeds, sessions]` on test clips of all classes seen so far, by head."""
    benchmark = out / "ravdess"
    prepare("librispeech", shared / "corpora" / "ravdess-16k", benchmark, CORPUS)
    # labels are in lexicographic order (1, 10, 11, ...), the golden chains used numerical order
    names = sorted(str(number) for number in range(1, SPEAKERS + 1))
    order = [names.index(str(number)) for number in range(1, SPEAKERS + 1)]
    config = parse(
        [
            *("--benchmark", str(benchmark), "--runs", str(out / "runs"), "--name", "parity"),
            *("--space", "parity", "--frontend", "reference", "--seeds", "5", "--validation", "1"),
            *("--backbone", str(shared / "golden" / "ast-tiny-original.safetensors")),
            *("--base", "4", "--way", "4", "--protocol", "free", "--class-order", ",".join(map(str, order))),
        ]
    )
    outcome = sweep(config, console)
    if outcome.failed:
        raise EarshotError(next(iter(outcome.failed.values())))
    sessions = Run.load(outcome.folder).sessions
    sessions = sessions[sessions["split"] == "test"]
    return {
        str(head): rows.pivot(index="trial", columns="session", values="micro").to_numpy()
        for head, rows in sessions.groupby("head")
    }


def table(reference: dict[str, Any], measured: dict[str, np.ndarray]) -> str:
    """Both results side by side, Markdown, in percent: mean and std (ddof 1) over five seeds."""
    lines = ["| head | code | " + " | ".join(f"A_{t}" for t in range(6)) + " |", "|---|---|" + "---:|" * 6]
    for head, values in reference.items():
        rows = {"released": np.array(values["per_seed"]), "Earshot": measured[head]}
        for code, accuracies in rows.items():
            mean, std = 100 * accuracies.mean(axis=0), 100 * accuracies.std(axis=0, ddof=1)
            cells = " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(mean, std, strict=True))
            lines.append(f"| {head} | {code} | {cells} |")
    return "\n".join(lines)


def main() -> int:
    """`python -m benchmarks.parity`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        print(table(released_accuracies(options.shared), measured_accuracies(options.shared, options.out, Console())))
    except (EarshotError, OSError) as error:
        print(error_line(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
