"""The benchmark of what chains store of clips."""

from pathlib import Path

import pytest

from benchmarks.store_size import main


def test_only_networks_that_change_need_stored_spectrograms(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--way", "2", "--seeds", "1", "--epochs", "1", "--backbone", "random-tiny"]
    methods = ["--method", "simplecil", "--method", "finetune"]
    assert main(["--out", str(tmp_path), "--benchmark", str(tones), *tiny, *methods]) == 0
    header, _, simplecil, finetune, _, per_clip = capsys.readouterr().out.splitlines()
    column = [cell.strip() for cell in header.split("|")].index("ratio")
    assert float(simplecil.split("|")[column]) > 10
    assert float(finetune.split("|")[column]) == 1
    assert per_clip.startswith("a clip: spectrogram ") and " embedding by random-tiny " in per_clip
