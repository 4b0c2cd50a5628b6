"""Numbers as text: percentages, means with their spread, intervals."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from orchestrator.statistics.estimates import Estimate

MISSING = "-"
"""Text of a value that is undefined or not available yet."""


def percent(value: float) -> str:
    """A fraction of one as percent with one decimal: 0.8276 -> '82.8'; NaN -> '-'."""
    if np.isnan(value):
        return MISSING
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text


def mean_std(value: Estimate) -> str:
    """Mean and standard deviation in percent: '82.8 ± 1.2'; '82.8 ± -' for one chain; '-' for none."""
    return f"{percent(value.mean)} ± {percent(value.std)}" if value.n else MISSING


def interval(low: float, high: float) -> str:
    """An interval in percent: '81.4 to 84.0'; '-' if it is NaN."""
    return MISSING if np.isnan(low) else f"{percent(low)} to {percent(high)}"


def number(value: float, spec: str) -> str:
    """A number by a format specification; '-' for NaN."""
    return MISSING if np.isnan(value) else format(value, spec)


def settings(values: Mapping[str, Any]) -> str:
    """Settings as text: 'way 5, shot 5'; None is left out, '-' for no settings."""
    parts = (f"{key} {v if isinstance(v, str) else json.dumps(v)}" for key, v in values.items() if v is not None)
    return ", ".join(parts) or MISSING
