"""Run a sweep: search space x seeds, one chain per trial.

    python -m orchestrator.sweep                                        the demo
    python -m orchestrator.sweep --benchmark data/ls100 --method ede --protocol ffcac-25 --seeds 5 --trials 16
    python -m orchestrator.sweep --config sweep.yaml --budget 2h
    python -m orchestrator.sweep --resume RUN

A sweep that was interrupted in any way is finished by the same command, or by --resume: finished sessions are found,
not computed. Exit status: 0 all trials finished, 1 some failed, 2 bad input, 3 the budget was used up, 130 interrupted.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import output_console
from datasets.utils.errors import EarshotError, error_line
from datasets.utils.humanize import format_duration
from datasets.utils.text import typed_path
from orchestrator.monitoring.events import SweepEvents, claimed_stdout
from orchestrator.reporting.summary import SUMMARY_WIDTH
from orchestrator.tuning import arguments as command_line
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.plan import find_spaces
from orchestrator.tuning.sweep import Outcome, foretell, sweep
from orchestrator.tuning.trials import ATTEMPTS
from trainables.methods.registry import find_method
from trainables.networks.specs import RANDOM


def parser() -> CommandLine:
    """The command line."""
    return command_line.parser(__doc__)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.sweep`; returns its exit status."""
    if "--json" not in (sys.argv[1:] if arguments is None else arguments):
        return _main(arguments, output_console(SUMMARY_WIDTH), None)
    with claimed_stdout() as stream:
        return _main(arguments, Console(stderr=True), SweepEvents(stream, ATTEMPTS))


def _main(arguments: Sequence[str] | None, console: Console, events: SweepEvents | None) -> int:
    """Runs the sweep of a command line, tells how it ended, and returns the exit status."""
    folder: Path | None = None
    report: Path | None = None
    reason: str | None = None
    status = 2
    try:
        config = parse(arguments, __doc__)
        if config.show == "json" and events is None:
            raise EarshotError("show: found json in a file; stdout has to be claimed at the start, so give --json")
        if config.dry_run:
            foretell(config, console, events)
            status = 0
        else:
            outcome = sweep(config, console, events)
            folder = outcome.folder
            report = _tell(config, outcome, console)
            status = 1 if outcome.failed else 0 if outcome.complete else 3
    except (EarshotError, OSError) as error:
        reason = error_line(error) + (f"; go on with --resume {typed_path(folder)}" if folder is not None else "")
        print(reason, file=sys.stderr)
    except KeyboardInterrupt as interrupt:
        so_does = "".join(f", and so does --resume {run}" for run in interrupt.args)
        reason, status = f"interrupted; the same command again goes on from the finished sessions{so_does}", 130
        print(reason, file=sys.stderr)
    if events is not None:
        events.sweep_ended(status, folder=folder, report=report, reason=reason)
    return status


def _tell(config: SweepConfig, outcome: Outcome, console: Console) -> Path | None:
    """Writes the report, shows what a person wants to know first, and returns the report's path, if any."""
    from orchestrator.reporting.summary import summary_table
    from orchestrator.reporting.write import write_report
    from orchestrator.results.run import Run

    report = None
    if list(outcome.folder.glob("trials/*/trial.json")):
        run = Run.load(outcome.folder)
        report = Path(str(write_report(run)))
        console.print(summary_table(run, console.width))
    elif outcome.failed:
        raise EarshotError(f"all {outcome.trials} trials failed: {next(iter(outcome.failed.values()))}")
    tally = outcome.tally
    console.print(
        f"{outcome.trials} trials, {tally.computed} sessions computed, {tally.cached} found"
        + (f", {len(outcome.failed)} trials failed" if outcome.failed else "")
        + (f", {tally.stopped} stopped early" if tally.stopped else "")
    )
    if config.backbone in RANDOM and any(find_method(space.method).backbone for space in find_spaces(config)):
        console.print(
            f"backbone {config.backbone} has random weights: good for trying things out, not for results; "
            "give a pretrained one with --backbone",
            soft_wrap=True,
        )
    resume = f"python -m orchestrator.sweep --resume {escape(typed_path(outcome.folder))}"
    if not outcome.complete:
        used_up = f"the budget of {format_duration(config.budget or 0)} is used up"
        console.print(f"{used_up}; go on with: {resume}", soft_wrap=True)
    elif outcome.failed:
        console.print(f"try the failed trials again with: {resume}", soft_wrap=True)
    if report is not None:
        console.print(f"report: {escape(typed_path(report))}", soft_wrap=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
