"""The benchmark of the hook runs, and finds the same predictions with and without it."""

from pathlib import Path

import pytest

from benchmarks.training_hook import main


def test_both_ways_predict_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--epochs", "2", "--rounds", "1"]) == 0
    assert "predictions: the same bytes" in capsys.readouterr().out
    assert list((tmp_path / "with/trial").glob("training-*.json")) and not list(
        (tmp_path / "without/trial").glob("training-*.json")
    )
