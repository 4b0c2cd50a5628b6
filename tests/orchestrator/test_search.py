"""The search: rounds, seeds averaged, the same questions whatever the order of answers."""

import random
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from ray.tune.search import Searcher

from datasets.errors import EarshotError
from orchestrator.search import ROUND, Job, MethodSearch, SeededSearch
from orchestrator.settings import Strategy
from search_spaces.loader import MethodSpace
from trainables.records import SeedTriple

SEEDS = [SeedTriple(order=n, support=n, initialisation=n) for n in range(3)]
RANGE = MethodSpace("ede", {"base_epochs": 3}, {"incremental_lr": FloatDistribution(1e-4, 1e-1, log=True)})
CHOICE = MethodSpace("ede", {}, {"base_lr": CategoricalDistribution([1e-3, 1e-2])})


def objective(job: Job) -> float:
    return -abs(job.settings.get("incremental_lr", 0.01) - 0.03) + 0.001 * job.seeds.support


def drive(strategy: Strategy, trials: int, at_once: int, order: int) -> list[Job]:
    """Plays Tune: `at_once` trials run, a random one of them ends next."""
    search = SeededSearch([MethodSearch(RANGE, strategy, trials, 0)], SEEDS, lambda job: {"job": job}, "value")
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
            search.on_trial_complete(name, {"value": objective(running.pop(name))})
        else:
            assert suggestion == Searcher.FINISHED
            return jobs


@pytest.mark.parametrize("strategy", ["tpe", "random"])
def test_the_same_questions_whatever_the_workers_and_the_order(strategy: Strategy) -> None:
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
    """After some rounds it looks nearer the optimum than at first."""
    jobs = drive("tpe", 32, at_once=1, order=0)[:: len(SEEDS)]
    misses = [abs(job.settings["incremental_lr"] - 0.03) for job in jobs]
    assert sum(misses[-8:]) < sum(misses[ROUND : ROUND + 8])


def test_a_grid_is_every_point_once() -> None:
    search = MethodSearch(CHOICE, "grid", None, 0)
    assert search.ask() == [{"base_lr": 1e-3}, {"base_lr": 1e-2}]
    assert search.ask() == []


def test_choices_that_are_fewer_than_asked_for_are_not_repeated() -> None:
    assert MethodSearch(CHOICE, "tpe", 8, 0).total == 2
    assert MethodSearch(MethodSpace("simplecil"), "tpe", 8, 0).total == 1


def test_a_grid_over_a_range_is_refused() -> None:
    with pytest.raises(EarshotError, match="incremental_lr is a range; a grid needs a choice"):
        MethodSearch(RANGE, "grid", 4, 0)


def test_a_failed_trial_does_not_stop_the_search() -> None:
    search = SeededSearch([MethodSearch(RANGE, "tpe", 6, 0)], SEEDS[:1], lambda job: {"job": job}, "value")
    names = []
    for number in range(6):
        assert isinstance(search.suggest(f"t{number}"), dict)
        names.append(f"t{number}")
        search.on_trial_complete(f"t{number}", None if number % 2 else {"value": None}, error=bool(number % 2))
    assert search.suggest("t6") == Searcher.FINISHED
