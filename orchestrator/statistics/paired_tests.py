"""Paired tests of two methods on the same seeds: tests, effect sizes and power.

Every function is pure. A difference is the value of a chain minus that of the other method's chain with the same seeds.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

ALPHA = 0.05
POWER = 0.8
MIN_SEEDS_FOR_CLAIM = 10
"""Least number of seeds for a claim (docs/metrics.md, "Statistics")."""
MAX_SEEDS = 1000
"""A difference that needs more seeds than these is too small to matter."""


@dataclass(frozen=True)
class PairedTest:
    """Statistics of paired differences; NaN where undefined.

    Attributes:
        n: number of pairs.
        mean: mean of the differences.
        std: sample standard deviation of the differences (ddof 1); NaN for n < 2.
        low: lower end of the 95 % t interval of the mean, cut to the possible differences.
        high: upper end of that interval.
        t: paired t statistic, mean / (std / sqrt(n)); NaN if all differences are equal.
        p_t: two-sided p value of the t statistic.
        p_wilcoxon: two-sided p value of Wilcoxon's signed rank test; 1 if no pair differs.
        d_z: effect size mean / std (Cohen 1988, section 2.3.5).
        rank_biserial: effect size of Wilcoxon's test, (W+ - W-) / (W+ + W-) (Kerby 2014): 1 if all nonzero
            differences are positive, 0 if no pair differs.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    t: float
    p_t: float
    p_wilcoxon: float
    d_z: float
    rank_biserial: float


def paired_test(differences: ArrayLike, largest: float = math.inf) -> PairedTest:
    """Tests whether differences are centred at zero.

    Args:
        differences: one per pair, [pairs].
        largest: the largest difference that is possible; the interval is cut to -largest to largest.
    """
    # Twelve digits, so that the same accuracies summed in another order tie.
    values = np.round(np.asarray(differences, dtype=float), 12)
    n, nan = len(values), float("nan")
    mean = float(values.mean()) if n else nan
    if n < 2:
        return PairedTest(n, mean, nan, nan, nan, nan, nan, nan, nan, nan)
    std = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))
    error = std / float(np.sqrt(n))
    half = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * error
    t = mean / error if std else nan
    p_t = float(2 * stats.t.sf(abs(t), n - 1))
    effect = mean / std if std else nan
    low, high = max(mean - half, -largest), min(mean + half, largest)
    return PairedTest(n, mean, std, low, high, t, p_t, wilcoxon(values), effect, rank_biserial(values))


def described(test: PairedTest) -> PairedTest:
    """The mean of the differences with its interval, and nothing that decides: no p values, no effect sizes."""
    nan = float("nan")
    return replace(test, t=nan, p_t=nan, p_wilcoxon=nan, d_z=nan, rank_biserial=nan)


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p value of Wilcoxon's signed rank test; zero differences are ignored, 1 if all are zero.

    Exact for up to 50 pairs without ties, and for up to 13 pairs with ties (over all signs); otherwise the normal
    approximation.

    Args:
        differences: one per pair, [pairs].
    """
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    if not len(values):
        return 1.0
    ties = len(np.unique(np.abs(values))) < len(values)
    method: Any = "asymptotic" if len(values) > 50 or ties else "exact"
    if ties and len(values) <= 13:
        method = stats.PermutationMethod(n_resamples=2**13)
    return float(stats.wilcoxon(values, method=method).pvalue)


def rank_biserial(differences: ArrayLike) -> float:
    """(W+ - W-) / (W+ + W-), where W is the sum of ranks of |difference| per sign; 0 if no pair differs.

    Args:
        differences: one per pair, [pairs].
    """
    values = np.asarray(differences, dtype=float)
    values = values[values != 0]
    ranks = stats.rankdata(np.abs(values))
    return float(np.sum(np.sign(values) * ranks) / np.sum(ranks)) if len(values) else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted by Holm's step-down method (Scandinavian Journal of Statistics 6, 1979).

        p'_(i) = max_{k<=i} min(1, (m - k + 1) p_(k)),   p_(1) <= ... <= p_(m)

    Args:
        p_values: p values of a family of tests; NaN (an impossible test) stays NaN and does not count in m.
    """
    order = sorted((index for index, p in enumerate(p_values) if not np.isnan(p)), key=lambda index: p_values[index])
    steps = [min(1.0, (len(order) - rank) * p_values[index]) for rank, index in enumerate(order)]
    adjusted = [float("nan")] * len(p_values)
    for index, value in zip(order, itertools.accumulate(steps, max), strict=True):
        adjusted[index] = value
    return adjusted


def power(d_z: float, n: int | NDArray[np.int64], alpha: float = ALPHA) -> Any:
    """Power of the two-sided paired t test: P(|T| > t_{1-alpha/2, n-1}), T noncentral with noncentrality d_z sqrt(n).

    Args:
        d_z: effect size.
        n: number of pairs, at least 2; one or several.
        alpha: significance level of the test.
    """
    freedom, shift = np.asarray(n) - 1, abs(d_z) * np.sqrt(n)
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    wrong_side = np.nan_to_num(
        stats.nct.cdf(-critical, freedom, shift)
    )  # SciPy returns NaN for some values below 1e-16
    return stats.nct.sf(critical, freedom, shift) + wrong_side


def seeds_needed(d_z: float, alpha: float = ALPHA) -> int | None:
    """The least number of pairs at which the paired t test detects an effect with a power of 80 %.

    Args:
        d_z: observed effect size.
        alpha: significance level of the test.

    Returns:
        None if it is more than `MAX_SEEDS`, and for an effect of zero or NaN.
    """
    if np.isnan(d_z) or float(power(d_z, MAX_SEEDS, alpha)) < POWER:
        return None
    low, high = 1, MAX_SEEDS  # power rises with n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if float(power(d_z, middle, alpha)) >= POWER else (middle, high)
    return high
