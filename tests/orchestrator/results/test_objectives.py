"""Objectives: registered once, reported by trials, found in runs; and which points no other dominates."""

from typing import get_args

import pytest

from orchestrator.results.objectives import OBJECTIVES, ObjectiveName
from orchestrator.results.run import CHAIN_METRICS, COST
from orchestrator.statistics.pareto import non_dominated

NAN = float("nan")


def test_every_name_is_registered_and_in_the_table_of_chains() -> None:
    assert tuple(OBJECTIVES) == get_args(ObjectiveName)
    assert {objective.column for objective in OBJECTIVES.values()} <= {*CHAIN_METRICS, *COST}


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        # aa up, parameters down: b is worse than a in both, c is smaller, d is as a but larger
        ([[0.9, 100], [0.8, 200], [0.5, 50], [0.9, 101]], [True, False, True, False]),
        ([[0.9, 100], [0.9, 100]], [True, True]),  # equal points do not dominate each other
        ([[0.9, 100], [0.9 + 1e-15, 100]], [True, True]),  # nor do points that are equal up to rounding
        ([[0.9, NAN], [0.1, 100]], [False, True]),  # one that lacks a value is not in the set
        ([[0.1, 300]], [True]),
        ([], []),
    ],
)
def test_the_pareto_set(values: list[list[float]], kept: list[bool]) -> None:
    assert non_dominated(values, [OBJECTIVES["aa"], OBJECTIVES["parameters"]]).tolist() == kept


def test_of_one_objective_the_best_remain() -> None:
    assert non_dominated([[0.2], [0.1], [0.1]], [OBJECTIVES["pd"]]).tolist() == [False, True, True]
