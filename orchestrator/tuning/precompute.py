"""What frozen networks say of a benchmark, computed once for the whole cluster before its trials start.

Each group of clips that sessions will ask for is one array in the store. Groups that are not there yet are dealt out to
Ray tasks on all nodes. Little work is left to the trials, which do it as they go: a task is a process that first has to
import PyTorch, for seconds.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from datasets.benchmark.protocol import Session
from orchestrator.tuning.plan import Plan
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method
from trainables.session_chain import open_features
from trainables.store.arrays import ArrayStore

WORTH = 20.0  # seconds of computing on this machine from which tasks are started
TASKS = 4  # per trial that runs at a time: so that the last of them end together

Group = tuple[int, ...]


def embed(plan: Plan, at_once: int, progress: Callable[[int, int], None]) -> int:
    """Computes what is missing.

    Args:
        plan: of the sweep.
        at_once: how many tasks the cluster has room for.
        progress: hears how many groups are done, and of how many.

    Returns:
        Groups that were computed here; 0 where the trials will do it.
    """
    work = [(chain, missing) for chain in _chains(plan) if (missing := _missing(chain, _groups(plan)))]
    if not work or sum(_seconds(chain, missing) for chain, missing in work) < WORTH:
        return 0
    import ray

    config = plan.config
    remote = ray.remote(num_cpus=config.cpus_per_trial, num_gpus=config.gpus_per_trial, max_retries=3)(_embed)
    total, done = sum(len(missing) for _, missing in work), 0
    pending = {}
    for chain, missing in work:
        for part in _parts(missing, TASKS * at_once):
            pending[remote.remote(chain.model_dump(mode="json"), part)] = len(part)
    while pending:
        progress(done, total)
        ready, _ = ray.wait(list(pending), num_returns=1)
        for task in ready:
            done += pending.pop(task)
            with suppress(ray.exceptions.RayError):  # the trials will meet it, and say what it is
                ray.get(task)
    progress(done, total)
    return done


def _chains(plan: Plan) -> Iterator[ChainConfig]:
    """A chain of every method; settings that vary do not matter before anything is learned, or the trials see to it."""
    for space in plan.spaces:
        yield plan.chain(space.method, dict(space.fixed), (), plan.config.seeds[0])


def _groups(plan: Plan) -> list[Group]:
    """Every group of clips that a chain of the sweep asks for, each once."""
    found: dict[Group, None] = {}
    for sessions in plan.chains.values():
        for group in _of(sessions):
            found[group] = None
    return list(found)


def _of(sessions: Iterable[Session]) -> Iterator[Group]:
    for session in sessions:
        yield session.support
        for one in session.classes:
            yield one.validation
            yield one.query


def _missing(chain: ChainConfig, groups: Sequence[Group]) -> Sequence[Group]:
    """The groups of which something is not in the store; all of them where only a node with a GPU can tell."""
    if not _can_run(chain):
        return groups
    features = open_features(chain)[0]
    learner = _learner(chain, features)
    features.store = _Look(features.store)
    missing = []
    for group in groups:
        try:
            learner.precompute(group)
        except _MissingError:
            missing.append(group)
    return missing


def _seconds(chain: ChainConfig, groups: Sequence[Group]) -> float:
    """How long this process would need, by the time of the first group; for ever where it has no GPU."""
    if not _can_run(chain):
        return math.inf
    started = time.perf_counter()
    _embed(chain.model_dump(mode="json"), groups[:1])
    return (time.perf_counter() - started) * sum(map(len, groups)) / len(groups[0])


def _embed(chain: dict[str, Any], groups: Sequence[Group]) -> None:
    """What a task does."""
    config = ChainConfig.model_validate(chain)
    torch.set_num_threads(config.threads)
    learner = _learner(config, open_features(config)[0])
    for group in groups:
        learner.precompute(group)


def _can_run(chain: ChainConfig) -> bool:
    return chain.device != "cuda" or torch.cuda.is_available()


def _learner(chain: ChainConfig, features: Features) -> Learner:
    method = find_method(chain.method)
    return method(method.Settings.model_validate(chain.settings), features)


def _parts(groups: Sequence[Group], count: int) -> Iterator[Sequence[Group]]:
    """The groups in at most `count` parts of about equal length."""
    count = min(count, len(groups))
    for index in range(count):
        yield groups[index::count]


class _MissingError(Exception):
    """An array is not in the store."""


class _Look(ArrayStore):
    """A store that computes nothing: it says that it has an array, or raises.

    Args:
        store: the real one.
    """

    def __init__(self, store: ArrayStore) -> None:
        super().__init__(store.depot.place if store.depot is not None else None)

    def get(
        self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]], *, shared: bool = False
    ) -> np.ndarray:
        """An empty stand-in for the array at `address`.

        Raises:
            _MissingError: there is none.
        """
        if not self.has(address):
            raise _MissingError(address)
        return np.empty((count, 0), np.float32)
