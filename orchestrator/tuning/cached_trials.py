"""Runs a sweep whose sessions are all in the store, in this process.

Nothing is computed, so neither Ray nor workers are started, which would take longer than all of the trials: each worker
imports PyTorch first. Search, listeners, records and predictions are the same as with `orchestrator.tuning.trials`.
"""

from collections.abc import Iterator

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.dry_run import chains_of
from orchestrator.tuning.in_process import run_in_process
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import MethodSearch
from orchestrator.tuning.trials import TrialOutcomes
from trainables.records import SessionRecord, TrialRecord
from trainables.session_chain import Chain
from trainables.store.stages import StageStore


def all_cached(plan: Plan) -> bool:
    """Whether a sweep on this machine finds every session in a local store.

    The stages are looked up, not read. A search in rounds knows its first round only: of the others, the run folder
    must have a record of each trial, as where a finished sweep is started again. False where a scheduler stops trials,
    and where Ray is to be joined or its dashboard to be shown.
    """
    config = plan.config
    if config.address != "local" or config.dashboard or config.stopping != "none" or not config.share:
        return False
    stages = plan.store.local / "stages" if plan.store.local is not None else None
    return stages is not None and stages.is_dir() and all(_is_cached(plan, search) for search in plan.searches())


def run_cached_trials(plan: Plan, budget: Budget, monitor: TuneMonitor) -> TrialOutcomes | None:
    """Runs the trials one after the other, without computing.

    Args:
        plan: of the sweep.
        budget: of time.
        monitor: follows the trials, as those of Tune.

    Returns:
        How the trials ended; None where a session was not in the store after all (removed meanwhile, or damaged), or
        cannot be written. Then all trials are to be run by `run_trials`, which reports the reason.
    """

    def steps(chain: Chain) -> Iterator[SessionRecord | None]:
        for address in chain.addresses(plan.config.chosen_device):
            yield chain.cached_step(address)

    return run_in_process(plan, budget, monitor, steps)


def _is_cached(plan: Plan, search: MethodSearch) -> bool:
    configurations = search.ask()
    if len(configurations) < search.total and _finished(plan, search) < search.total * len(plan.config.seeds):
        return False
    store, device = StageStore(plan.store), plan.config.chosen_device
    chains = chains_of(plan, search, configurations)
    return all(
        store.has(address) and chain.has_unknown(index, address)
        for chain in chains
        for index, address in enumerate(chain.addresses(device))
    )


def _finished(plan: Plan, search: MethodSearch) -> int:
    """Number of trials of a method on a backbone that have finished, by their records."""
    names = [name for name in plan.folder.trials if name.startswith(f"{search.space.method}-")]
    spec = search.backbone if search.space.learner.backbone else None
    expected = (spec.name, spec.layer, spec.pool, spec.padding) if spec else None
    try:
        records = [TrialRecord.load(plan.folder.trial(name)) for name in names]
        return sum(
            record.status == "finished"
            and (expected is None or (record.backbone, record.layer, record.pool, record.padding) == expected)
            for record in records
        )
    except EarshotError:  # damaged: the trial writes it again
        return 0
