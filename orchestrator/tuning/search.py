"""Which configurations a sweep tries: Optuna over configurations, each of which runs with every seed.

Configurations are proposed in rounds of a fixed size. When all trials of a round have ended, their values are passed to
Optuna in the order in which the configurations were proposed. What is tried therefore depends on the space, the search
and its seed only: neither on the number of workers nor on the order in which trials end. A sweep that is run again
proposes the same configurations, and their completed sessions are in the store: no state of the search is saved.

With one objective, Optuna gets its mean over seeds; with several, the mean of each. A configuration with a chain that
was stopped early (orchestrator/tuning/asha.py) is reported as pruned, with its objective after each session that all
its seeds have completed. With several objectives Optuna has no pruning: such a configuration is reported as failed, so
the sampler ignores it. A configuration with a failed trial is always reported as failed.
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
from orchestrator.tuning.warm_start import EarlierConfiguration
from search_spaces.loader import MethodSpace
from trainables.methods.registry import find_method
from trainables.networks.specs import BackboneSpec
from trainables.records import SeedTriple
from trainables.session_results import FINISHED

ROUND = 4  # configurations that TPE proposes before it gets their values
PROPOSALS = 20  # attempts to propose a configuration that is new; after that the space counts as exhausted


@dataclass(frozen=True)
class Job:
    """A trial to run: a configuration with a triple of seeds, on a backbone of the sweep."""

    method: str
    settings: dict[str, Any]
    varied: tuple[str, ...]
    seeds: SeedTriple
    backbone: BackboneSpec | None


@dataclass(frozen=True)
class Pruned:
    """The answer for a configuration with a chain that was stopped early.

    Attributes:
        curve: completed sessions -> mean over seeds of the objective so far, where all seeds have one.
    """

    curve: dict[int, float]


Answer = tuple[float, ...] | Pruned | None
"""Means over seeds, one per objective; None where a trial failed."""


class MethodSearch:
    """Proposes configurations of one method on one backbone, each at most once.

    A space of choices that has no more points than the number to try is searched as a grid, whatever the strategy.

    Args:
        space: the fixed and the varied settings.
        strategy: `tpe`, `random` or `grid`.
        configurations: how many to try; the whole grid where None.
        seed: of the sampler.
        objectives: to optimise.
        known: configurations with the values that an earlier run found; the sampler learns from them, and they are not
            proposed.
        backbone: that the method runs on.

    Raises:
        EarshotError: a grid over a range, which is infinite.
    """

    def __init__(
        self,
        space: MethodSpace,
        strategy: Strategy,
        configurations: int | None,
        seed: int,
        objectives: Sequence[Objective] = DEFAULT,
        known: Sequence[EarlierConfiguration] = (),
        backbone: BackboneSpec | None = None,
    ) -> None:
        self.space = space
        self.backbone = backbone
        self.objectives = tuple(objectives)
        self.known = tuple(known)
        self._known = [configuration.chosen for configuration in known]
        self._grid = _grid(space, strategy, configurations, self._known)
        self.total = (configurations or 1) if self._grid is None else len(self._grid)
        self._round = ROUND if strategy == "tpe" and self._grid is None else self.total
        self._study = _study(space, strategy, seed, self.objectives, known)
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
            for _ in range(PROPOSALS * (last - first)):
                if len(self._proposed) == last:
                    break
                self._propose()
        return [{**self.space.fixed, **chosen} for chosen in self._proposed[first:]]

    def tell(self, answers: Sequence[Answer]) -> None:
        """Takes the values of the round's configurations, in the order of `ask`."""
        for trial, answer in zip(self._open, answers, strict=False):
            state = state_of(answer, len(self.objectives))
            if isinstance(answer, Pruned) and state == TrialState.PRUNED:
                for sessions, value in sorted(answer.curve.items()):
                    trial.report(value, sessions)
            values = answer if isinstance(answer, tuple) and state == TrialState.COMPLETE else None
            self._study.tell(trial, values, state)

    def _propose(self) -> None:
        trial = self._study.ask(self.space.varied)
        chosen = {key: trial.params[key] for key in self.space.varied}
        if chosen in self._proposed or chosen in self._known:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._proposed.append(chosen)
            self._open.append(trial)


def state_of(answer: Answer, objectives: int) -> TrialState:
    """The state in which a configuration is reported to Optuna, which cannot prune with several objectives."""
    if isinstance(answer, tuple) and not any(map(math.isnan, answer)):
        return TrialState.COMPLETE
    return TrialState.PRUNED if isinstance(answer, Pruned) and answer.curve and objectives == 1 else TrialState.FAIL


RoundEnded = Callable[[MethodSearch, list[dict[str, Any]], list[Answer]], None]
"""Is called with a search, the settings of the configurations of a round and their answers."""


class SeededSearch(Searcher):
    """The searcher that Tune asks for trials: rounds of configurations of every method, each with every seed.

    Args:
        searches: one per method and backbone, all with the same objectives.
        seeds: triples; the value of an objective is the mean over them.
        trial_config: makes Tune's configuration of a trial.
        over: whether no more trials may start; called before each.
        ended: called when all trials of a round have ended.

    Raises:
        EarshotError: nothing is left to try.
    """

    def __init__(
        self,
        searches: list[MethodSearch],
        seeds: list[SeedTriple],
        trial_config: Callable[[Job], dict[str, Any]],
        over: Callable[[], bool] = lambda: False,
        ended: RoundEnded = lambda search, proposed, answers: None,
    ) -> None:
        super().__init__()
        self._trial_config = trial_config
        self._over = over
        self._seeds = seeds
        self._searches = searches
        if not self.total:
            raise EarshotError("warm_start: all configurations of the space are known already; widen it")
        self._keys = [objective.key for objective in searches[0].objectives]
        self._rounds = [_Round(search, seeds, ended) for search in searches]
        self._running: dict[str, tuple[_Round, int, _TrialValues]] = {}

    @property
    def total(self) -> int:
        """Trials of the whole sweep."""
        return sum(search.total for search in self._searches) * len(self._seeds)

    @property
    def ended(self) -> bool:
        """Whether every trial of the sweep has ended."""
        return all(current.ended for current in self._rounds)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The configuration of the next trial; None while a round has to end first; `FINISHED` at the end."""
        pending = [] if self._over() else [current for current in self._rounds if current.jobs]
        if pending:
            index, job = pending[0].jobs.popleft()
            self._running[trial_id] = (pending[0], index, _TrialValues())
            return self._trial_config(job)
        if not self.ended and not self._over():
            return None
        finished: Any = Searcher.FINISHED  # a string, which Ray's annotation does not allow
        return finished

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes the result of a session after which the trial continues."""
        if trial_id in self._running:
            self._running[trial_id][2].add(result, self._keys[0])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes the last result of a trial; the last trial of a round starts the next round."""
        if trial_id in self._running:
            current, index, values = self._running.pop(trial_id)
            if result is not None and not error:
                values.end(result, self._keys)
            current.trial_ended(index, values)

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: a sweep that is run again proposes the same configurations."""

    def restore(self, checkpoint_path: str) -> None:
        """Restores nothing."""


@dataclass
class _TrialValues:
    """What a trial has reported.

    Attributes:
        last: value of each objective; None where the trial did not complete all sessions.
        stopped: whether it ended with fewer sessions, without a failure.
        curve: completed sessions -> first objective so far.
    """

    last: tuple[float, ...] | None = None
    stopped: bool = False
    curve: dict[int, float] = field(default_factory=dict)

    def add(self, result: dict[str, Any], key: str) -> None:
        """Takes the result of a session; `key` is that of the first objective."""
        if result.get(FINISHED) and result.get(key) is not None:
            self.curve[result[FINISHED]] = float(result[key])

    def end(self, result: dict[str, Any], keys: list[str]) -> None:
        """Takes the last result; `keys` are those of the objectives."""
        self.add(result, keys[0])
        self.stopped = result.get(FINISHED, 0) < result.get("sessions", 0)
        values = [result.get(key) for key in keys]
        if not self.stopped and None not in values:
            self.last = tuple(float(value) for value in values if value is not None)


class _Round:
    """The configurations of one method that are running or waiting to run.

    Attributes:
        jobs: that wait, each with the index of its configuration.
        ended: whether the search has no more configurations.
    """

    def __init__(
        self,
        search: MethodSearch,
        seeds: list[SeedTriple],
        round_ended: RoundEnded,
    ) -> None:
        self._search = search
        self._round_ended = round_ended
        self._proposals: list[dict[str, Any]] = []
        self._seeds = seeds
        self.jobs: deque[tuple[int, Job]] = deque()
        self.ended = False
        self._values: list[list[_TrialValues]] = []  # of the trials that ended, by configuration
        self._next()

    def trial_ended(self, index: int, values: _TrialValues) -> None:
        """Adds a trial of a configuration; after the last of the round, begins the next round."""
        self._values[index].append(values)
        if all(len(trials) == len(self._seeds) for trials in self._values):
            answers = [_answer(trials) for trials in self._values]
            self._search.tell(answers)
            self._round_ended(self._search, self._proposals, answers)
            self._next()

    def _next(self) -> None:
        self._proposals = proposals = self._search.ask()
        self._values = [[] for _ in proposals]
        varied = tuple(self._search.space.varied)
        for index, settings in enumerate(proposals):
            for seeds in self._seeds:
                self.jobs.append(
                    (index, Job(self._search.space.method, settings, varied, seeds, self._search.backbone))
                )
        self.ended = not proposals


def _answer(trials: list[_TrialValues]) -> Answer:
    """The answer for a configuration, from its trials."""
    complete = [trial.last for trial in trials if trial.last is not None]
    if len(complete) == len(trials):
        return tuple(_mean(column) for column in zip(*complete, strict=True))
    if any(trial.last is None and not trial.stopped for trial in trials):
        return None
    shared = set.intersection(*(set(trial.curve) for trial in trials))
    means = {sessions: _mean([trial.curve[sessions] for trial in trials]) for sessions in sorted(shared)}
    return Pruned({sessions: mean for sessions, mean in means.items() if not math.isnan(mean)})


def _mean(values: Sequence[float]) -> float:
    # fsum: the order in which trials end must not change the last bit that the sampler gets
    return math.fsum(values) / len(values)


def _grid(
    space: MethodSpace, strategy: Strategy, configurations: int | None, known: list[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """The points to try where the space is searched as a grid; None where configurations are sampled."""
    ranges = [key for key, d in space.varied.items() if not isinstance(d, CategoricalDistribution)]
    if ranges and strategy == "grid":
        raise EarshotError(
            f"search 'grid': method {space.method}: {ranges[0]} is a range; a grid needs a choice of values "
            "(or use --search tpe or random)"
        )
    if ranges:
        return None
    points = [point for point in _points(space) if point not in known]
    return points[:configurations] if strategy == "grid" or len(points) <= (configurations or 1) else None


def _points(space: MethodSpace) -> list[dict[str, Any]]:
    """All points of a space of choices."""
    choices = {key: d.choices for key, d in space.varied.items() if isinstance(d, CategoricalDistribution)}
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def _study(
    space: MethodSpace,
    strategy: Strategy,
    seed: int,
    objectives: Sequence[Objective],
    known: Sequence[EarlierConfiguration],
) -> optuna.Study:
    """An Optuna study that has the known configurations and tries the published setting first."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's multivariate sampler is experimental
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.TPESampler(seed=seed, multivariate=True)
            if strategy == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )
    study = optuna.create_study(directions=[objective.direction for objective in objectives], sampler=sampler)
    for configuration in known:
        study.add_trial(
            optuna.trial.create_trial(
                params=configuration.chosen, distributions=space.varied, values=configuration.values
            )
        )
    default = _default_inside(space)
    if default and all(default != configuration.chosen for configuration in known):
        study.enqueue_trial(default)
    return study


def _default_inside(space: MethodSpace) -> dict[str, Any]:
    """The method's default of every varied setting; empty where one lies outside the space."""
    defaults = find_method(space.method).Settings.model_validate(space.fixed).model_dump()
    return space.within(defaults) or {}
