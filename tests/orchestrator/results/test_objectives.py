"""Objectives, and the Pareto set of points."""

from typing import get_args

import pytest

from orchestrator.results.measures import CHAIN_METRICS, COST
from orchestrator.results.objectives import OBJECTIVES, ObjectiveName
from orchestrator.statistics.pareto import non_dominated

NAN = float("nan")


def test_every_name_has_an_objective_and_a_column_of_chains() -> None:
    assert tuple(OBJECTIVES) == get_args(ObjectiveName)
    assert {objective.column for objective in OBJECTIVES.values()} <= {*CHAIN_METRICS, *COST}


@pytest.mark.parametrize(
    ("values", "optimal"),
    [
        # higher aa and fewer parameters are better: b is worse than a in both, c is smaller, d is like a but larger
        ([[0.9, 100], [0.8, 200], [0.5, 50], [0.9, 101]], [True, False, True, False]),
        ([[0.9, 100], [0.9, 100]], [True, True]),  # equal points do not dominate each other
        ([[0.9, 100], [0.9 + 1e-15, 100]], [True, True]),  # nor do points that differ by rounding only
        ([[0.9, NAN], [0.1, 100]], [False, True]),  # a point with a missing value is not in the set
        ([[0.1, 300]], [True]),
        ([], []),
    ],
)
def test_non_dominated(values: list[list[float]], optimal: list[bool]) -> None:
    assert non_dominated(values, [OBJECTIVES["aa"], OBJECTIVES["parameters"]]).tolist() == optimal


def test_with_one_objective_the_best_points_are_optimal() -> None:
    assert non_dominated([[0.2], [0.1], [0.1]], [OBJECTIVES["pd"]]).tolist() == [False, True, True]
