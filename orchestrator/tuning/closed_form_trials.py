"""Runs a sweep of closed-form methods in this process.

A chain of such a method takes about a second or less, so starting Ray and a worker per trial slot, each of which
imports PyTorch, takes longer than many of them. All chains read the same embeddings; a clip that is in the support of
several seeds is embedded once (docs/performance.md). Each session is still a stage in the store of its own.

Where this is expected to take more than `SECONDS` of CPU time, the trials are left to workers, which find the completed
sessions.
"""

import time
from collections.abc import Callable, Iterator

import torch

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.in_process import run_in_process
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.precompute import groups_of
from orchestrator.tuning.trials import TrialOutcomes
from trainables.methods.registry import find_method
from trainables.records import SessionRecord
from trainables.session_chain import Chain, open_features

SECONDS = 180.0  # of CPU time, for the embeddings and for the trials: if more is expected, they are left to workers


def is_closed_form(plan: Plan) -> bool:
    """Whether the sweep may run in this process: on this machine's CPU, and all its methods are closed-form.

    False where the configuration asks for workers, their memory limit, a scheduler or Ray's dashboard.
    """
    config = plan.config
    on_workers = config.workers or config.memory_per_trial or config.dashboard or config.gpus_per_trial
    return (
        not on_workers
        and config.address == "local"
        and config.stopping == "none"
        and config.share
        and config.chosen_device == "cpu"
        and all(find_method(space.method).closed_form for space in plan.spaces)
    )


def embed_together(plan: Plan, progress: Callable[[int, int], None]) -> bool:
    """Computes the embeddings that the store lacks, of each clip once.

    Args:
        plan: of the sweep, for which `is_closed_form` holds.
        progress: called with the number of clips that are embedded, and of all that are to be.

    Returns:
        Whether it was done; False where it would take more than `SECONDS`, or failed.
    """
    torch.set_num_threads(plan.config.cpus_per_trial)
    space, started = plan.spaces[0], time.process_time()
    try:
        for backbone in plan.config.backbones:
            features, _ = open_features(plan.chain(space.method, dict(space.fixed), (), plan.config.seeds[0], backbone))
            for done, clips in features.pooled_together(groups_of(plan)):
                progress(done, clips)
                if (time.process_time() - started) * clips / done > SECONDS:
                    return False
    except (EarshotError, OSError):  # a trial will meet the same error and report it
        return False
    return True


def run_closed_form_trials(plan: Plan, budget: Budget, monitor: TuneMonitor) -> TrialOutcomes | None:
    """Runs the trials one after the other; see `orchestrator.tuning.in_process.run_in_process`."""
    started = time.process_time()

    def worthwhile(done: int, total: int) -> bool:
        return not done or (time.process_time() - started) * total / done <= SECONDS

    return run_in_process(plan, budget, monitor, _steps, worthwhile)


def _steps(chain: Chain) -> Iterator[SessionRecord | None]:
    while not chain.done:
        yield chain.step()
