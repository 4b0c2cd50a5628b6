"""Statistics over chains: mean, sample standard deviation, interval of the mean."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

NOTHING = "-"


@dataclass(frozen=True)
class Estimate:
    """What a few chains say about a metric.

    Attributes:
        mean: mean over the chains; NaN for n = 0.
        std: sample standard deviation (ddof 1); NaN for n < 2.
        n: chains that have the metric.
        low: lower end of the t interval of the mean; NaN for n < 2.
        high: upper end of it.
    """

    mean: float
    std: float
    n: int
    low: float
    high: float


def estimate(values: Iterable[float], confidence: float = 0.95) -> Estimate:
    """Mean, std with ddof 1, and the t interval mean +- t_{(1+c)/2, n-1} * std / sqrt(n).

    Args:
        values: one value per chain; NaN (a chain that lacks the metric) is left out and not counted in n.
        confidence: c, the coverage of the interval, in (0, 1).
    """
    kept = np.array([value for value in values if not np.isnan(value)], dtype=float)
    n = len(kept)
    nan = float("nan")
    mean = float(kept.mean()) if n else nan
    if n < 2:
        return Estimate(mean, nan, n, nan, nan)
    std = float(kept.std(ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * std / float(np.sqrt(n))
    return Estimate(mean, std, n, mean - half, mean + half)


def percent(value: float) -> str:
    """A fraction of one as percent with one decimal: 0.8276 -> '82.8'; NaN -> '-'."""
    if np.isnan(value):
        return NOTHING
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text


def mean_std(value: Estimate) -> str:
    """Mean +- std in percent: '82.8 ± 1.2'; '82.8 ± -' for one chain; '-' for none."""
    return f"{percent(value.mean)} ± {percent(value.std)}" if value.n else NOTHING
