"""The benchmark of teaching teaches a model, and compares it with the chain."""

from pathlib import Path

import pytest

from benchmarks.teaching import main


def test_a_method_without_embeddings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path), "--method", "mfcc-ncm", "--repeat", "1", "--clips", "10"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| mfcc-ncm | 5 | ") and all(float(cell) > 0 for cell in row.strip("| ").split(" | ")[2:])
    assert (tmp_path / "runs" / "mfcc-ncm-command" / "model.json").is_file()
