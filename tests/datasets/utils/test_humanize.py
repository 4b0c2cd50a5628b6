"""Durations and sizes as people write them."""

import math

import pytest

from datasets.utils.humanize import format_duration, format_size, seconds, size


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("45", 45), ("1.5h", 5400), ("1d2h", 93600), (30, 30)],
)
def test_durations(text: object, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4e9), ("500 MB", 5e8), ("1GiB", 2**30), ("1.5k", 1500), ("2TB", 2e12), ("77", 77), ("77B", 77), (5, 5)],
)
def test_sizes(text: object, expected: float) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "h", "0h", "-2h", "2 hours", "nan", "1e9", "2h2h", "..h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        seconds(text)


@pytest.mark.parametrize("text", ["", "GB", "0", "-4GB", "4XB", "0.1", "..GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        size(text)


def test_as_people_say_it() -> None:
    durations = {0.4: "0 s", 99: "99 s", 100: "2 min", 5000: "83 min", 7800: "2 h 10 min", 273_600: "3 d 4 h"}
    assert {value: format_duration(value) for value in durations} == durations
    assert [format_size(value) for value in (512, 3.2e6, 4.05e9, 2e15)] == ["512 B", "3.2 MB", "4.0 GB", "2000.0 TB"]
    assert math.isfinite(seconds("9d"))
