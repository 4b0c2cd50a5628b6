"""The table of docs/predict.md holds what the exported models say of test clips."""

from pathlib import Path

from benchmarks.calibration import rows, trial
from datasets.benchmark.shards import Shards
from orchestrator.results.run_folder import RunFolder


def test_a_row_for_few_clips_and_one_for_all(tones: Path, tmp_path: Path) -> None:
    folder, shards = RunFolder(tmp_path / "run"), Shards(tones)
    few, everything = rows(folder, trial(folder, tones, "mfcc-ncm"), "mfcc-ncm", tmp_path / "model", shards)
    train = len(shards.select(splits=["train"]))
    assert (few[:2], everything[:2]) == (["mfcc-ncm", 5 * 6], ["mfcc-ncm", train])
    for row in (few, everything):
        accuracy, temperature, *shares = (float(str(cell)) for cell in row[2:])
        assert 0 < accuracy <= 100 and temperature > 0
        assert all(0 <= share <= 100 for share in shares)
