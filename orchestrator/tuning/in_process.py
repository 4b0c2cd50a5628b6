"""Runs the trials of a sweep one after the other in this process, without Ray.

Search, listeners, records and predictions are the same as with `orchestrator.tuning.trials`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.dry_run import on_cpu
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import Job, SeededSearch
from orchestrator.tuning.study_file import StudyFile
from orchestrator.tuning.trials import TrialOutcomes
from trainables.records import SessionRecord
from trainables.session_chain import Chain
from trainables.session_results import SessionResults

Steps = Callable[[Chain], Iterator[SessionRecord | None]]
"""The sessions of a chain as they are completed; None where one is left to workers."""


def run_in_process(
    plan: Plan,
    budget: Budget,
    monitor: TuneMonitor,
    steps: Steps,
    worthwhile: Callable[[int, int], bool] = lambda done, total: True,
) -> TrialOutcomes | None:
    """Runs the trials.

    Args:
        plan: of the sweep.
        budget: of time.
        monitor: follows the trials, as those of Tune.
        steps: runs the sessions of a chain.
        worthwhile: whether to continue, asked with the number of trials that have ended and that of all.

    Returns:
        How the trials ended; None where they are left to workers: because of `steps` or `worthwhile`, or because a
        chain failed. Then all trials are to be run by `run_trials`, which finds the completed sessions in the store,
        tries a failed chain again and reports the reason.
    """
    outcomes = TrialOutcomes()
    searches = plan.searches()
    search = SeededSearch(
        searches,
        list(plan.config.seeds),
        lambda job: _trial_config(plan, job),
        lambda: budget.over,
        StudyFile(plan, searches).add,
    )
    chain: Chain | None = None
    while isinstance(config := search.suggest(identifier := str(len(outcomes.names))), dict):
        if not worthwhile(len(outcomes.names), search.total):
            return None
        outcomes.names.append(config["name"])
        trial = _Trial(config)
        try:
            chain = Chain(config["chain"], plan.folder.output(config["name"]), before=chain)
            monitor.on_trial_start(0, [], trial)
            results = SessionResults(chain)
            for record in steps(chain):
                if record is None:
                    return None
                trial.last_result = results.after(record)
                trial.last_result["done"] |= budget.over and not record.cached
                monitor.on_trial_result(0, [], trial, trial.last_result)
                search.on_trial_result(identifier, trial.last_result)
                if trial.last_result["done"]:
                    break
        except Exception:  # of whatever kind: a worker records the reason, and the sweep continues
            return None
        monitor.on_trial_complete(0, [], trial)
        search.on_trial_complete(identifier, trial.last_result)
    outcomes.complete = search.ended
    return outcomes


@dataclass
class _Trial:
    """A trial as callbacks of Tune get it."""

    config: dict[str, Any]
    last_result: dict[str, Any] = field(default_factory=dict)
    temporary_state: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(ray_actor=None))


def _trial_config(plan: Plan, job: Job) -> dict[str, Any]:
    chain = plan.chain(job.method, job.settings, job.varied, job.seeds, job.backbone)
    return {"name": chain.trial, "chain": on_cpu(chain)}
