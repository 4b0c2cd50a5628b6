"""Run a sweep: search space x seeds, one chain per trial.

    earshot sweep                                        the demo
    earshot sweep --benchmark data/ls100 --method ede --protocol ffcac-25 --seeds 5 --trials 16
    earshot sweep --config sweep.yaml --budget 2h
    earshot sweep --recipe ede-ls100
    earshot sweep --resume RUN

A sweep that was interrupted is resumed by the same command, or by --resume: completed sessions are cached, not computed
again. Exit status: 0 all trials finished, 1 some failed, 2 bad input, 3 the budget was used up, 130 interrupted (by
SIGTERM 143, by SIGHUP 129).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from datasets.utils.cli import CommandLine, as_program, exit_status
from datasets.utils.console import output_console
from datasets.utils.errors import EarshotError, error_line
from datasets.utils.humanize import format_duration
from datasets.utils.text import plural, typed_path
from orchestrator.tuning import arguments as command_line
from orchestrator.tuning.config import ATTEMPTS, SweepConfig
from orchestrator.tuning.inputs import check_inputs
from trainables.networks.specs import RANDOM

if TYPE_CHECKING:  # they import Ray and PyTorch, which takes seconds
    from orchestrator.monitoring.events import SweepEvents
    from orchestrator.tuning.sweep import Outcome


@dataclass
class _Output:
    """What a sweep has left so far: the run folder and its report, once they exist."""

    folder: Path | None = None
    report: Path | None = None


def parser() -> CommandLine:
    """The command line."""
    return command_line.parser(__doc__)


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot sweep`; returns its exit status."""
    options = parser().parse_args(arguments)
    output = _Output()
    if not command_line.shows_json(options):
        return _run(options, output, None)
    from orchestrator.monitoring.events import SweepEvents, claimed_stdout

    with claimed_stdout() as stream:
        events = SweepEvents(stream, ATTEMPTS)
        with _error_event(events, output):
            status = _run(options, output, events)
        events.sweep_ended(status, folder=output.folder, report=output.report)
        return status


@contextmanager
def _error_event(events: "SweepEvents", output: _Output) -> Iterator[None]:
    """Writes the last event if the block raises, and raises the error again."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        status, reason = exit_status(error)
        events.sweep_ended(status, folder=output.folder, report=output.report, reason=reason)
        raise


def _run(options: argparse.Namespace, output: _Output, events: "SweepEvents | None") -> int:
    """Runs the sweep of a command line; returns its exit status."""
    config = command_line.configuration(options)
    check_inputs(config, command_line.prepare_commands(options))
    console = Console(stderr=True) if events else output_console()
    console.print("loading PyTorch, Ray and Optuna")
    from orchestrator.reporting.options import SUMMARY_WIDTH
    from orchestrator.tuning.sweep import preview, sweep

    if not events:
        console = output_console(SUMMARY_WIDTH)
    if config.dry_run:
        preview(config, console, events)
        return 0
    outcome = sweep(config, console, events)
    output.folder = outcome.folder
    try:
        output.report = _write_report(outcome, console)
    except (EarshotError, OSError) as error:
        reason = error_line(error).removeprefix("error: ")
        resume = command_line.resume_command(outcome.folder, config)
        raise EarshotError(f"{reason}; completed sessions are saved; resume with {resume}") from error
    _print_end(config, outcome, output.report, console)
    return 1 if outcome.failed else 0 if outcome.complete else 3


def _write_report(outcome: "Outcome", console: Console) -> Path | None:
    """Writes the report, prints the summary table, and returns the report's path; None if there are no results.

    Raises:
        EarshotError: all trials failed, or the report cannot be written.
    """
    from orchestrator.reporting.summary import summary_table
    from orchestrator.reporting.write import write_report
    from orchestrator.results.run import Run

    if list(outcome.folder.glob("trials/*/trial.json")):
        run = Run.load(outcome.folder)
        report = Path(str(write_report(run)))
        console.print(summary_table(run, console.width))
        return report
    if outcome.failed:
        raise EarshotError(f"all {outcome.trials} trials failed: {next(iter(outcome.failed.values()))}")
    return None


def _print_end(config: SweepConfig, outcome: "Outcome", report: Path | None, console: Console) -> None:
    """Prints the number of trials and sessions, and what to do next."""
    from orchestrator.tuning.plan import find_spaces
    from trainables.methods.registry import find_method

    tally = outcome.tally
    console.print(
        f"{plural(outcome.trials, 'trial')}, {plural(tally.computed, 'session')} computed, {tally.cached} cached"
        + (f", {plural(len(outcome.failed), 'trial')} failed" if outcome.failed else "")
        + (f", {tally.stopped} stopped early" if tally.stopped else "")
    )
    random = [spec.name for spec in config.backbones if spec.name in RANDOM]
    if random and any(find_method(space.method).backbone for space in find_spaces(config)):
        console.print(
            f"backbone {', '.join(dict.fromkeys(random))} has random weights: use it for trying things "
            "out, not for results; choose a pretrained one with --backbone",
            soft_wrap=True,
        )
    resume = escape(command_line.resume_command(outcome.folder, config))
    if not outcome.complete:
        used_up = f"the budget of {format_duration(config.budget or 0)} is used up"
        console.print(f"{used_up}; resume with: {resume}", soft_wrap=True)
    elif outcome.failed:
        console.print(f"try the failed trials again with: {resume}", soft_wrap=True)
    if report is not None:
        console.print(f"report: {escape(typed_path(report))}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
