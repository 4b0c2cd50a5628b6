"""All methods on real recordings, and what each departure from the released EDE changes.

    python -m benchmarks.methods --out FOLDER                 the table of methods (docs/methods.md)
    python -m benchmarks.methods --out FOLDER --differences   EDE as released, step by step, against the paper's

prepares ravdess-16k (24 speakers) and philharmonia (15 instruments), sweeps every method with the settings of
`search_spaces/table.yaml` (defaults, at most 20 epochs a stage of training) over three seeds with the small AST that
made the golden tensors, and prints Markdown tables. Every seed draws another class order, another support and other
initial weights. That AST was trained with the front end of the release, on some of these speakers: this shows that the
methods run, not how good they are.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.facts import name_with_track
from orchestrator.reporting.formatting import mean_std, percent
from orchestrator.reporting.markdown import table
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate, estimate
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.sweep import sweep
from trainables.records import TRANSDUCTIVE

FLOOR = "mfcc-ncm"
CLIP = {"sample_rate": 16_000, "clip_seconds": 2.0}
CORPORA = {
    # the levels as recorded, since the AST was trained on them
    "ravdess-16k": ("librispeech", {**CLIP, "loudness": False, "train": 40, "val": 10, "test": 20}),
    "philharmonia": ("folder", CLIP),
}


def run(name: str, space: str, frontend: str, options: argparse.Namespace) -> Run:
    """Prepares a corpus, sweeps a space over it, and reads the run."""
    corpus, settings = CORPORA[name]
    benchmark = options.out / name
    prepare(corpus, options.shared / "corpora" / name, benchmark, settings)
    arguments = [
        *("--benchmark", str(benchmark), "--runs", str(options.out / "runs"), "--space", space),
        *("--seeds", str(options.seeds), "--search", "grid"),
        *("--protocol", "free", "--base", "5", "--way", "5", "--shot", "5", "--class-order", "seeded"),
        *("--backbone", str(options.shared / "golden" / "ast-tiny-original.safetensors"), "--frontend", frontend),
    ]
    for method in options.method or ():
        arguments += ["--method", method]
    return Run.load(sweep(parse(arguments), Console()).folder)


def methods_table(run: Run) -> str:
    """Every method by its default head, best AA first; the last columns compare with the floor on the same seeds.

    Transductive methods are below all others, and are not compared with the floor.
    """
    chains = run.chains[run.chains["split"] == "test"]
    sessions = run.sessions[run.sessions["split"] == "test"]
    last = run.planned_sessions
    header = ["method", "head", ">n", *(f">A_{t}" for t in range(last)), ">AA", ">PD", ">forgetting"]
    header += [f">AA over {FLOOR}", ">seconds", ">values stored"]
    rows: list[tuple[bool, float, list[object]]] = []
    floor = chains[chains["method"] == FLOOR].set_index("seeds")["aa"]
    for method in run.methods:
        choice = run.best(method)
        configuration, apart = choice.configuration, choice.track == TRANSDUCTIVE
        head = run.default_head(configuration)
        mine = chains[(chains["configuration"] == configuration) & (chains["head"] == head)].set_index("seeds")
        by_session = sessions[(sessions["configuration"] == configuration) & (sessions["head"] == head)]
        accuracies = by_session.groupby("session")["micro"].mean()
        row: list[object] = [
            *(name_with_track(choice.entry), head, len(mine)),
            *(percent(accuracies.get(t, float("nan"))) for t in range(last)),
            *(mean_std(estimate(mine["aa"])), percent(mine["pd"].mean()), percent(mine["forgetting"].mean())),
            difference(estimate((mine["aa"] - floor).dropna())) if method != FLOOR and not apart else "",
            f"{mine['seconds'].mean():.0f}",
            f"{mine['parameters_stored'].mean():,.0f}",
        ]
        rows.append((apart, -float(mine["aa"].mean()), row))
    return table(header, [row for *_, row in sorted(rows, key=lambda ranked: ranked[:2])])


def difference(value: Estimate) -> str:
    """Mean difference with its 95 % interval, in points: '+3.1 (1.0 to 5.2)'."""
    if value.n == 0:
        return ""
    interval = f" ({100 * value.low:.1f} to {100 * value.high:.1f})" if value.n > 1 else ""
    return f"{100 * value.mean:+.1f}{interval}"


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
    """`python -m benchmarks.methods`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA), help="may be repeated (default: both)")
    parser.add_argument("--method", action="append", help="may be repeated (default: all)")
    parser.add_argument("--space", default="table", help="search space, or its YAML file (default: table)")
    parser.add_argument("--differences", action="store_true", help="EDE's departures from the release instead")
    options = parser.parse_args(arguments)
    for name in options.corpus or CORPORA:
        print(f"\n### {name}\n")
        if options.differences:
            kinds = ("kaldi", "reference")
            print(differences_table({kind: run(name, "ede-differences", kind, options) for kind in kinds}))
        else:
            print(methods_table(run(name, options.space, "reference", options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
