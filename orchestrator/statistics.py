"""Statistics over chains: mean, sample standard deviation, interval of the mean."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from orchestrator.results import CHAIN_METRICS, COST, SESSION_METRICS, Run

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
    half = _quantile(confidence, n - 1) * std / float(np.sqrt(n))
    return Estimate(mean, std, n, mean - half, mean + half)


class Estimates:
    """Means over the chains of each configuration of a run."""

    def __init__(self, run: Run) -> None:
        chains = run.chains
        self._sessions = {
            key: {name: estimate(rows[name]) for name in SESSION_METRICS}
            for key, rows in run.sessions.groupby(["configuration", "head", "split", "session"])
        }
        self._chains = {
            key: {name: estimate(rows[name]) for name in (*CHAIN_METRICS, *COST)}
            for key, rows in chains[chains["complete"].astype(bool)].groupby(["configuration", "head", "split"])
        }

    def session(self, configuration: str, head: str, split: str, session: int) -> dict[str, Estimate]:
        """Estimates of `SESSION_METRICS` over the chains that finished the session; n = 0 where none did."""
        key = (configuration, head, split, session)
        return self._sessions.get(key, {name: estimate([]) for name in SESSION_METRICS})

    def chain(self, configuration: str, head: str, split: str) -> dict[str, Estimate]:
        """Estimates of `CHAIN_METRICS` and `COST` over the chains with all sessions; n = 0 where none has."""
        key = (configuration, head, split)
        return self._chains.get(key, {name: estimate([]) for name in (*CHAIN_METRICS, *COST)})


@functools.cache
def _quantile(confidence: float, freedom: int) -> float:
    """t_{(1+c)/2, freedom}; a report asks for the same few thousands of times, at 0.1 ms each."""
    return float(stats.t.ppf((1 + confidence) / 2, freedom))


def percent(value: float) -> str:
    """A fraction of one as percent with one decimal: 0.8276 -> '82.8'; NaN -> '-'."""
    if np.isnan(value):
        return NOTHING
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text


def mean_std(value: Estimate) -> str:
    """Mean +- std in percent: '82.8 ± 1.2'; '82.8 ± -' for one chain; '-' for none."""
    return f"{percent(value.mean)} ± {percent(value.std)}" if value.n else NOTHING
