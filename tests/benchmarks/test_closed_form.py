"""The benchmark of published values computes what a sweep does, and its rows are settings that methods accept."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.closed_form import ROWS, TRANSDUCTIVE_ROWS, Row, average_accuracies, cells
from benchmarks.closed_form_seeds import same
from benchmarks.many_sessions import measure, table_rows
from datasets.benchmark.protocol import Protocol
from orchestrator.results.run import Run
from tests.support.chain_runs import seeds, write_run
from trainables.chain_config import ChainConfig
from trainables.chain_inputs import open_features
from trainables.methods.registry import find_method

PROTOCOL = Protocol(base=2, way=2, shot=3, class_order="seeded")


@pytest.mark.parametrize("row", (*ROWS, *TRANSDUCTIVE_ROWS), ids=lambda row: f"{row.method}, {row.values}")
def test_rows_are_settings_and_differ_from_the_defaults(row: Row) -> None:
    settings = find_method(row.method).Settings
    default = settings.model_validate(dict(row.settings)) == settings()
    assert default == (row.values == "default")
    assert row.method == "simplecil" or find_method(row.method).transductive == (row in TRANSDUCTIVE_ROWS)


@pytest.mark.parametrize("method", ["simplecil", "tape-like"])
def test_a_row_is_the_average_accuracy_of_a_sweep(method: str, tones: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, tones, method, seeds=seeds(seed), protocol=PROTOCOL, backbone="random-tiny")
    config = ChainConfig(benchmark=str(tones), method=method, backbone="random-tiny", store=str(tmp_path / "store"))
    features, _ = open_features(config)
    chains = Run.load(tmp_path / "it").chains
    for split, name in (("query", "test"), ("validation", "val")):
        expected = 100 * chains[chains["split"] == name].sort_values("seeds")["aa"].to_numpy()
        found = average_accuracies(Row(method), features, PROTOCOL, 2, split)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected)


def test_differences_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt 3, t = 4.303."""
    reference = np.array([50.0, 60.0, 70.0])
    assert cells(reference, reference) == ("60.0", "")
    assert cells(reference + np.array([1.0, 2.0, 3.0]), reference) == ("62.0", "+2.0 (-0.5 to 4.5)")


def test_the_ways_of_many_seeds_are_compared_by_prediction() -> None:
    assert same({"a": [1, 2], "b": [3]}, {"a": [1, 5], "b": [3]}) == (2, 3)
    with pytest.raises(ValueError, match="other sessions or clips"):
        same({"a": [1, 2]}, {"a": [1]})


def test_many_sessions_are_measured(tmp_path: Path) -> None:
    measured = measure("fecam", 4, 2, tmp_path)
    assert len(measured) == 4 and all(session["learn"] >= 0 and session["MiB"] > 0 for session in measured)
    assert [row["classes"] for row in table_rows("fecam", measured, 2)] == [2, 4, 6, 8]
    assert len(list((tmp_path / "stages").rglob("stage.json"))) == 4
