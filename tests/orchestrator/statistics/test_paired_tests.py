"""Paired tests compared with SciPy, with tables, and with values computed by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from orchestrator.statistics.paired_tests import (
    MAX_SEEDS,
    holm,
    paired_test,
    power,
    rank_biserial,
    seeds_needed,
    wilcoxon,
)

NAN = float("nan")


def test_paired_test_by_hand() -> None:
    # 1, 2, 3: mean 2, std 1, t = 2 sqrt(3) = 3.4641; t_{0.975, 2} = 4.302653; p = 0.07418 (tables)
    test = paired_test([1, 2, 3])
    assert (test.n, test.mean, test.std, test.d_z) == (3, 2, 1, 2)
    assert test.t == pytest.approx(math.sqrt(12))
    assert (test.low, test.high) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    assert test.p_t == pytest.approx(0.07418, abs=1e-5)
    assert test.p_wilcoxon == pytest.approx(2 / 8)  # 2 of the 8 assignments of signs are as extreme
    assert test.rank_biserial == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=12))
def test_paired_test_agrees_with_scipy(values: list[float]) -> None:
    test = paired_test(values)
    if np.ptp(values) > 0:
        expected = stats.ttest_1samp(values, 0)
        assert (test.t, test.p_t) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-6, abs=1e-12)
        interval = expected.confidence_interval()
        assert (test.low, test.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert 0 <= test.p_wilcoxon <= 1 and -1 <= test.rank_biserial <= 1


def test_equal_differences_have_no_t_statistic() -> None:
    same, other = paired_test([0.0, 1e-17, 0.0]), paired_test([0.02, 0.02, 0.02])
    assert (same.mean, same.std, same.p_wilcoxon, same.rank_biserial) == (0, 0, 1, 0)
    assert math.isnan(same.t) and math.isnan(same.p_t) and math.isnan(same.d_z)
    assert (other.low, other.high) == pytest.approx((0.02, 0.02)) and math.isnan(other.p_t)
    assert other.p_wilcoxon == pytest.approx(0.25)


@pytest.mark.parametrize(("values", "n"), [([], 0), ([0.3], 1)])
def test_fewer_than_two_pairs_have_no_statistics(values: list[float], n: int) -> None:
    test = paired_test(values)
    assert test.n == n and math.isnan(test.p_t) and math.isnan(test.p_wilcoxon) and math.isnan(test.low)


def test_wilcoxon_with_ties_and_zeros_enumerates_all_signs() -> None:
    # Ranks of 1, 1, -1, 2: 2, 2, 2, 4, so W+ - W- = 6. Of the 16 sums of +-2 +-2 +-2 +-4 these are as extreme:
    # 10 (1), 6 (3), and their negatives: 8.
    assert wilcoxon([1, 1, -1, 2, 0, 0]) == pytest.approx(8 / 16)
    assert rank_biserial([1, 1, -1, 2, 0, 0]) == pytest.approx((8 - 2) / 10)
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    values = np.array([0.3, 0.3, -0.1, 0.5, 0.5, 0.5])
    sums = signs @ stats.rankdata(np.abs(values))
    observed = np.sign(values) @ stats.rankdata(np.abs(values))
    assert wilcoxon(values) == pytest.approx(np.mean(np.abs(sums) >= abs(observed) - 1e-9))


def test_wilcoxon_of_ten_positive_differences_is_exact() -> None:
    assert wilcoxon(np.arange(1, 11) / 100) == pytest.approx(2 / 2**10)
    assert wilcoxon([0.0, 0.0]) == 1


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, made monotone: 0.04, 0.06, 0.06, 0.06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.03, NAN, 0.01]) == pytest.approx([0.03, NAN, 0.02], nan_ok=True)
    assert holm([]) == []


@pytest.mark.parametrize(("d_z", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_needed_agrees_with_g_power(d_z: float, n: int) -> None:
    """Results of G*Power for two-sided paired t tests, alpha 0.05 and power 0.8."""
    assert seeds_needed(d_z) == seeds_needed(-d_z) == n
    assert power(d_z, n - 1) < 0.8 <= power(d_z, n)


def test_power_by_simulation() -> None:
    draws = np.random.default_rng(0).normal(0.8, 1, (20000, 12))
    rejected = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    assert power(0.8, 12) == pytest.approx(rejected, abs=0.01)


def test_seeds_needed_of_tiny_and_huge_effects() -> None:
    assert seeds_needed(0.01) is None and seeds_needed(0.0) is None and seeds_needed(NAN) is None
    assert seeds_needed(50.0) == 2
    assert power(0.0, 10) == pytest.approx(0.05)
    assert (seeds_needed(0.1) or 0) < MAX_SEEDS
    assert (seeds_needed(0.5, alpha=0.01) or 0) > 34


def test_the_interval_of_a_difference_is_cut_to_the_possible_differences() -> None:
    free, cut = paired_test([0.1, 0.9]), paired_test([0.1, 0.9], largest=1.0)
    assert (free.low, free.high) == (pytest.approx(0.5 - 12.706205 * 0.4, abs=1e-5), pytest.approx(5.582482, abs=1e-5))
    assert (cut.low, cut.high) == (-1.0, 1.0)
    assert (cut.mean, cut.t, cut.p_t) == (free.mean, free.t, free.p_t)
