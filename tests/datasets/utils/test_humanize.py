"""Durations and sizes in text."""

import math

import pytest

from datasets.utils.humanize import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("45", 45), ("1.5h", 5400), ("1d2h", 93600), (30, 30)],
)
def test_parse_duration(text: object, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4e9), ("500 MB", 5e8), ("1GiB", 2**30), ("1.5TiB", 1.5 * 2**40), ("1.5k", 1500), ("2TB", 2e12),
        ("77", 77), ("77B", 77), (5, 5), ("4gb", 4e9), (".5GB", 5e8), ("1Gi", 2**30), (" 4GB ", 4e9), ("2.3MB", 2.3e6),
    ],
)  # fmt: skip
def test_parse_size(text: object, expected: float) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "h", "0h", "-2h", "2 hours", "nan", "1e9", "2h2h", "..h"])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 2h, 90m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "GB", "0", "-4GB", "4XB", "0.1", "..GB", "4.5.6GB", "4,5GB", "4GB 5GB", "1e9", "٤GB"]
)
def test_invalid_sizes(text: str) -> None:
    """`pydantic.ByteSize` alone would read 4,5GB as 4 bytes."""
    with pytest.raises(ValueError, match="expected a size such as 4GB or 500MiB"):
        parse_size(text)


def test_format_duration_and_size() -> None:
    durations = {0.4: "0 s", 99: "99 s", 100: "2 min", 5000: "83 min", 7800: "2 h 10 min", 273_600: "3 d 4 h"}
    assert {seconds: format_duration(seconds) for seconds in durations} == durations
    assert [format_size(size) for size in (512, 3.2e6, 4.05e9, 2e15)] == ["512 B", "3.2 MB", "4.0 GB", "2000.0 TB"]
    assert math.isfinite(parse_duration("9d"))
