"""Statistics over chains: mean, sample standard deviation, interval of the mean."""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from orchestrator.results.measures import CHAIN_METRICS, COST, MEASURES, SESSION_METRICS
from orchestrator.results.run import Run


@dataclass(frozen=True)
class Estimate:
    """A metric over a few chains.

    Attributes:
        mean: mean over the chains; NaN for n = 0.
        std: sample standard deviation (ddof 1); NaN for n < 2.
        n: number of chains that have the metric.
        low: lower end of the interval of the mean; NaN for n < 2.
        high: upper end of the interval of the mean; NaN for n < 2.
    """

    mean: float
    std: float
    n: int
    low: float
    high: float


UNBOUNDED = (-math.inf, math.inf)
ACCURACY = (0.0, 1.0)


def estimate(values: Iterable[float], confidence: float = 0.95, *, within: tuple[float, float] = UNBOUNDED) -> Estimate:
    """Mean, std with ddof 1, and the t interval mean +- t_{(1+c)/2, n-1} * std / sqrt(n), cut to the possible values.

    The mean lies within the possible values, so cutting the interval does not change how often it covers the mean.

    Args:
        values: one value per chain; NaN (a chain that lacks the metric) is ignored and not counted in n.
        confidence: c, the coverage of the interval, in (0, 1).
        within: the least and the greatest value that the metric can have, which the interval is cut to.
    """
    defined = np.array([value for value in values if not np.isnan(value)], dtype=float)
    n = len(defined)
    nan = float("nan")
    mean = float(defined.mean()) if n else nan
    if n < 2:
        return Estimate(mean, nan, n, nan, nan)
    std = float(defined.std(ddof=1))
    half = _quantile(confidence, n - 1) * std / float(np.sqrt(n))
    return Estimate(mean, std, n, max(mean - half, within[0]), min(mean + half, within[1]))


class Estimates:
    """Estimates over the chains of each configuration of a run, computed on first use.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        complete = run.chains[run.chains["complete"].astype(bool)]
        keys = ["configuration", "head", "split"]
        of_chains = {name: MEASURES[name].range for name in CHAIN_METRICS} | dict.fromkeys(COST, (0.0, math.inf))
        self._sessions = _Groups(run.sessions, [*keys, "session"], dict.fromkeys(SESSION_METRICS, ACCURACY))
        self._chains = _Groups(complete, keys, of_chains)

    def session(self, configuration: str, head: str, split: str, session: int) -> dict[str, Estimate]:
        """Estimates of `SESSION_METRICS` over the chains that finished the session; n = 0 if none did."""
        return self._sessions.estimates((configuration, head, split, session))

    def chain(self, configuration: str, head: str, split: str) -> dict[str, Estimate]:
        """Estimates of `CHAIN_METRICS` and `COST` over the chains with all sessions; n = 0 if there are none."""
        return self._chains.estimates((configuration, head, split))


class _Groups:
    """Cached estimates of some columns, each with its range, over the rows that have the same keys."""

    def __init__(self, rows: pd.DataFrame, keys: list[str], ranges: Mapping[str, tuple[float, float]]) -> None:
        self._ranges = ranges
        self._values = rows[list(ranges)].to_numpy(dtype=float)
        self._indices = rows.groupby(keys).indices
        self._cache: dict[tuple[str | int, ...], dict[str, Estimate]] = {}

    def estimates(self, key: tuple[str | int, ...]) -> dict[str, Estimate]:
        """Name of the column -> estimate; n = 0 without rows."""
        if key not in self._cache:
            columns = self._values[self._indices.get(key, [])].T
            self._cache[key] = {
                name: estimate(column, within=within)
                for (name, within), column in zip(self._ranges.items(), columns, strict=True)
            }
        return self._cache[key]


@functools.cache
def _quantile(confidence: float, freedom: int) -> float:
    """t_{(1+c)/2, freedom}; cached, because a report needs the same few thousands of times and each takes 0.1 ms."""
    return float(stats.t.ppf((1 + confidence) / 2, freedom))
