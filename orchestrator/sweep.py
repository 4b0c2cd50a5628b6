"""Run a sweep: search space x seeds, one chain per trial.

    python -m orchestrator.sweep                                        the demo
    python -m orchestrator.sweep --benchmark data/ls100 --method ede --protocol ffcac-25 --seeds 5 --trials 16
    python -m orchestrator.sweep --config sweep.yaml --budget 2h
    python -m orchestrator.sweep --resume RUN

A sweep that was interrupted in any way is finished by the same command, or by --resume: finished sessions are found,
not computed. Exit status: 0 all trials finished, 1 some failed, 2 bad input, 3 the budget was used up, 130 interrupted.
"""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from datasets.benchmark.manifest import FILE_NAME
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError, told
from datasets.utils.humanize import told_seconds
from datasets.utils.location import Location
from orchestrator.cluster.session import start_ray
from orchestrator.monitoring.events import SweepEvents, claimed_stdout
from orchestrator.monitoring.live_report import PAGE, LivePage
from orchestrator.monitoring.loggers import loggers
from orchestrator.monitoring.progress import SweepProgress
from orchestrator.monitoring.store_eviction import StoreKeeper
from orchestrator.monitoring.watcher import Watcher
from orchestrator.prepare import prepare
from orchestrator.results.run_folder import TENSORBOARD, Tally
from orchestrator.tuning import config
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.config import SweepConfig, parse
from orchestrator.tuning.dry_run import dry_run, show
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.precompute import embed
from orchestrator.tuning.trials import ATTEMPTS, room, run_trials
from search_spaces.loader import MethodSpace
from trainables.learners.learner import find_method
from trainables.networks.backbone import RANDOM

NARROWEST = 110  # columns of the table at the end, where the output is no terminal


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        folder: of the run.
        trials: number of trials that were started.
        failed: reasons by trial.
        complete: whether all trials of the sweep have ended; false where the budget was used up.
        tally: what became of the trials.
        seconds: wall time, of trials alone.
    """

    folder: Path
    trials: int
    failed: dict[str, str]
    complete: bool
    tally: Tally
    seconds: float


def sweep(config: SweepConfig, console: Console, events: SweepEvents | None = None) -> Outcome:
    """Runs a sweep to its end; the report is another's (`orchestrator.report`).

    Args:
        config: what to run.
        console: where progress is drawn.
        events: hears of the progress instead.

    Raises:
        EarshotError: anything that is wrong with the configuration, before any trial starts; or what ended the sweep.
    """
    spaces = find_spaces(config)
    benchmark = find_benchmark(config)
    plan = _planned(config, spaces, benchmark)  # what is wrong is told before Ray starts
    config.runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with console.status("starting Ray"):
            url = stack.enter_context(
                start_ray(config.address, dashboard=config.dashboard, verbose=config.show == "verbose")
            )
        if url is not None:
            console.print(f"dashboard: {url}")
        if plan is None:
            with console.status("preparing the demo benchmark (once)"):
                manifest = prepare("demo", None, benchmark)
            console.print(f"prepared the demo benchmark: {manifest.clips.total} clips in {benchmark}")
            plan = make_plan(config, spaces, benchmark)
        try:
            return _run(plan, console, events)
        except OSError as error:
            raise EarshotError(
                f"{told(error).removeprefix('error: ')}; nothing that was finished is lost: mend it and go on with "
                f"--resume {_shown(plan.folder.path)}"
            ) from error
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_shown(plan.folder.path)) from None


def foretell(config: SweepConfig, console: Console, events: SweepEvents | None = None) -> None:
    """Tells what a sweep would do (`--dry-run`).

    Raises:
        EarshotError: what the sweep would raise before its first trial; or the demo's benchmark is not there yet.
    """
    benchmark = find_benchmark(config)
    plan = _planned(config, find_spaces(config), benchmark)
    if plan is None:
        raise EarshotError(
            f"{benchmark}: the sweep would prepare the demo benchmark first; to be told more, do that now: "
            f"python -m orchestrator.prepare demo --out {benchmark}"
        )
    found = dry_run(plan)
    if events is None:
        show(found, console)
    else:
        events.foretold(found.document())


def _planned(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location) -> Plan | None:
    """The plan, where the benchmark is there; the demo's may have to be made yet."""
    return None if (benchmark / FILE_NAME).size() is None else make_plan(config, spaces, benchmark)


def _run(plan: Plan, console: Console, events: SweepEvents | None) -> Outcome:
    config, folder = plan.config, plan.folder
    at_once = room(config)
    totals = {search.space.method: search.total * len(config.seeds) for search in plan.searches()}
    budget = Budget(config.budget)
    started = time.monotonic()
    watching: list[Watcher] = [LivePage(folder, plan.benchmark)]
    watching += loggers(config.log, folder.path.name, config.runs, folder.path / TENSORBOARD)
    if config.share:
        watching.append(StoreKeeper(plan.store, config.store_size))
    if events is None:
        # between the messages of --verbose a live view would be torn
        plain = Console(force_terminal=False, width=NARROWEST) if config.show == "verbose" else console
        console.print(f"page, from the first session on: {escape(_shown(folder.path / PAGE))}", soft_wrap=True)
        watching.append(SweepProgress(plain, totals, plan.sessions, ATTEMPTS))
    else:
        watching.append(events)
        events.sweep_started(
            folder.path,
            benchmark=str(plan.benchmark),
            protocol=config.protocol.model_dump(mode="json"),
            methods=totals,
            sessions=plan.sessions,
            at_once=at_once,
        )
    with folder.held(plan.what, plan.where()):
        plan.keep_space()
        if config.share:
            with console.status("embedding the clips") as status:
                embed(plan, at_once, lambda done, of: status.update(f"embedding the clips: {done} of {of} groups"))
        with ExitStack() as stack:
            for watcher in watching:
                stack.enter_context(watcher)
            ended = run_trials(plan, at_once, budget, watching)
        folder.gather()
        tally = folder.close(ended.names, ended.failed, ended.stopped, complete=ended.complete)
    seconds = time.monotonic() - started
    return Outcome(folder.path, len(ended.names), ended.failed, ended.complete, tally, seconds)


def parser() -> CommandLine:
    """The command line."""
    return config.parser(__doc__)


def main(arguments: list[str] | None = None) -> int:
    """`python -m orchestrator.sweep`; returns its exit status."""
    if "--json" not in (sys.argv[1:] if arguments is None else arguments):
        console = Console()
        return _main(arguments, console if console.is_terminal else Console(width=NARROWEST), None)
    with claimed_stdout() as stream:
        return _main(arguments, Console(stderr=True), SweepEvents(stream, ATTEMPTS))


def _main(arguments: list[str] | None, console: Console, events: SweepEvents | None) -> int:
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
        reason = told(error) + (f"; go on with --resume {_shown(folder)}" if folder is not None else "")
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
    from orchestrator.report import summary_table, write_report  # SciPy and Matplotlib take a second
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
        f"{outcome.trials} trials, {tally.computed} sessions computed, {tally.found} found"
        + (f", {len(outcome.failed)} trials failed" if outcome.failed else "")
        + (f", {tally.stopped} stopped early" if tally.stopped else "")
    )
    if config.backbone in RANDOM and any(find_method(space.method).backbone for space in find_spaces(config)):
        console.print(
            f"backbone {config.backbone} has random weights: good for trying things out, not for results; "
            "give a pretrained one with --backbone",
            soft_wrap=True,
        )
    resume = f"python -m orchestrator.sweep --resume {escape(_shown(outcome.folder))}"
    if not outcome.complete:
        used_up = f"the budget of {told_seconds(config.budget or 0)} is used up"
        console.print(f"{used_up}; go on with: {resume}", soft_wrap=True)
    elif outcome.failed:
        console.print(f"try the failed trials again with: {resume}", soft_wrap=True)
    if report is not None:
        console.print(f"report: {escape(_shown(report))}", soft_wrap=True)
    return report


def _shown(path: Path) -> str:
    """A path as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    sys.exit(as_program(main))
