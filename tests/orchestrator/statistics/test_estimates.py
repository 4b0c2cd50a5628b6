"""Estimates compared with values computed by hand and tables."""

import math

import pytest

from orchestrator.reporting.formatting import mean_std
from orchestrator.statistics.estimates import ACCURACY, estimate

NAN = float("nan")


def test_estimate_uses_the_sample_standard_deviation() -> None:
    value = estimate([0.7, 0.8, 0.9])
    assert value.mean == pytest.approx(0.8)
    assert value.std == pytest.approx(0.1)  # with ddof 0 it would be 0.0816
    assert value.n == 3
    # t_{0.975, 2} = 4.302653 (tables)
    assert value.low == pytest.approx(0.8 - 4.302653 * 0.1 / math.sqrt(3), abs=1e-6)
    assert value.high == pytest.approx(0.8 + 4.302653 * 0.1 / math.sqrt(3), abs=1e-6)


def test_the_confidence_sets_the_width_of_the_interval() -> None:
    # t_{0.95, 1} = 6.313752 (tables); std of 0 and 1 is sqrt(1/2)
    value = estimate([0.0, 1.0], confidence=0.9)
    assert value.high - value.mean == pytest.approx(6.313752 * math.sqrt(0.5) / math.sqrt(2), abs=1e-6)


def test_the_interval_is_cut_to_the_possible_values() -> None:
    """At two seeds the t interval of these is [0.255, 1.447]."""
    value = estimate([0.804, 0.898], within=ACCURACY)
    assert (value.low, value.high) == (pytest.approx(0.851 - 12.706205 * 0.047, abs=1e-6), 1.0)
    assert estimate([0.01, 0.11], within=ACCURACY).low == 0.0
    assert estimate([0.804, 0.898]).high == pytest.approx(0.851 + 12.706205 * 0.047, abs=1e-6)


def test_one_value_has_no_std() -> None:
    value = estimate([0.5])
    assert (value.mean, value.n) == (0.5, 1)
    assert math.isnan(value.std) and math.isnan(value.low) and math.isnan(value.high)
    assert mean_std(value) == "50.0 ± -"


def test_missing_values_are_ignored_and_not_counted() -> None:
    value = estimate([NAN, 0.6, NAN, 0.8])
    assert (value.mean, value.n) == (pytest.approx(0.7), 2)
    empty = estimate([NAN])
    assert empty.n == 0 and math.isnan(empty.mean)
    assert mean_std(empty) == "-"
