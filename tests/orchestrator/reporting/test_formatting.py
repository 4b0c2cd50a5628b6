"""Numbers and settings as text."""

import pytest

from orchestrator.reporting.formatting import interval, mean_std, number, percent, settings
from orchestrator.statistics.estimates import estimate

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8276, "82.8"), (1.0, "100.0"), (0.0, "0.0"), (-0.0001, "0.0"), (-0.05, "-5.0"), (NAN, "-")],
)
def test_percent_has_one_decimal(value: float, text: str) -> None:
    assert percent(value) == text


def test_mean_and_std_as_text() -> None:
    assert mean_std(estimate([0.7, 0.8, 0.9])) == "80.0 ± 10.0"


def test_intervals_numbers_and_settings_as_text() -> None:
    assert (interval(0.814, 0.84), interval(NAN, NAN)) == ("81.4 to 84.0", "-")
    assert (number(12345.6, ",.0f"), number(NAN, ",.0f")) == ("12,346", "-")
    assert settings({"way": 5, "name": "x", "base_shot": None, "on": True}) == "way 5, name x, on true"
    assert settings({}) == "-"
