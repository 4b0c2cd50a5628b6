"""Writes a trained chain to a self-contained folder: weights, prototypes, classes, front end, configuration.

    earshot export RUN [TRIAL] --out DIR

RUN is a run folder or its name in runs/ (--runs). TRIAL is one of:

    best             the configuration with the best validation AA, its first seed (the default)
    a method         the same among its configurations
    a configuration  its first seed
    a trial          or the beginning of its name, if it is unique

Then classify recordings with DIR: earshot predict DIR recording.wav
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.utils.cli import CommandLine, as_program, local_path
from orchestrator.exporting.output_folder import check_output
from orchestrator.results.run_folder import RunFolder

if TYPE_CHECKING:
    from trainables.inference.description import Description


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot export`."""
    options = parser().parse_args(arguments)
    check_output(options.out, force=options.force)  # before the imports: a wrong path fails at once
    folder = RunFolder.find(options.run, options.runs)
    from orchestrator.exporting.export import Overrides, export

    overrides = Overrides(options.benchmark, options.backbone, options.store)
    model = export(
        folder, options.trial, options.out, session=options.session, overrides=overrides, force=options.force
    )
    _print_summary(model, options.out)
    return 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.export", description=__doc__)
    command.add_argument("run", metavar="RUN", help="run folder of a sweep, or its name in --runs")
    command.add_argument("trial", metavar="TRIAL", nargs="?", default="best", help="see above (default: best)")
    command.add_argument("--out", type=local_path, required=True, metavar="DIR", help="new folder for the model")
    command.add_argument("--session", type=int, metavar="N", help="state after session N (default: the last finished)")
    command.add_argument("--force", action="store_true", help="replace an existing export")
    command.add_argument(
        "--runs", type=local_path, default=Path("runs"), metavar="DIR", help="folder of the runs (default: runs)"
    )
    inputs = command.add_argument_group("inputs that have moved since the sweep")
    inputs.add_argument("--benchmark", metavar="DIR", help="folder or URI of the prepared benchmark")
    inputs.add_argument("--backbone", metavar="NAME", help="hub name, checkpoint or folder of the same weights")
    inputs.add_argument("--store", metavar="PLACE", help="folder or URI of the stages (default: store beside the run)")
    return command


def _print_summary(model: "Description", out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from datasets.utils.text import printable

    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in (
        ("trial", model.trial),
        ("session", f"{model.session} of 0 to {model.planned_sessions - 1}"),
        ("classes", f"{len(model.classes)}"),
        ("heads", f"{', '.join(model.heads)} (default: {model.default_head})"),
        ("clip", f"{model.num_samples / model.sample_rate:g} s at {model.sample_rate} Hz"),
        ("size", f"{size / 1e6:.1f} MB"),
        ("folder", str(out)),
    ):
        table.add_row(key, escape(printable(value)))
    Console(soft_wrap=True, highlight=False).print(table)


if __name__ == "__main__":
    sys.exit(main())
