"""Which configurations a sweep tries: Optuna over configurations, every configuration with every seed.

Configurations are asked for in rounds of a fixed size, and a round is told when all its trials have ended, in the order
in which it was asked. What is tried therefore depends on the space, the search and its seed alone: not on the number of
workers, nor on which trial ended first. A sweep that is run again asks the same questions, and finds its finished
sessions in the store: no state of the search has to survive.

With one objective, Optuna is told its mean over seeds; with several, the mean of each. A configuration of which a chain
was stopped early (orchestrator/tuning/asha.py) is told as pruned, with what its objective was after each session that
all its seeds have. With several objectives Optuna knows no pruning: such a configuration is told as failed, that is,
not learned from. A configuration of which a trial failed is always told as failed.
"""

import itertools
import math
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from ray.tune.search import Searcher

from datasets.utils.errors import EarshotError
from orchestrator.results.objectives import DEFAULT, Objective
from orchestrator.tuning.config import Strategy
from orchestrator.tuning.warm_start import Known
from search_spaces.loader import MethodSpace
from trainables.methods.registry import find_method
from trainables.records import SeedTriple
from trainables.trial import FINISHED

ROUND = 4  # configurations that TPE proposes before it hears of them
ATTEMPTS = 20  # at a configuration that was not proposed before; after that the space counts as exhausted


@dataclass(frozen=True)
class Job:
    """One trial to be: a configuration under a triple of seeds."""

    method: str
    settings: dict[str, Any]
    varied: tuple[str, ...]
    seeds: SeedTriple


@dataclass(frozen=True)
class Pruned:
    """The answer of a configuration of which a chain was stopped early.

    Attributes:
        curve: finished sessions -> mean over seeds of the objective so far, where all seeds have one.
    """

    curve: dict[int, float]


Answer = tuple[float, ...] | Pruned | None
"""Means over seeds, one per objective; None where a trial failed."""


class MethodSearch:
    """Proposes configurations of one method, none of them twice.

    A space of choices alone that has no more points than are asked for is searched as a grid, whatever the strategy.

    Args:
        space: what is fixed and what varies.
        strategy: `tpe`, `random` or `grid`.
        configurations: how many to try; the whole grid where None.
        seed: of the sampler.
        objectives: what is improved.
        known: configurations whose values an earlier run has found; they are learned from and not proposed.

    Raises:
        EarshotError: a grid over a range, which has no end.
    """

    def __init__(
        self,
        space: MethodSpace,
        strategy: Strategy,
        configurations: int | None,
        seed: int,
        objectives: Sequence[Objective] = DEFAULT,
        known: Sequence[Known] = (),
    ) -> None:
        self.space = space
        self.objectives = tuple(objectives)
        self._known = [one.chosen for one in known]
        points = _points(space)
        if points is None and strategy == "grid":
            ranges = [key for key, d in space.varied.items() if not isinstance(d, CategoricalDistribution)]
            raise EarshotError(
                f"search 'grid': method {space.method}: {ranges[0]} is a range; a grid needs a choice of values "
                "(or take --search tpe or random)"
            )
        if points is not None:
            points = [point for point in points if point not in self._known]
        wanted = configurations or 1
        if points is not None and (strategy == "grid" or len(points) <= wanted):
            self._grid: list[dict[str, Any]] | None = points[:configurations]
            self.total = len(self._grid)
        else:
            self._grid = None
            self.total = wanted
        self._round = ROUND if strategy == "tpe" and self._grid is None else self.total
        self._study = _study(strategy, seed, self.objectives)
        for one in known:
            self._study.add_trial(
                optuna.trial.create_trial(params=one.chosen, distributions=space.varied, values=one.values)
            )
        default = _default_inside(space)
        if default and default not in self._known:
            self._study.enqueue_trial(default)
        self._proposed: list[dict[str, Any]] = []
        self._open: list[optuna.trial.Trial] = []

    def ask(self) -> list[dict[str, Any]]:
        """The settings of the next round of configurations; empty at the end."""
        first = len(self._proposed)
        last = min(first + self._round, self.total)
        if self._grid is not None:
            self._proposed += self._grid[first:last]
        else:
            self._open = []
            for _ in range(ATTEMPTS * (last - first)):
                if len(self._proposed) == last:
                    break
                self._propose()
        return [{**self.space.fixed, **chosen} for chosen in self._proposed[first:]]

    def tell(self, answers: Sequence[Answer]) -> None:
        """What became of each configuration of the round, in the order asked."""
        for trial, answer in zip(self._open, answers, strict=False):
            if isinstance(answer, tuple) and not any(map(math.isnan, answer)):
                self._study.tell(trial, answer)
            elif isinstance(answer, Pruned) and answer.curve and len(self.objectives) == 1:
                for sessions, value in sorted(answer.curve.items()):
                    trial.report(value, sessions)
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, state=TrialState.FAIL)

    def _propose(self) -> None:
        trial = self._study.ask(self.space.varied)
        chosen = {key: trial.params[key] for key in self.space.varied}
        if chosen in self._proposed or chosen in self._known:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._proposed.append(chosen)
            self._open.append(trial)


class SeededSearch(Searcher):
    """Hands jobs to Tune: rounds of configurations of every method, each with every seed.

    Args:
        searches: one per method, all with the same objectives.
        seeds: triples; an objective is told as the mean over them.
        chain: makes Tune's trial configuration of a job.
        over: whether no trial is to begin any more, asked before each.

    Raises:
        EarshotError: nothing is left to try.
    """

    def __init__(
        self,
        searches: list[MethodSearch],
        seeds: list[SeedTriple],
        chain: Callable[[Job], dict[str, Any]],
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._chain = chain
        self._over = over
        self._seeds = seeds
        self._searches = searches
        if not self.total:
            raise EarshotError("warm_start: all configurations of the space are known already; widen it")
        self._keys = [objective.key for objective in searches[0].objectives]
        self._rounds = [_Round(search, seeds) for search in searches]
        self._running: dict[str, tuple[_Round, int, _End]] = {}

    @property
    def total(self) -> int:
        """Trials of the whole sweep."""
        return sum(search.total for search in self._searches) * len(self._seeds)

    @property
    def ended(self) -> bool:
        """Whether every trial of the sweep has ended."""
        return all(current.ended for current in self._rounds)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next trial's configuration, None while a round has to end first, or the end."""
        waiting = [] if self._over() else [current for current in self._rounds if current.jobs]
        if waiting:
            index, job = waiting[0].jobs.popleft()
            self._running[trial_id] = (waiting[0], index, _End())
            return self._chain(job)
        if not self.ended and not self._over():
            return None
        finished: Any = Searcher.FINISHED  # a string, which Ray's own annotation forgets
        return finished

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes note of a session of a trial that goes on."""
        if trial_id in self._running:
            self._running[trial_id][2].take(result, self._keys)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes note of how a trial ended; tells and asks when its round is complete."""
        if trial_id in self._running:
            current, index, end = self._running.pop(trial_id)
            if result is not None and not error:
                end.take(result, self._keys)
                end.stopped = result.get(FINISHED, 0) < result.get("sessions", 0)
                values = [result.get(key) for key in self._keys]
                if not end.stopped and None not in values:
                    end.values = tuple(float(value) for value in values if value is not None)
            current.finish(index, end)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a sweep that is run again asks the same questions."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


@dataclass
class _End:
    """What a trial has reported: `values` where it finished, and its first objective after each session."""

    values: tuple[float, ...] | None = None
    stopped: bool = False
    curve: dict[int, float] = field(default_factory=dict)

    def take(self, result: dict[str, Any], keys: list[str]) -> None:
        if result.get(FINISHED) and result.get(keys[0]) is not None:
            self.curve[result[FINISHED]] = float(result[keys[0]])


class _Round:
    """The configurations of one method that are under way."""

    def __init__(self, search: MethodSearch, seeds: list[SeedTriple]) -> None:
        self._search = search
        self._seeds = seeds
        self.jobs: deque[tuple[int, Job]] = deque()
        self.ended = False
        self._ends: list[list[_End]] = []
        self._next()

    def finish(self, index: int, end: _End) -> None:
        self._ends[index].append(end)
        if all(len(ends) == len(self._seeds) for ends in self._ends):
            self._search.tell([_answer(ends) for ends in self._ends])
            self._next()

    def _next(self) -> None:
        proposals = self._search.ask()
        self._ends = [[] for _ in proposals]
        varied = tuple(self._search.space.varied)
        for index, settings in enumerate(proposals):
            for seeds in self._seeds:
                self.jobs.append((index, Job(self._search.space.method, settings, varied, seeds)))
        self.ended = not proposals


def _answer(ends: list[_End]) -> Answer:
    """What a configuration's trials say together."""
    values = [end.values for end in ends if end.values is not None]
    if len(values) == len(ends):
        return tuple(_mean(column) for column in zip(*values, strict=True))
    if any(end.values is None and not end.stopped for end in ends):
        return None
    shared = set.intersection(*(set(end.curve) for end in ends))
    means = {sessions: _mean([end.curve[sessions] for end in ends]) for sessions in sorted(shared)}
    return Pruned({sessions: mean for sessions, mean in means.items() if not math.isnan(mean)})


def _mean(values: Sequence[float]) -> float:
    # fsum: the order in which trials end must not change the last bit that the sampler sees
    return math.fsum(values) / len(values)


def _points(space: MethodSpace) -> list[dict[str, Any]] | None:
    """All points of a space of choices; None where a range has no end of them."""
    axes = []
    for key, distribution in space.varied.items():
        if not isinstance(distribution, CategoricalDistribution):
            return None
        axes.append([(key, value) for value in distribution.choices])
    return [dict(point) for point in itertools.product(*axes)]


def _study(strategy: Strategy, seed: int, objectives: Sequence[Objective]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its multivariate sampler experimental
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed, multivariate=True)
            if strategy == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
    return optuna.create_study(directions=[objective.direction for objective in objectives], sampler=sampler)


def _default_inside(space: MethodSpace) -> dict[str, Any]:
    """The method's default of every varied setting, where all of them lie inside the space: tried first."""
    defaults = find_method(space.method).Settings.model_validate(space.fixed).model_dump()
    return space.within(defaults) or {}
