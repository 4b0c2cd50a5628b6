"""Which configurations a sweep tries: Optuna over configurations, every configuration with every seed.

Configurations are asked for in rounds of a fixed size, and a round is told when all its trials have ended, in the order
in which it was asked. What is tried therefore depends on the space, the search and its seed alone: not on the number of
workers, nor on which trial ended first. A sweep that is run again asks the same questions, and finds its finished
sessions in the store: no state of the search has to survive.
"""

import itertools
import math
import warnings
from collections import deque
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from ray.tune.search import Searcher

from datasets.errors import EarshotError
from orchestrator.settings import Strategy
from search_spaces.loader import MethodSpace
from trainables.learner import find_method
from trainables.records import SeedTriple

ROUND = 4  # configurations that TPE proposes before it hears of them
ATTEMPTS = 20  # at a configuration that was not proposed before; after that the space counts as exhausted


@dataclass(frozen=True)
class Job:
    """One trial to be: a configuration under a triple of seeds."""

    method: str
    settings: dict[str, Any]
    varied: tuple[str, ...]
    seeds: SeedTriple


class MethodSearch:
    """Proposes configurations of one method, none of them twice.

    A space of choices alone that has no more points than are asked for is searched as a grid, whatever the strategy.

    Args:
        space: what is fixed and what varies.
        strategy: `tpe`, `random` or `grid`.
        configurations: how many to try; the whole grid where None.
        seed: of the sampler.

    Raises:
        EarshotError: a grid over a range, which has no end.
    """

    def __init__(self, space: MethodSpace, strategy: Strategy, configurations: int | None, seed: int) -> None:
        self.space = space
        points = _points(space)
        if points is None and strategy == "grid":
            ranges = [key for key, d in space.varied.items() if not isinstance(d, CategoricalDistribution)]
            raise EarshotError(
                f"search 'grid': method {space.method}: {ranges[0]} is a range; a grid needs a choice of values "
                "(or take --search tpe or random)"
            )
        wanted = configurations or 1
        if points is not None and (strategy == "grid" or len(points) <= wanted):
            self._grid: list[dict[str, Any]] | None = points[:configurations]
            self.total = len(self._grid)
        else:
            self._grid = None
            self.total = wanted
        self._round = ROUND if strategy == "tpe" and self._grid is None else self.total
        self._study = _study(strategy, seed)
        default = _default_inside(space)
        if default:
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

    def tell(self, values: list[float | None]) -> None:
        """The objective of each configuration of the round, in the order asked; None where a trial failed."""
        for trial, value in zip(self._open, values, strict=False):
            if value is None or math.isnan(value):
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, value)

    def _propose(self) -> None:
        trial = self._study.ask(self.space.varied)
        chosen = {key: trial.params[key] for key in self.space.varied}
        if chosen in self._proposed:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._proposed.append(chosen)
            self._open.append(trial)


class SeededSearch(Searcher):
    """Hands jobs to Tune: rounds of configurations of every method, each with every seed.

    Args:
        searches: one per method.
        seeds: triples; an objective is told as the mean over them.
        chain: makes Tune's trial configuration of a job.
        metric: key of the reported result that is maximised; it comes from validation clips alone.
    """

    def __init__(self, searches: list[MethodSearch], seeds: list[SeedTriple], chain: Any, metric: str) -> None:
        super().__init__(metric=metric, mode="max")
        self._chain = chain
        self._seeds = seeds
        self._searches = searches
        self._rounds = [_Round(search, seeds) for search in searches]
        self._running: dict[str, tuple[_Round, int]] = {}

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
        for current in self._rounds:
            if current.jobs:
                index, job = current.jobs.popleft()
                self._running[trial_id] = (current, index)
                configuration: dict[str, Any] = self._chain(job)
                return configuration
        if not self.ended:
            return None
        finished: Any = Searcher.FINISHED  # a string, which Ray's own annotation forgets
        return finished

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes note of a trial's objective; tells and asks when its round is complete."""
        if trial_id in self._running:
            current, index = self._running.pop(trial_id)
            value = (result or {}).get(self.metric) if not error else None
            current.finish(index, value)

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: a sweep that is run again asks the same questions."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class _Round:
    """The configurations of one method that are under way."""

    def __init__(self, search: MethodSearch, seeds: list[SeedTriple]) -> None:
        self._search = search
        self._seeds = seeds
        self.jobs: deque[tuple[int, Job]] = deque()
        self.ended = False
        self._values: list[list[float | None]] = []
        self._next()

    def finish(self, index: int, value: float | None) -> None:
        self._values[index].append(value)
        if all(len(values) == len(self._seeds) for values in self._values):
            self._search.tell([_mean(values) for values in self._values])
            self._next()

    def _next(self) -> None:
        proposals = self._search.ask()
        self._values = [[] for _ in proposals]
        varied = tuple(self._search.space.varied)
        for index, settings in enumerate(proposals):
            for seeds in self._seeds:
                self.jobs.append((index, Job(self._search.space.method, settings, varied, seeds)))
        self.ended = not proposals


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    # fsum: the order in which trials end must not change the last bit that the sampler sees
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _points(space: MethodSpace) -> list[dict[str, Any]] | None:
    """All points of a space of choices; None where a range has no end of them."""
    axes = []
    for key, distribution in space.varied.items():
        if not isinstance(distribution, CategoricalDistribution):
            return None
        axes.append([(key, value) for value in distribution.choices])
    return [dict(point) for point in itertools.product(*axes)]


def _study(strategy: Strategy, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its multivariate sampler experimental
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed, multivariate=True)
            if strategy == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
    return optuna.create_study(direction="maximize", sampler=sampler)


def _default_inside(space: MethodSpace) -> dict[str, Any]:
    """The method's default of every varied setting, where all of them lie inside the space: tried first."""
    defaults = find_method(space.method).Settings.model_validate(space.fixed).model_dump()
    inside = {
        key: defaults[key] for key, distribution in space.varied.items() if _contains(distribution, defaults[key])
    }
    return inside if len(inside) == len(space.varied) else {}


def _contains(distribution: Any, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False
