"""Computes the outputs of frozen networks on a benchmark once for the whole cluster, before the trials start.

Each group of clips that sessions use is one array in the store. Groups that the store lacks are distributed over Ray
tasks on all nodes. A small amount of work is left to the trials, which compute what they need: a task is a process that
first has to import PyTorch, which takes seconds.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from datasets.benchmark.protocol import Session
from datasets.utils.text import plural
from orchestrator.cluster.map_tasks import map_tasks
from orchestrator.tuning.plan import Plan
from trainables.chain_config import ChainConfig
from trainables.chain_inputs import open_features
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method

MIN_SECONDS = 20.0  # of computation on this machine: below, the work is left to the trials
TASKS_PER_SLOT = 4  # so that the last tasks end at about the same time

Group = tuple[int, ...]


def embed(plan: Plan, at_once: int, progress: Callable[[int, int], None]) -> int:
    """Computes the arrays that the store lacks.

    Args:
        plan: of the sweep.
        at_once: number of tasks that the cluster can run at a time.
        progress: called with the number of groups that are done, and with their total.

    Returns:
        Number of groups that were computed; 0 if the work is left to the trials.
    """
    work = _work(plan)
    if _seconds_of(work) < MIN_SECONDS:
        return 0
    config = plan.config
    total, done = sum(len(missing) for _, missing in work), 0
    parts = [
        (chain.model_dump(mode="json"), part)
        for chain, missing in work
        for part in _parts(missing, TASKS_PER_SLOT * at_once)
    ]
    options: dict[str, Any] = {"num_cpus": config.cpus_per_trial, "num_gpus": config.gpus_per_trial, "max_retries": 3}
    progress(done, total)
    # a trial will meet the same error and report it
    for task in map_tasks(_compute, parts, advice="", name=_task_name, **options):
        done += len(task.item[1])
        progress(done, total)
    return done


def _chains(plan: Plan) -> Iterator[ChainConfig]:
    """A chain of every method and backbone. Settings that vary rarely change what is computed before learning; the
    trials compute the rest."""
    for space, backbone in plan.pairs:
        yield plan.chain(space.method, dict(space.fixed), (), plan.config.seeds[0], backbone)


def _groups(plan: Plan) -> list[Group]:
    """Every group of clips that a chain of the sweep uses, each once."""
    groups: dict[Group, None] = {}
    for sessions in plan.chains.values():
        groups.update(dict.fromkeys(_groups_of(sessions)))
    return list(groups)


def _groups_of(sessions: Iterable[Session]) -> Iterator[Group]:
    for session in sessions:
        if session.support:
            yield session.support
        for clips_of_class in session.classes:
            yield clips_of_class.validation
            yield clips_of_class.query


def _missing(chain: ChainConfig, groups: Sequence[Group], planned: set[str]) -> Sequence[Group]:
    """The groups with an array that the store lacks; all of them if only a node with a GPU can look it up.

    Args:
        chain: that uses them.
        groups: of clips.
        planned: addresses of arrays that another chain computes; those of this one are added.
    """
    if not _can_run(chain):
        return groups
    features = open_features(chain)[0]
    learner = _learner(chain, features)
    missing = []
    for group in groups:
        requests = [one for one in learner.requests(group) if one.address not in planned and not features.has(one)]
        planned.update(one.address for one in requests)
        if requests:
            missing.append(group)
    return missing


def embedding_seconds(plan: Plan) -> float:
    """Estimated time for this process to compute the arrays that the store lacks."""
    return _seconds_of(_work(plan))


def _work(plan: Plan) -> list[tuple[ChainConfig, Sequence[Group]]]:
    """Chains, and the groups with an array that the store lacks."""
    groups, planned = _groups(plan), set[str]()
    return [(chain, missing) for chain in _chains(plan) if (missing := _missing(chain, groups, planned))]


def _seconds_of(work: Sequence[tuple[ChainConfig, Sequence[Group]]]) -> float:
    return sum(_seconds(chain, missing) for chain, missing in work)


def _seconds(chain: ChainConfig, groups: Sequence[Group]) -> float:
    """Estimated time of this process for the groups, from the time of the second one; infinite if it lacks the GPU."""
    if not _can_run(chain):
        return math.inf
    values = chain.model_dump(mode="json")
    _compute((values, groups[:1]))  # slower than the others: it loads the network
    if len(groups) == 1:
        return 0.0
    started = time.perf_counter()
    _compute((values, groups[1:2]))
    return (time.perf_counter() - started) * sum(map(len, groups[2:])) / len(groups[1])


def _compute(work: tuple[dict[str, Any], Sequence[Group]]) -> None:
    """The work of a task: computes and stores the arrays of a chain for groups of clips."""
    chain, groups = work
    config = ChainConfig.model_validate(chain)
    torch.set_num_threads(config.threads)
    features = open_features(config)[0]
    learner = _learner(config, features)
    for group in groups:
        for request in learner.requests(group):
            features.get(request)


def _task_name(work: tuple[dict[str, Any], Sequence[Group]]) -> str:
    chain, groups = work
    return f"embed {chain['backbone']}, {plural(len(groups), 'group')} of clips"


def _can_run(chain: ChainConfig) -> bool:
    return chain.device != "cuda" or torch.cuda.is_available()


def _learner(chain: ChainConfig, features: Features) -> Learner:
    method = find_method(chain.method, chain.method_code)
    return method(method.Settings.model_validate(chain.settings), features)


def _parts(groups: Sequence[Group], count: int) -> Iterator[Sequence[Group]]:
    """The groups in at most `count` parts of about equal length."""
    count = min(count, len(groups))
    for index in range(count):
        yield groups[index::count]
