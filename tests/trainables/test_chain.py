"""The command that runs one chain."""

from pathlib import Path

import pytest
import yaml

from tests.support.chain_runs import config
from trainables.chain import main
from trainables.records import TrialRecord


def test_a_chain_is_computed_and_then_cached(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chain.yaml"
    fields = config(tones, tmp_path / "store", method="simplecil").model_dump(mode="json")
    path.write_text(yaml.safe_dump({**fields, "settings": {}}))
    assert main(["--config", str(path), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("session 3/3  2 new classes  ") and lines[2].endswith(" s")
    assert lines[3] == str(tmp_path / "out/trial.json")
    assert TrialRecord.load(tmp_path / "out").status == "finished"
    assert main(["--config", str(path), "--out", str(tmp_path / "again")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "session 1/3  2 new classes  cached"


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chain.yaml"
    arguments = ["--config", str(path), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {path}: no such file\n"
    path.write_text("benchmark: nowhere\nmethod: ede\nsetting: {}\n")
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {path}: no key 'setting'; did you mean 'settings'?\n"
