"""Variance components over seeds compared with analyses of variance computed by hand."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from orchestrator.results.run import Run
from orchestrator.statistics.variance_components import split_values, split_variance
from tests.support.run_folders import WriteTrial
from trainables.records import SeedTriple


def triples(*rows: tuple[int, int, int]) -> list[SeedTriple]:
    return [SeedTriple(order=o, support=s, initialisation=i) for o, s, i in rows]


TWO_BY_TWO = triples((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1))


def test_a_balanced_layout_gives_the_classical_analysis_of_variance() -> None:
    # rows support, columns initialisation: 1 2 / 3 6. Means 3; rows 1.5, 4.5; columns 2, 4.
    # SS rows 2 (1.5^2 + 1.5^2) = 9, SS columns 2 (1 + 1) = 4, SS total 14, so SS residual 1, each with 1 degree:
    # variances (9 - 1) / 2 = 4, (4 - 1) / 2 = 1.5, and 1
    result = split_values(np.array([1.0, 2.0, 3.0, 6.0]), TWO_BY_TWO)
    assert result is not None
    assert {c.name: c.variance for c in result.components} == pytest.approx(
        {"support draw": 4.0, "initialisation": 1.5, "interaction": 1.0}
    )
    assert result.shares == pytest.approx(
        {"support draw": 4 / 6.5, "initialisation": 1.5 / 6.5, "interaction": 1 / 6.5}
    )
    assert [(c.levels, c.clipped) for c in result.components] == [(2, False), (2, False), (0, False)]
    assert result.fixed == ("class order",) and result.n == 4


def test_negative_estimates_are_clipped_and_marked() -> None:
    # 1 3 / 4 2: rows 2, 3; columns 2.5, 2.5; SS rows 1, columns 0, total 5, residual 4: (1 - 4) / 2 < 0
    result = split_values(np.array([1.0, 3.0, 4.0, 2.0]), TWO_BY_TWO)
    assert result is not None
    assert [(c.variance, c.share, c.clipped) for c in result.components] == [
        (0, 0, True), (0, 0, True), (pytest.approx(4), 1, False),
    ]  # fmt: skip


def test_an_unbalanced_layout() -> None:
    # 2 x 3 without its last cell, additive: rows 0 and 10, columns 0, 2, 7. The residual is zero, so each reduction is
    # the sum of squares of its factor, adjusted for the other: E[R] = variance * trace.
    # Rows: only columns 0 and 1 have both rows; each level's part is +-1/2 there: trace 2, R = 4 * 5^2 = 100.
    seeds = triples((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 1, 1))
    result = split_values(np.array([0.0, 2.0, 7.0, 10.0, 12.0]), seeds)
    assert result is not None
    rows, columns, rest = result.components
    assert rows.variance == pytest.approx(100 / 2)
    assert rest.variance == pytest.approx(0, abs=1e-12)
    # Columns adjusted for rows: in row 0 the deviations of 0, 2, 7 from 3 are -3, -1, 4, in row 1 -1, 1: R = 28.
    # Trace: row 0 has 3 columns, row 1 two: (3 - 1) + (2 - 1) = 3.
    assert columns.variance == pytest.approx(28 / 3)


def test_simulated_variances_are_recovered() -> None:
    random = np.random.default_rng(0)
    seeds = triples(*itertools.product(range(12), range(12), range(12)))
    effects = {name: random.normal(0, std, 12) for name, std in (("o", 3.0), ("s", 2.0), ("i", 1.0))}
    values = [effects["o"][t.order] + effects["s"][t.support] + effects["i"][t.initialisation] for t in seeds]
    result = split_values(np.array(values) + random.normal(0, 0.5, len(seeds)), seeds)
    assert result is not None
    truth = {"class order": effects["o"].var(ddof=1), "support draw": effects["s"].var(ddof=1)}
    truth |= {"initialisation": effects["i"].var(ddof=1), "interaction": 0.25}
    assert {c.name: c.variance for c in result.components} == pytest.approx(truth, rel=0.05)


def test_seeds_that_always_change_together_are_one_source() -> None:
    seeds = triples((0, 5, 0), (0, 5, 1), (1, 6, 0), (1, 6, 1))
    result = split_values(np.array([1.0, 2.0, 3.0, 6.0]), seeds)
    assert result is not None
    assert list(result.shares) == ["class order + support draw", "initialisation", "interaction"]
    fixed = split_values(np.array([1.0, 2.0, 3.0, 6.0]), seeds, without_effect=["order"])
    assert fixed is not None
    assert list(fixed.shares) == ["support draw", "initialisation", "interaction"] and fixed.fixed == ("class order",)


@pytest.mark.parametrize(
    ("values", "seeds"),
    [
        ([1.0, 2.0, 4.0], triples((0, 0, 0), (1, 1, 1), (2, 2, 2))),  # as with --seeds 3
        ([1.0, 1.0, 1.0, 1.0], TWO_BY_TWO),  # no variance
        ([1.0, 2.0, 3.0], TWO_BY_TWO[:3]),  # no degree of freedom for the residual
        ([1.0, 2.0, 3.0, 4.0], triples((0, 0, 0), (0, 1, 0), (0, 2, 1), (0, 3, 1))),  # support determines the other
        ([1.0], TWO_BY_TWO[:1]),
        ([], []),
    ],
)
def test_layouts_whose_components_cannot_be_estimated(values: list[float], seeds: list[SeedTriple]) -> None:
    assert split_values(np.array(values), seeds) is None


def test_variance_components_of_a_run(tmp_path: Path, write_trial: WriteTrial) -> None:
    # A_0 = AA of one session: 0.1 0.2 / 0.3 0.6, a hundredth of the first layout
    for name, (value, seeds) in enumerate(zip([0.1, 0.2, 0.3, 0.6], TWO_BY_TWO, strict=True)):
        write_trial("ede-0000000a", name, [[value]], seeds=seeds)
        write_trial("icarl-0000000b", name, [[value]])
    run = Run.load(tmp_path / "run")
    result = split_variance(run, "ede-0000000a", "prototype")
    assert result is not None
    assert {c.name: c.variance for c in result.components} == pytest.approx(
        {"support draw": 0.04, "initialisation": 0.015, "interaction": 0.01}
    )
    assert split_variance(run, "ede-0000000a", "prototype", "pd") is None  # 0 for all chains
    assert split_variance(run, "icarl-0000000b", "prototype") is None
