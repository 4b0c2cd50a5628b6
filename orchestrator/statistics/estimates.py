"""Statistics over chains: mean, sample standard deviation, interval of the mean."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from orchestrator.results.run import CHAIN_METRICS, COST, SESSION_METRICS, Run

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
    """Means over the chains of each configuration of a run, computed when they are asked for."""

    def __init__(self, run: Run) -> None:
        whole = run.chains[run.chains["complete"].astype(bool)]
        place = ["configuration", "head", "split"]
        self._sessions = _Groups(run.sessions, [*place, "session"], SESSION_METRICS)
        self._chains = _Groups(whole, place, (*CHAIN_METRICS, *COST))

    def session(self, configuration: str, head: str, split: str, session: int) -> dict[str, Estimate]:
        """Estimates of `SESSION_METRICS` over the chains that finished the session; n = 0 where none did."""
        return self._sessions.estimates((configuration, head, split, session))

    def chain(self, configuration: str, head: str, split: str) -> dict[str, Estimate]:
        """Estimates of `CHAIN_METRICS` and `COST` over the chains with all sessions; n = 0 where none has."""
        return self._chains.estimates((configuration, head, split))


class _Groups:
    """Estimates of some columns over the rows that have the same keys; each is computed once."""

    def __init__(self, rows: pd.DataFrame, keys: list[str], names: Sequence[str]) -> None:
        self._names = names
        self._values = rows[list(names)].to_numpy(dtype=float)
        self._places = rows.groupby(keys).indices
        self._known: dict[tuple[str | int, ...], dict[str, Estimate]] = {}

    def estimates(self, key: tuple[str | int, ...]) -> dict[str, Estimate]:
        """Name of the column -> estimate; n = 0 without rows."""
        if key not in self._known:
            columns = self._values[self._places.get(key, [])].T
            self._known[key] = {name: estimate(column) for name, column in zip(self._names, columns, strict=True)}
        return self._known[key]


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
