"""Numbers of the page: rounded, estimates as plain data."""

import dataclasses
from typing import Any

import numpy as np

from orchestrator.statistics.estimates import Estimate

DIGITS = 5


def plain_estimate(value: Estimate) -> dict[str, Any]:
    """An estimate in JSON types."""
    return {name: number if name == "n" else rounded(number) for name, number in dataclasses.asdict(value).items()}


def rounded(value: float | np.floating[Any]) -> float:
    """With the digits of the page."""
    return round(float(value), DIGITS)
