"""A sweep as a function: plan, start Ray, run the trials, count the sessions, write the report."""

import time
from collections import Counter
from collections.abc import Sequence
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
from orchestrator.monitoring.listener import Listener
from orchestrator.monitoring.live_report import PAGE, LiveReport
from orchestrator.monitoring.live_training import LiveTraining
from orchestrator.monitoring.loggers import loggers
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.monitoring.progress import SweepProgress
from orchestrator.monitoring.ray_metrics import RayMetrics
from orchestrator.monitoring.remaining_time import CostKey
from orchestrator.monitoring.store_eviction import StoreEviction
from orchestrator.monitoring.sweep_state import SweepState
from orchestrator.preparation.pipeline import prepare
from orchestrator.reporting.options import SUMMARY_WIDTH
from orchestrator.reporting.write import write_report
from orchestrator.results.run import Run
from orchestrator.results.run_folder import TENSORBOARD, Tally
from orchestrator.tuning.arguments import resume_command
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.cached_trials import all_cached, run_cached_trials
from orchestrator.tuning.closed_form_trials import is_closed_form, run_closed_form_trials
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.dry_run import dry_run, show
from orchestrator.tuning.inputs import own_code
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.precompute import embed
from orchestrator.tuning.trials import ATTEMPTS, concurrent_trials, run_trials
from search_spaces.loader import MethodSpace


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        folder: of the run.
        trials: number of trials that were started.
        failed: trial -> reason.
        complete: whether all trials of the sweep have ended; false where the budget was used up.
        tally: number of sessions computed and cached, and of trials stopped.
        seconds: wall time, without the start of Ray and the report.
    """

    folder: Path
    trials: int
    failed: dict[str, str]
    complete: bool
    tally: Tally
    seconds: float


def sweep(config: SweepConfig, console: Console, events: SweepEvents | None = None) -> Outcome:
    """Runs a sweep to its end, without its report (`report_sweep`).

    Args:
        config: what to run.
        console: for progress.
        events: gets the progress instead of the console.

    Raises:
        EarshotError: the configuration is invalid, which is found before the first trial; or Ray or the file system
            ended the sweep.
        OSError: a folder cannot be written.
        Interrupted: Ctrl-C.
    """
    spaces = find_spaces(config)
    benchmark = find_benchmark(config)
    plan = _make_plan_if_prepared(config, spaces, benchmark)  # invalid input is reported before Ray starts
    config.runs.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            cluster = _Cluster(console, stack)
            if plan is None:
                cluster.start(config, spaces, "Run the same command again.")
                with console.status("preparing the demo benchmark (once)"):
                    manifest = prepare("demo", None, benchmark)
                console.print(f"prepared the demo benchmark: {manifest.clips.total} clips in {benchmark}")
                plan = make_plan(config, spaces, benchmark)
            return _run(plan, console, events, cluster)
    except KeyboardInterrupt:
        if plan is None:
            raise Interrupted("interrupted before the first trial; run the same command again") from None
        raise Interrupted(f"interrupted; completed sessions are saved. {_how_to_resume(plan)}") from None


def report_sweep(outcome: Outcome, config: SweepConfig) -> Run | None:
    """Writes the report of a sweep that has ended, to RUN/report/report.html and beside it.

    Returns:
        The run; None if it has no results yet, because the budget was used up before.

    Raises:
        EarshotError: all trials failed, or the report cannot be written.
    """
    try:
        if list(outcome.folder.glob("trials/*/trial.json")):
            run = Run.load(outcome.folder)
            write_report(run)
            return run
        if outcome.failed:
            raise EarshotError(f"all {outcome.trials} trials failed: {next(iter(outcome.failed.values()))}")
    except (EarshotError, OSError) as error:
        reason = error_line(error).removeprefix("error: ")
        resume = resume_command(outcome.folder, config)
        raise EarshotError(f"{reason}; completed sessions are saved; resume with {resume}") from error
    return None


def preview(config: SweepConfig, console: Console, events: SweepEvents | None = None) -> None:
    """Prints what a sweep would do, and does nothing (`--dry-run`).

    Args:
        config: of the sweep.
        console: where to print.
        events: gets the result instead of the console.

    Raises:
        EarshotError: what the sweep would raise before its first trial; or the demo benchmark is not prepared yet.
        OSError: a file cannot be read.
    """
    benchmark = find_benchmark(config)
    plan = _make_plan_if_prepared(config, find_spaces(config), benchmark)
    if plan is None:
        raise EarshotError(
            f"{benchmark}: the sweep would first prepare the demo benchmark; for a dry run, prepare it now: "
            f"earshot prepare demo --out {benchmark}"
        )
    result = dry_run(plan)
    if events is None:
        show(result, console)
    else:
        events.dry_run(result.document())


def _make_plan_if_prepared(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location) -> Plan | None:
    """The plan; None if the benchmark is the demo's, which is not prepared yet."""
    return None if (benchmark / FILE_NAME).size() is None else make_plan(config, spaces, benchmark)


class _Cluster:
    """Ray, started when it is first needed.

    Args:
        console: for messages.
        stack: ends Ray.
    """

    def __init__(self, console: Console, stack: ExitStack) -> None:
        self._console = console
        self._stack = stack
        self._started = False

    def start(self, config: SweepConfig, spaces: Sequence[MethodSpace], advice: str) -> None:
        """Starts or joins Ray, unless that has been done; `advice` is what the user can do if Ray dies."""
        if self._started:
            return
        with self._console.status("starting Ray"):
            url = self._stack.enter_context(
                start_ray(
                    config.address,
                    dashboard=config.dashboard,
                    verbose=config.show == "verbose",
                    advice=advice,
                    code=own_code(config, [space.code for space in spaces]),
                )
            )
        self._started = True
        if url is not None:
            self._console.print(f"dashboard: {url}")


def _run(plan: Plan, console: Console, events: SweepEvents | None, cluster: _Cluster) -> Outcome:
    config, folder = plan.config, plan.folder
    cached, at_once = all_cached(plan), 1
    here = cached or is_closed_form(plan)  # whether this process runs the trials
    if not here:
        cluster.start(config, plan.spaces, _how_to_resume(plan))
        at_once = concurrent_trials(config)
    budget = Budget(config.budget)
    started = time.monotonic()
    monitor = TuneMonitor(_listeners(plan, console, events, at_once))
    try:
        with folder.lock(plan.what, config.model_dump(mode="json"), plan.space, plan.backbones, plan.protocol_hash):
            if config.share and not here:
                with console.status("embedding the clips") as status:
                    embed(plan, at_once, lambda done, of: status.update(f"embedding the clips: {done} of {of} groups"))
            with monitor:
                run_here = run_cached_trials if cached else run_closed_form_trials
                outcomes = run_here(plan, budget, monitor) if here else None
                if outcomes is None:
                    cluster.start(config, plan.spaces, _how_to_resume(plan))
                    outcomes = run_trials(plan, concurrent_trials(config), budget, monitor)
            folder.gather()
            tally = folder.close(outcomes.names, outcomes.failed, outcomes.stopped, complete=outcomes.complete)
    except OSError as error:
        reason = error_line(error).removeprefix("error: ")
        raise EarshotError(
            f"{reason}; completed sessions are saved. Fix the problem. {_how_to_resume(plan)}"
        ) from error
    seconds = time.monotonic() - started
    return Outcome(folder.path, len(outcomes.names), outcomes.failed, outcomes.complete, tally, seconds)


def _listeners(plan: Plan, console: Console, events: SweepEvents | None, at_once: int) -> list[Listener]:
    """Everything that follows the trials; also announces the sweep on the console or in the events."""
    config, folder = plan.config, plan.folder
    trials: Counter[str] = Counter()
    costs: dict[CostKey, int] = {}
    for search in plan.searches():
        count = search.total * len(config.seeds)
        trials[search.space.method] += count
        costs[search.space.method, search.backbone] = count
    listeners: list[Listener] = [LiveReport(folder, plan.benchmark, SweepState(costs, plan.sessions, ATTEMPTS))]
    listeners += [LiveTraining(folder), RayMetrics(folder.path.name)]
    listeners += loggers(config.log, folder.path.name, config.runs, folder.path / TENSORBOARD)
    if config.share:
        listeners.append(StoreEviction(plan.store, config.store_size))
    if events is not None:
        events.sweep_started(
            folder.path,
            benchmark=str(plan.benchmark),
            protocol=config.protocol.model_dump(mode="json"),
            protocol_hash=plan.protocol_hash,
            methods=trials,
            sessions=plan.sessions,
            at_once=at_once,
        )
        return [*listeners, events]
    # the messages of --verbose would tear a live view apart
    plain = Console(force_terminal=False, width=SUMMARY_WIDTH) if config.show == "verbose" else console
    console.print(f"report, updated after each session: {escape(typed_path(folder.path / PAGE))}", soft_wrap=True)
    return [*listeners, SweepProgress(plain, costs, plan.sessions, ATTEMPTS)]


def _how_to_resume(plan: Plan) -> str:
    return f"Resume with {resume_command(plan.folder.path, plan.config)}"
