"""A sweep as a function: plan, start Ray, run the trials, count what they did."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from datasets.benchmark.manifest import FILE_NAME
from datasets.utils.errors import EarshotError, Interrupted, error_line
from datasets.utils.location import Location
from datasets.utils.text import typed_path
from orchestrator.cluster.session import start_ray
from orchestrator.monitoring.events import SweepEvents
from orchestrator.monitoring.live_report import PAGE, LivePage
from orchestrator.monitoring.loggers import loggers
from orchestrator.monitoring.progress import SweepProgress
from orchestrator.monitoring.store_eviction import StoreKeeper
from orchestrator.monitoring.watcher import Watcher
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.options import SUMMARY_WIDTH
from orchestrator.results.run_folder import TENSORBOARD, Tally
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.dry_run import dry_run, show
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.precompute import embed
from orchestrator.tuning.trials import ATTEMPTS, room, run_trials
from search_spaces.loader import MethodSpace


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
                f"{error_line(error).removeprefix('error: ')}; completed sessions are saved. Fix the "
                f"problem and resume with --resume {typed_path(plan.folder.path)}"
            ) from error
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted; completed sessions are saved. Run the same command again, or "
                f"earshot sweep --resume {typed_path(plan.folder.path)}"
            ) from None


def preview(config: SweepConfig, console: Console, events: SweepEvents | None = None) -> None:
    """Tells what a sweep would do (`--dry-run`).

    Raises:
        EarshotError: what the sweep would raise before its first trial; or the demo's benchmark is not there yet.
    """
    benchmark = find_benchmark(config)
    plan = _planned(config, find_spaces(config), benchmark)
    if plan is None:
        raise EarshotError(
            f"{benchmark}: the sweep would first prepare the demo benchmark; for a dry run, prepare it now: "
            f"earshot prepare demo --out {benchmark}"
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
        plain = Console(force_terminal=False, width=SUMMARY_WIDTH) if config.show == "verbose" else console
        console.print(f"page, from the first session on: {escape(typed_path(folder.path / PAGE))}", soft_wrap=True)
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
    with folder.lock(plan.what, plan.where()):
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
