"""Formats of numbers and names in the audit."""

import pytest

from orchestrator.auditing.findings import percent, shorten


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(1, "100"), (0.99999, "99.99"), (14 / 15, "93.33"), (0.5, "50"), (0, "0"), (float("nan"), "-")],
)
def test_percent(fraction: float, text: str) -> None:
    assert percent(fraction) == text


def test_shortened_names_are_one_line() -> None:
    assert shorten("a\n\x1b[31mb") == r"a \x1b[31mb"
    assert shorten("x" * 40) == "x" * 31 + "…"
