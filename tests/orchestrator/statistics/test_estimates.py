"""Estimates against values computed by hand and tables."""

import math

import pytest

from orchestrator.statistics.estimates import estimate, mean_std, percent

NAN = float("nan")


def test_estimate_uses_the_sample_standard_deviation() -> None:
    found = estimate([0.7, 0.8, 0.9])
    assert found.mean == pytest.approx(0.8)
    assert found.std == pytest.approx(0.1)  # with ddof 0 it would be 0.0816
    assert found.n == 3
    # t_{0.975, 2} = 4.302653 (tables)
    assert found.low == pytest.approx(0.8 - 4.302653 * 0.1 / math.sqrt(3), abs=1e-6)
    assert found.high == pytest.approx(0.8 + 4.302653 * 0.1 / math.sqrt(3), abs=1e-6)


def test_confidence() -> None:
    # t_{0.95, 1} = 6.313752 (tables); std of 0 and 1 is sqrt(1/2)
    found = estimate([0.0, 1.0], confidence=0.9)
    assert found.high - found.mean == pytest.approx(6.313752 * math.sqrt(0.5) / math.sqrt(2), abs=1e-6)


def test_one_value_has_no_spread() -> None:
    found = estimate([0.5])
    assert (found.mean, found.n) == (0.5, 1)
    assert math.isnan(found.std) and math.isnan(found.low) and math.isnan(found.high)
    assert mean_std(found) == "50.0 ± -"


def test_missing_values_are_left_out_and_not_counted() -> None:
    found = estimate([NAN, 0.6, NAN, 0.8])
    assert (found.mean, found.n) == (pytest.approx(0.7), 2)
    nothing = estimate([NAN])
    assert nothing.n == 0 and math.isnan(nothing.mean)
    assert mean_std(nothing) == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8276, "82.8"), (1.0, "100.0"), (0.0, "0.0"), (-0.0001, "0.0"), (-0.05, "-5.0"), (NAN, "-")],
)
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


def test_mean_std() -> None:
    assert mean_std(estimate([0.7, 0.8, 0.9])) == "80.0 ± 10.0"
