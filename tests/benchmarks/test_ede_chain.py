"""The plain writing of the released EDE computes what the release did, and the benchmark of its cost runs both."""

from pathlib import Path

import pytest

from benchmarks.ede_chain import Result, Ways, results_table


@pytest.mark.slow
def test_plain_and_ours_predict_what_the_release_predicted(shared: Path, tmp_path: Path) -> None:
    ways = Ways(shared, sessions=2)
    for name in ("plain", "reference"):
        result = ways.run(name, tmp_path / name)
        assert len(result.cpu_seconds) == 2
        assert (result.equal, result.count) == (4 + 8 + 3 * (130 + 262), 4 + 8 + 3 * (130 + 262)), name


def test_the_table_divides_by_the_cost_of_each_way() -> None:
    results = {
        "plain": Result((10.0, 20.0), 7, 8),
        "reference": Result((1.0, 3.0), 8, 8),
        "default": Result((2.0,), 3, 8),
    }
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in results_table(results).splitlines()[2:]]
    assert lines == [
        ["plain", "30.0", "1.0", "20.0", "7 of 8"],
        ["reference", "4.0", "7.5", "3.0", "8 of 8"],
        ["default", "2.0", "15.0", "2.0", ""],
    ]
