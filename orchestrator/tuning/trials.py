"""Runs the trials of a plan with Ray Tune, and again where Ray gives up on all of them together."""

import logging
import os
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line
from orchestrator.cluster import ray_private
from orchestrator.cluster.temp_dir import ray_folder
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.tuning.arguments import resume_command
from orchestrator.tuning.asha import SessionHalving, ended_before
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.config import ATTEMPTS, SweepConfig
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import Job, SeededSearch
from orchestrator.tuning.study_file import StudyFile
from trainables.records import TrialRecord
from trainables.trial import ChainTrial

RESTARTS = 20  # of all trials, where Ray gives up on them together
NEVER = "1000000000"  # seconds

# in the message of Ray's memory monitor
_KILLED = re.compile(r"Actor\(([0-9a-f]+)\):.*?actual memory used=([0-9.]+)GB")


@dataclass
class TrialOutcomes:
    """How the trials of a sweep ended.

    Attributes:
        names: every trial that was proposed.
        failed: trial -> reason.
        stopped: trial -> sessions after which the scheduler stopped it.
        complete: whether the search proposed all its trials, and all of them ended.
    """

    names: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)
    complete: bool = False


def run_trials(plan: Plan, at_once: int, budget: Budget, monitor: TuneMonitor) -> TrialOutcomes:
    """Runs every trial of a plan to its end, or until the budget is used up.

    Tune starts a trial again whose worker dies. Where Ray's memory monitor kills the worker, `Tuner.fit()` itself
    raises whatever `max_failures` is: then all trials are started again (their completed sessions are cached), and the
    trial that used most memory is given up after as many attempts.

    Args:
        plan: of the sweep.
        at_once: trials at a time.
        budget: of time.
        monitor: follows the trials.

    Raises:
        EarshotError: Ray ended the sweep, or ran out of memory `RESTARTS` times.
        KeyboardInterrupt: Ctrl-C.
    """
    if plan.config.show != "verbose":
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # else it prints a page for a worker that died
    ray_private.forget_wandb()
    launch = uuid.uuid4().hex
    kills: Counter[str] = Counter()
    given_up: dict[str, str] = {}
    for _ in range(RESTARTS):
        fit = _Fit(plan, launch, given_up, budget)
        try:
            fit.run(at_once, monitor)
        except Exception as error:
            trial = _killed_trial(error, monitor.workers)
            if trial is None:
                raise EarshotError(
                    f"Ray ended the sweep ({one_line(error)[:300]}); completed sessions are saved. Resume with "
                    f"{resume_command(plan.folder.path, plan.config)}"
                ) from error
            kills[trial] += 1
            if kills[trial] == ATTEMPTS:
                given_up[trial] = f"its node ran out of memory {ATTEMPTS} times while it ran; lower --workers"
            monitor.restart(f"a node ran out of memory, Ray ended {trial}")
            fit.record_stopped_trials()
        else:
            return fit.outcomes(monitor.failed)
    raise EarshotError(
        f"Ray ran out of memory {RESTARTS} times; lower --workers, or set --memory-per-trial to fail the trials that "
        "use too much"
    )


def _killed_trial(error: Exception, workers: dict[str, str]) -> str | None:
    """The trial whose worker Ray's memory monitor killed; of several, the one that used most memory.

    Args:
        error: from `Tuner.fit()`.
        workers: ID of a worker's actor -> trial.

    Returns:
        None if the error is not about memory.
    """
    killed = [(float(used), actor) for actor, used in _KILLED.findall(one_line(error)) if actor in workers]
    return workers[max(killed)[1]] if killed else None


class _Fit:
    """One call of `Tuner.fit()`, with its own search and scheduler."""

    def __init__(self, plan: Plan, launch: str, given_up: dict[str, str], budget: Budget) -> None:
        self._plan = plan
        self._launch = launch
        self._given_up = given_up
        self._budget = budget
        self._names: list[str] = []
        searches = plan.searches()
        ended = StudyFile(plan, searches).add
        seeds = list(plan.config.seeds)
        self._search = SeededSearch(searches, seeds, self._trial_config, lambda: budget.over, ended)
        self._scheduler = _scheduler(plan)

    def run(self, at_once: int, monitor: TuneMonitor) -> None:
        """Runs the trials; raises whatever `Tuner.fit()` raises."""
        with ray_folder() as scratch:  # for Tune's own state, with pickles; it is never read
            self._tuner(at_once, monitor, scratch).fit()
        if not self._search.ended and not self._budget.over:  # Tune swallows Ctrl-C and returns what there is
            raise KeyboardInterrupt

    def outcomes(self, failed: dict[str, str]) -> TrialOutcomes:
        """How the trials ended, after `run` returned."""
        return TrialOutcomes(self._names, dict(failed), self._stopped, self._search.ended)

    def record_stopped_trials(self) -> None:
        """Writes the scheduler's decisions to the records of the trials, after `run` raised: they are final."""
        if self._scheduler is not None:
            self._plan.folder.close(self._names, {}, self._stopped, complete=False)

    @property
    def _stopped(self) -> dict[str, int]:
        return self._scheduler.stopped if self._scheduler else {}

    def _trial_config(self, job: Job) -> dict[str, Any]:
        """Tune's configuration of a trial (`trainables.trial.ChainTrial`)."""
        chain = self._plan.chain(job.method, job.settings, job.varied, job.seeds, job.backbone)
        self._names.append(chain.trial)
        return {
            "name": chain.trial,
            "chain": chain.model_dump(mode="json"),
            "folder": self._plan.folder.output(chain.trial).address,
            "launch": self._launch,
            "memory": self._plan.config.memory_per_trial,
            "given_up": self._given_up.get(chain.trial, ""),
            "resources": _resources(self._plan.config),
        }

    def _tuner(self, at_once: int, monitor: TuneMonitor, scratch: Path) -> tune.Tuner:
        config = self._plan.config
        # With a searcher, Tune starts one worker at a time, and importing PyTorch takes each of them seconds.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)
        os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = (
            NEVER  # of the state of the experiment: all that is needed is in the store
        )
        os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # ours are in orchestrator.monitoring.loggers
        return tune.Tuner(
            ChainTrial,
            tune_config=tune.TuneConfig(
                search_alg=self._search,
                scheduler=self._scheduler,
                num_samples=self._search.total,
                max_concurrent_trials=at_once,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: str(trial.config["name"]),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                verbose=2 if config.show == "verbose" else 0,
                callbacks=[monitor],
                stop=self._budget,
                failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the stage is the checkpoint
            ),
        )


def _scheduler(plan: Plan) -> SessionHalving | None:
    """The scheduler that stops chains early, if configured, with the decisions of earlier launches."""
    config, folder = plan.config, plan.folder
    if config.stopping == "none":
        return None
    folder.gather()
    before = ended_before(TrialRecord.load(folder.trial(name)) for name in folder.trials)
    return SessionHalving(plan.sessions, config.grace, config.reduction, before)


def _resources(config: SweepConfig) -> dict[str, float]:
    """What a trial asks Ray for."""
    resources: dict[str, float] = {"cpu": config.cpus_per_trial, "gpu": config.gpus_per_trial}
    if config.memory_per_trial is not None:
        resources["memory"] = config.memory_per_trial
    return resources


def concurrent_trials(config: SweepConfig) -> int:
    """How many trials the cluster can run at a time; Ray would wait forever for resources that no node has.

    Raises:
        EarshotError: not even one.
    """
    import ray

    available = ray.cluster_resources()
    fits = []
    requests = {"CPU": config.cpus_per_trial, "GPU": config.gpus_per_trial, "memory": config.memory_per_trial or 0}
    for kind, requested in requests.items():
        total = available.get(kind, 0)
        if requested > total:
            option = "memory-per-trial" if kind == "memory" else f"{kind.lower()}s-per-trial"
            raise EarshotError(
                f"a trial requests {requested:g} {kind}, the cluster has {total:g} in total; "
                f"lower --{option} or join a larger cluster with --address"
            )
        if requested:
            fits.append(int(total / requested))
    return min([*fits, config.workers or min(fits)])
