"""What each departure of EDE from the released code changes, step by step (docs/methods.md).

    python -m benchmarks.ede_differences --out FOLDER

prepares ravdess-16k (24 speakers) and philharmonia (15 instruments), sweeps EDE with the settings of
`search_spaces/ede-differences.yaml` over three seeds and both front ends, with the small AST that made the golden
tensors, and prints a Markdown table for each corpus. Every seed draws another class order, another support and other
initial weights. That AST was trained with the front end of the release, on some of these speakers.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.corpora import CORPORA
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.formatting import mean_std
from orchestrator.reporting.markdown import table
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import estimate
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.sweep import sweep

FRONT_ENDS = ("kaldi", "reference")


def run(name: str, frontend: str, options: argparse.Namespace) -> Run:
    """Prepares a corpus, sweeps EDE over it with one front end, and reads the run."""
    corpus, settings = CORPORA[name]
    benchmark = options.out / name
    prepare(corpus, options.shared / "corpora" / name, benchmark, settings)
    arguments = [
        *("--benchmark", str(benchmark), "--runs", str(options.out / "runs"), "--space", "ede-differences"),
        *("--seeds", str(options.seeds), "--search", "grid"),
        *("--protocol", "free", "--base", "5", "--way", "5", "--shot", "5", "--class-order", "seeded"),
        *("--backbone", str(options.shared / "golden" / "ast-tiny-original.safetensors"), "--frontend", frontend),
    ]
    return Run.load(sweep(parse(arguments), Console()).folder)


def differences_table(runs: dict[str, Run]) -> str:
    """EDE under each combination of departures: AA of the three heads.

    Args:
        runs: by name of the front end.
    """
    header = ["front end", "base epochs", "exemplars from", ">prototype AA", ">linear AA", ">nme AA"]
    rows: list[tuple[str, int, str, list[str]]] = []
    for frontend, run in runs.items():
        chains = run.chains[run.chains["split"] == "test"]
        for configuration in run.configurations():
            settings = run.of(configuration)[0].settings
            mine = chains[chains["configuration"] == configuration]
            cells = [mean_std(estimate(mine[mine["head"] == head]["aa"])) for head in ("prototype", "linear", "nme")]
            rows.append((frontend, settings["base_epochs"], settings["exemplar_pool"], cells))
    rows.sort(key=lambda row: (row[0], -row[1], row[2] != "support"))
    return table(header, [[*row[:3], *row[3]] for row in rows])


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.ede_differences`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ede_differences", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA), help="may be repeated (default: both)")
    options = parser.parse_args(arguments)
    for name in options.corpus or CORPORA:
        print(f"\n### {name}\n")
        print(differences_table({frontend: run(name, frontend, options) for frontend in FRONT_ENDS}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
