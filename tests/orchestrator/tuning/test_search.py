"""The search: rounds, means over seeds, the same configurations whatever the order in which trials end."""

import random
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ray.tune.search import Searcher

from datasets.utils.errors import EarshotError
from orchestrator.results.objectives import OBJECTIVES, Objective
from orchestrator.tuning.config import Strategy
from orchestrator.tuning.search import ROUND, Job, MethodSearch, Pruned, SeededSearch
from orchestrator.tuning.warm_start import EarlierConfiguration
from search_spaces.loader import MethodSpace
from trainables.records import SeedTriple

SEEDS = [SeedTriple(order=n, support=n, initialisation=n) for n in range(3)]
RANGE = MethodSpace("ede", {"base_epochs": 3}, {"incremental_lr": FloatDistribution(1e-4, 1e-1, log=True)})
CHOICE = MethodSpace("ede", {}, {"base_lr": CategoricalDistribution([1e-3, 1e-2])})


def objective(job: Job) -> float:
    return -abs(job.settings.get("incremental_lr", 0.01) - 0.03) + 0.001 * job.seeds.support


def result(value: float, **more: Any) -> dict[str, Any]:
    """The last result of a chain of three sessions."""
    return {"sessions": 3, "sessions_finished": 3, "validation_accuracy_mean": value, **more}


def drive(
    strategy: Strategy, trials: int, at_once: int, order: int, objectives: tuple[Objective, ...] = (OBJECTIVES["aa"],)
) -> list[Job]:
    """Simulates Tune: `at_once` trials run, and a random one of them ends next."""
    method = MethodSearch(RANGE, strategy, trials, 0, objectives)
    search = SeededSearch([method], SEEDS, lambda job: {"job": job})
    generator = random.Random(order)
    running: dict[str, Job] = {}
    jobs: list[Job] = []
    while True:
        suggestion: Any = None
        if len(running) < at_once:
            suggestion = search.suggest(f"t{len(jobs)}")
        if isinstance(suggestion, dict):
            running[f"t{len(jobs)}"] = suggestion["job"]
            jobs.append(suggestion["job"])
        elif running:
            name = generator.choice(sorted(running))
            value = objective(running.pop(name))
            search.on_trial_complete(name, result(value, parameters_used=1000 * round(-100 * value)))
        else:
            assert suggestion == Searcher.FINISHED
            return jobs


@pytest.mark.parametrize("strategy", ["tpe", "random"])
def test_the_configurations_do_not_depend_on_workers_and_order(strategy: Strategy) -> None:
    alone = drive(strategy, 10, at_once=1, order=0)
    assert len(alone) == 10 * len(SEEDS)
    assert drive(strategy, 10, at_once=2, order=1) == alone
    assert drive(strategy, 10, at_once=7, order=2) == alone


def test_every_configuration_runs_with_every_seed() -> None:
    jobs = drive("random", 4, at_once=2, order=0)
    by_setting: dict[float, list[SeedTriple]] = {}
    for job in jobs:
        by_setting.setdefault(job.settings["incremental_lr"], []).append(job.seeds)
    assert list(by_setting.values()) == [SEEDS] * 4


def test_the_published_setting_is_tried_first() -> None:
    assert drive("tpe", 2, at_once=1, order=0)[0].settings == {"base_epochs": 3, "incremental_lr": 1e-3}


def test_tpe_learns_from_the_mean_over_seeds() -> None:
    """After some rounds its proposals are closer to the optimum than at first."""
    jobs = drive("tpe", 32, at_once=1, order=0)[:: len(SEEDS)]
    misses = [abs(job.settings["incremental_lr"] - 0.03) for job in jobs]
    assert sum(misses[-8:]) < sum(misses[ROUND : ROUND + 8])


def test_a_grid_is_every_point_once() -> None:
    search = MethodSearch(CHOICE, "grid", None, 0)
    assert search.ask() == [{"base_lr": 1e-3}, {"base_lr": 1e-2}]
    assert search.ask() == []


def test_points_of_a_small_space_are_not_repeated() -> None:
    assert MethodSearch(CHOICE, "tpe", 8, 0).total == 2
    assert MethodSearch(MethodSpace("simplecil"), "tpe", 8, 0).total == 1


def test_a_grid_over_a_range_is_an_error() -> None:
    with pytest.raises(EarshotError, match="incremental_lr is a range; a grid needs a choice"):
        MethodSearch(RANGE, "grid", 4, 0)


def test_a_failed_trial_does_not_stop_the_search() -> None:
    search = SeededSearch([MethodSearch(RANGE, "tpe", 6, 0)], SEEDS[:1], lambda job: {"job": job})
    names = []
    for number in range(6):
        assert isinstance(search.suggest(f"t{number}"), dict)
        names.append(f"t{number}")
        failed = {"done": True, "failed": "why", "validation_accuracy_mean": None}
        search.on_trial_complete(f"t{number}", None if number % 2 else failed, error=bool(number % 2))
    assert search.suggest("t6") == Searcher.FINISHED


def test_no_trial_starts_after_the_end() -> None:
    over = False
    search = SeededSearch([MethodSearch(RANGE, "tpe", 6, 0)], SEEDS, lambda job: {"job": job}, lambda: over)
    assert isinstance(search.suggest("t0"), dict)
    over = True
    assert search.suggest("t1") == Searcher.FINISHED
    assert not search.ended


class RecordingSearch(MethodSearch):
    """Remembers the answers of the last round."""

    def tell(self, answers: Any) -> None:
        self.answers = list(answers)
        super().tell(answers)


def answer_of(reports: list[list[dict[str, Any]]], *objectives: str) -> tuple[Any, Any]:
    """The answer for a configuration whose seeds have these results, and Optuna's trial."""
    search = RecordingSearch(RANGE, "random", 1, 0, [OBJECTIVES[name] for name in objectives])
    seeded = SeededSearch([search], SEEDS[: len(reports)], lambda job: {"job": job})
    for number, sessions in enumerate(reports):
        seeded.suggest(f"t{number}")
        for intermediate in sessions[:-1]:
            seeded.on_trial_result(f"t{number}", intermediate)
        seeded.on_trial_complete(f"t{number}", sessions[-1])
    return search.answers[0], search._study.trials[0]


def session(finished: int, value: float, **more: Any) -> dict[str, Any]:
    return result(value, sessions_finished=finished, **more)


def test_every_objective_is_averaged_over_seeds() -> None:
    reports = [[session(3, 0.5, parameters_used=10)], [session(3, 0.7, parameters_used=30)]]
    answer, trial = answer_of(reports, "aa", "parameters")
    assert answer == pytest.approx((0.6, 20))
    assert trial.values == pytest.approx([0.6, 20])


def test_a_stopped_chain_prunes_its_configuration() -> None:
    whole = [session(1, 0.9), session(2, 0.8), session(3, 0.7)]
    answer, trial = answer_of([whole, [session(1, 0.5), session(2, 0.4)]], "aa")
    assert answer == Pruned({1: pytest.approx(0.7), 2: pytest.approx(0.6)})
    assert trial.state.name == "PRUNED"
    assert trial.intermediate_values == answer.curve


def test_with_several_objectives_a_stopped_chain_is_a_failure() -> None:
    more = {"validation/pd": 0.1}
    _, trial = answer_of([[session(3, 0.7, **more)], [session(1, 0.5, **more)]], "aa", "pd")
    assert (trial.state.name, trial.values) == ("FAIL", None)


def test_a_configuration_with_a_failed_and_a_stopped_chain_has_failed() -> None:
    answer, trial = answer_of([[session(1, 0.5)], [{"failed": "why", "validation_accuracy_mean": None}]], "aa")
    assert answer is None
    assert trial.state.name == "FAIL"


def test_an_objective_that_is_not_a_number_is_a_failure() -> None:
    _, trial = answer_of([[session(3, float("nan"))]], "aa")
    assert trial.state.name == "FAIL"


@pytest.mark.parametrize("strategy", ["tpe", "random"])
def test_several_objectives_in_any_order(strategy: Strategy) -> None:
    both = (OBJECTIVES["aa"], OBJECTIVES["parameters"])
    alone = drive(strategy, 13, at_once=1, order=0, objectives=both)
    assert len(alone) == 13 * len(SEEDS)
    assert drive(strategy, 13, at_once=5, order=3, objectives=both) == alone


def test_a_grid_with_several_objectives() -> None:
    search = MethodSearch(CHOICE, "grid", None, 0, [OBJECTIVES["aa"], OBJECTIVES["pd"]])
    assert len(search.ask()) == 2
    search.tell([(0.5, 0.1), None])
    assert search.ask() == []


def test_known_configurations_inform_the_search_and_are_not_tried_again() -> None:
    """With a warm start of many values, the first proposals of TPE are close to the optimum."""
    known = [
        EarlierConfiguration({"incremental_lr": 10 ** (-4 + 0.1 * n)}, (-abs(10 ** (-4 + 0.1 * n) - 0.03),))
        for n in range(31)
    ]
    search = MethodSearch(RANGE, "tpe", 4, 0, known=known)
    proposed = [settings["incremental_lr"] for settings in search.ask()]
    assert len(proposed) == 4
    assert all(0.01 < value < 0.06 for value in proposed)


def test_a_known_default_is_not_tried_again() -> None:
    search = MethodSearch(RANGE, "tpe", 4, 0, known=[EarlierConfiguration({"incremental_lr": 1e-3}, (0.5,))])
    assert 1e-3 not in [settings["incremental_lr"] for settings in search.ask()]


def test_known_points_of_a_grid_are_left_out() -> None:
    known = [EarlierConfiguration({"base_lr": 1e-2}, (0.5,))]
    search = MethodSearch(CHOICE, "grid", None, 0, known=known)
    assert (search.total, search.ask()) == (1, [{"base_lr": 1e-3}])


def test_a_search_with_nothing_left_to_try_is_an_error() -> None:
    known = [EarlierConfiguration({"base_lr": value}, (0.5,)) for value in (1e-3, 1e-2)]
    with pytest.raises(EarshotError, match="all configurations of the space are known"):
        SeededSearch([MethodSearch(CHOICE, "tpe", 8, 0, known=known)], SEEDS, lambda job: {"job": job})
