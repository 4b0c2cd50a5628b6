"""Measures what sharing saves: a sweep over settings of EDE's incremental sessions, with and without sharing.

    python -m benchmarks.sweep --out FOLDER

runs `earshot sweep` twice, 16 configurations x 3 seeds on the demo benchmark (ffcac-25), the second time with
`--no-share`: every trial then trains its own base session and embeds its own clips, as on plain Ray Tune. It prints
wall and CPU seconds of all processes, wall seconds in sessions, the time of the slots outside of sessions (starting,
ending, waiting), and whether all predictions are equal.

The backbone has the depth of AST-base (12 blocks) and an eighth of its width, with random weights: the share of the
base session in a chain depends on the depth, because the base session trains all blocks and a later one a single block.
It also depends on the epochs: see `--base-epochs` and `--incremental-epochs`.
"""

import argparse
import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import ASTConfig, ASTModel

from benchmarks.watch import CommandError, Cost, watch
from datasets.utils.cli import as_program
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.markdown import table
from trainables.records import TrialRecord

CONFIGURATIONS, SEEDS = 16, 3
OPTIONS = {"shared": [], "apart": ["--no-share"]}


@dataclass(frozen=True)
class Measured:
    """The measurements of one of the two sweeps.

    Attributes:
        cost: of all its processes.
        base: seconds in base sessions that were computed.
        later: seconds in later sessions that were computed.
        sessions: that were computed.
        predictions: digests by file.
    """

    cost: Cost
    base: float
    later: float
    sessions: int
    predictions: dict[str, str]


def backbone(folder: Path, depth: int, width: int) -> Path:
    """Saves an AST with random weights and returns its folder."""
    if not (folder / "config.json").exists():
        config = ASTConfig(
            hidden_size=width,
            num_hidden_layers=depth,
            num_attention_heads=3,
            intermediate_size=4 * width,
            max_length=1024,
            num_mel_bins=128,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            ASTModel(config).save_pretrained(folder)
    return folder


def run(mode: str, arguments: argparse.Namespace) -> Measured:
    """Runs the sweep in one mode of `OPTIONS`, with an empty store."""
    runs = arguments.out / mode
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir(parents=True)
    space = runs / "space.yaml"
    rates = [round(1e-3 * 1.2**n, 6) for n in range(arguments.configurations)]
    space.write_text(
        f"methods: {{ede: {{base_epochs: {arguments.base_epochs}, incremental_epochs: {arguments.incremental_epochs}, "
        f"incremental_lr: {{choice: {rates}}}}}}}\n"
    )
    cost = watch(
        [
            *(sys.executable, "-m", "orchestrator.sweep", "--benchmark", str(arguments.out / "demo"), "--name", "run"),
            *("--space", str(space), "--search", "grid", "--seeds", str(arguments.seeds), "--runs", str(runs)),
            *("--backbone", str(arguments.out / "backbone"), "--workers", str(arguments.workers), *OPTIONS[mode]),
        ]
    )
    trials = runs / "run" / "trials"
    computed = [
        s for path in trials.glob("*/trial.json") for s in TrialRecord.load(path.parent).sessions if not s.cached
    ]
    return Measured(
        cost,
        sum(session.seconds for session in computed if session.index == 0),
        sum(session.seconds for session in computed if session.index > 0),
        len(computed),
        {
            str(path.relative_to(trials)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in trials.glob("*/session-*.parquet")
        },
    )


@as_program
def main(words: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.sweep`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for everything")
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int, default=2, help="trials at a time")
    parser.add_argument("--base-epochs", type=int, default=50)
    parser.add_argument("--incremental-epochs", type=int, default=10)
    parser.add_argument("--depth", type=int, default=12, help="blocks of the backbone")
    parser.add_argument("--width", type=int, default=96, help="of the backbone, a multiple of 3")
    arguments = parser.parse_args(words)
    try:
        prepare("demo", None, arguments.out / "demo")
        backbone(arguments.out / "backbone", arguments.depth, arguments.width)
        measured = {mode: run(mode, arguments) for mode in OPTIONS}
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rows = [
        [
            mode,
            f"{result.cost.seconds:.0f}",
            f"{result.cost.cpu_seconds:.0f}",
            f"{result.base:.0f}",
            f"{result.later:.0f}",
            result.sessions,
            f"{arguments.workers * result.cost.seconds - result.base - result.later:.0f}",
        ]
        for mode, result in measured.items()
    ]
    header = [
        "mode",
        ">wall s",
        ">CPU s",
        ">base sessions s",
        ">later sessions s",
        ">sessions computed",
        ">outside of sessions, slot s",
    ]
    print(table(header, rows))
    shared, apart = measured["shared"], measured["apart"]
    same = sum(shared.predictions[name] == digest for name, digest in apart.predictions.items())
    print(
        f"\nsharing: {apart.cost.cpu_seconds / shared.cost.cpu_seconds:.1f} x fewer CPU seconds, "
        f"{apart.cost.seconds / shared.cost.seconds:.1f} x less time; "
        f"{same} of {len(apart.predictions)} prediction files are equal"
    )
    return 0 if same == len(apart.predictions) == len(shared.predictions) else 1


if __name__ == "__main__":
    sys.exit(main())
