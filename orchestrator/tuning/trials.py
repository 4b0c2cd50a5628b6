"""Runs the trials of a plan with Ray Tune, whatever dies on the way."""

import logging
import os
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from datasets.utils.errors import EarshotError
from orchestrator.cluster.temp_dir import ray_folder
from orchestrator.monitoring.watcher import Watcher
from orchestrator.tuning.asha import SessionHalving, ended_before
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.config import ATTEMPTS, SweepConfig
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import Job, SeededSearch
from trainables.records import TrialRecord
from trainables.trial import ChainTrial

RESTARTS = 20  # of all trials, where Ray gives up on them together
NEVER = "1000000000"  # seconds

_KILLED = re.compile(r"Actor\(([0-9a-f]+)\):.*?actual memory used=([0-9.]+)GB")


@dataclass
class Ended:
    """How the trials of a sweep ended.

    Attributes:
        names: every trial that was proposed.
        failed: reasons by trial.
        stopped: sessions after which the scheduler ended a trial, by trial.
        complete: whether the search proposed all that it was to, and all of it ended.
    """

    names: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)
    complete: bool = False


class _Fates(tune.Callback):
    """Which trial runs in which actor, as Ray names the actor whose memory it took, and why trials failed."""

    def __init__(self) -> None:
        self.actors: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: a trial begins in an actor, perhaps one that had another before."""
        actor = trial.temporary_state.ray_actor
        if actor is not None:
            self.actors[actor._ray_actor_id.hex()] = trial.config["name"]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: a trial is over; it may have said that it failed."""
        reason = (trial.last_result or {}).get("failed")
        if reason:
            self.failed[trial.config["name"]] = reason

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tune: the worker died once too often."""
        self.failed[trial.config["name"]] = f"its worker process died {ATTEMPTS} times"


def run_trials(plan: Plan, at_once: int, budget: Budget, watching: Sequence[Watcher]) -> Ended:
    """Runs every trial of a plan to its end, or until the budget is used up.

    Args:
        plan: of the sweep.
        at_once: trials at a time.
        budget: of time.
        watching: hear of everything.

    Raises:
        EarshotError: Ray ends the sweep, again and again.
        KeyboardInterrupt: the user does.
    """
    if plan.config.show != "verbose":
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # it tells the death of a worker in a page
    launch = uuid.uuid4().hex
    deaths: Counter[str] = Counter()
    given_up: dict[str, str] = {}
    for _ in range(RESTARTS):
        fates = _Fates()
        names: list[str] = []
        search = _search(plan, launch, given_up, budget, names)
        stopping = _stopping(plan)
        try:
            with ray_folder() as scratch:  # Tune's own state, pickles among it; nobody reads it
                _tuner(plan, search, stopping, at_once, budget, [fates, *watching], scratch).fit()
        except Exception as error:
            # Ray raises where its memory monitor ends a worker, whatever the retries
            why = " ".join(str(error).split())
            killed = [(float(used), actor) for actor, used in _KILLED.findall(why) if actor in fates.actors]
            if not killed:
                raise EarshotError(
                    f"Ray ended the sweep ({why[:300]}); go on from the finished sessions with --resume "
                    f"{plan.folder.path}"
                ) from error
            trial = fates.actors[max(killed)[1]]  # the largest of those whose workers were ended together
            deaths[trial] += 1
            if deaths[trial] == ATTEMPTS:
                given_up[trial] = f"its node ran out of memory {ATTEMPTS} times while it ran; lower --workers"
            for watcher in watching:
                watcher.restarted(f"a node ran out of memory, Ray ended {trial}")
            if stopping is not None:
                plan.folder.close(names, {}, stopping.stopped, complete=False)
            continue
        if not search.ended and not budget.over:  # Tune swallows Ctrl-C and returns what there is
            raise KeyboardInterrupt
        return Ended(names, fates.failed, stopping.stopped if stopping else {}, search.ended)
    raise EarshotError(
        f"Ray ran out of memory {RESTARTS} times; lower --workers, or find out who with --memory-per-trial"
    )


def _search(plan: Plan, launch: str, given_up: dict[str, str], budget: Budget, names: list[str]) -> SeededSearch:
    """The search; `names` fills with the trials that it proposes."""

    def chain(job: Job) -> dict[str, Any]:
        described = plan.chain(job.method, job.settings, job.varied, job.seeds)
        names.append(described.trial)
        return {
            "name": described.trial,
            "chain": described.model_dump(mode="json"),
            "folder": plan.folder.output(described.trial).address,
            "launch": launch,
            "memory": plan.config.memory_per_trial,
            "given_up": given_up.get(described.trial, ""),
        }

    return SeededSearch(plan.searches(), list(plan.config.seeds), chain, lambda: budget.over)


def _stopping(plan: Plan) -> SessionHalving | None:
    """The scheduler that ends chains early, where one is wanted; what it decided before is decided."""
    config, folder = plan.config, plan.folder
    if config.stopping == "none":
        return None
    folder.gather()
    before = ended_before(TrialRecord.load(folder.trial(name)) for name in folder.trials)
    return SessionHalving(plan.sessions, config.grace, config.reduction, before)


def _tuner(
    plan: Plan,
    search: SeededSearch,
    stopping: SessionHalving | None,
    at_once: int,
    budget: Budget,
    callbacks: list[tune.Callback],
    scratch: Path,
) -> tune.Tuner:
    config = plan.config
    resources = {"cpu": config.cpus_per_trial, "gpu": config.gpus_per_trial}
    if config.memory_per_trial is not None:
        resources["memory"] = config.memory_per_trial
    # With a searcher, Tune starts one worker at a time, and importing torch takes each of them seconds.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = NEVER  # of the state of the experiment: ours is in the store
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # ours are orchestrator.monitoring.loggers
    return tune.Tuner(
        tune.with_resources(ChainTrial, resources),
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=stopping,
            num_samples=search.total,
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.config["name"]),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=2 if config.show == "verbose" else 0,
            callbacks=callbacks,
            stop=budget,
            failure_config=tune.FailureConfig(max_failures=ATTEMPTS - 1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the stage is the checkpoint
        ),
    )


def room(config: SweepConfig) -> int:
    """How many trials the cluster has room for; Ray would wait for ever for what no node has.

    Raises:
        EarshotError: not even for one.
    """
    import ray

    there = ray.cluster_resources()
    found = []
    wanted_of = {"CPU": config.cpus_per_trial, "GPU": config.gpus_per_trial, "memory": config.memory_per_trial or 0}
    for kind, wanted in wanted_of.items():
        if wanted > there.get(kind, 0):
            option = "memory-per-trial" if kind == "memory" else f"{kind.lower()}s-per-trial"
            raise EarshotError(
                f"a trial asks for {wanted:g} {kind}, the cluster has {there.get(kind, 0):g} in all; "
                f"lower --{option} or join a larger cluster with --address"
            )
        if wanted:
            found.append(int(there[kind] / wanted))
    return min([*found, config.workers or min(found)])
