"""Runs a sweep of closed-form methods in this process.

A chain of such a method takes about a second or less, so starting Ray and a worker per trial slot, each of which
imports PyTorch, takes longer than many of them (docs/performance.md). Each session is still a stage of its own in the
store. Where this is expected to take more than `SECONDS` of CPU time, the trials are left to workers, which find the
completed sessions.
"""

import time
from collections.abc import Iterator

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.in_process import run_in_process
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.precompute import embedding_seconds
from orchestrator.tuning.trials import TrialOutcomes
from trainables.records import SessionRecord
from trainables.session_chain import Chain

FIRST = 3  # trials that are no measure of the others: they load networks, and embed what all read
MEASURED = 5  # trials that are measured, unless they take long
SECONDS = 180.0  # of CPU time, for the embeddings and for the trials: if more is expected, they are left to workers


def is_closed_form(plan: Plan) -> bool:
    """Whether the sweep may run in this process: on this machine's CPU, and all its methods are closed-form.

    False where the configuration asks for workers, their memory limit, a scheduler or Ray's dashboard, and where
    computing the embeddings that the store lacks would take more than `SECONDS`.
    """
    config = plan.config
    on_workers = config.workers or config.memory_per_trial or config.dashboard or config.gpus_per_trial
    return (
        not on_workers
        and config.address == "local"
        and config.stopping == "none"
        and config.share
        and config.chosen_device == "cpu"
        and all(space.learner.closed_form for space in plan.spaces)
        and _embeds_soon(plan)
    )


def _embeds_soon(plan: Plan) -> bool:
    try:
        return embedding_seconds(plan) <= SECONDS
    except (EarshotError, OSError):  # the sweep on workers meets it again, and reports it with the way to resume
        return False


def run_closed_form_trials(plan: Plan, budget: Budget, monitor: TuneMonitor) -> TrialOutcomes | None:
    """Runs the trials one after the other; see `orchestrator.tuning.in_process.run_in_process`."""
    started: list[float] = []

    def worthwhile(done: int, total: int) -> bool:
        """Whether the remaining trials take at most `SECONDS`, as the ones after the first few did."""
        started.append(time.thread_time())
        measured = done - FIRST
        if measured <= 0:
            return True
        seconds = started[-1] - started[FIRST]
        return (measured < MEASURED and seconds < SECONDS / 10) or seconds / measured * (total - done) <= SECONDS

    return run_in_process(plan, budget, monitor, _steps, worthwhile)


def _steps(chain: Chain) -> Iterator[SessionRecord | None]:
    while not chain.done:
        yield chain.step()
