"""The command that runs one chain."""

import re
from pathlib import Path

import pytest
import yaml

from orchestrator.report import main as report
from tests.support.chain_runs import config
from trainables.chain import main
from trainables.records import TrialRecord


def test_a_chain_is_computed_and_then_cached(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chain.yaml"
    fields = config(tones, tmp_path / "store", method="simplecil").model_dump(mode="json")
    path.write_text(yaml.safe_dump({**fields, "settings": {}}))
    assert main(["--config", str(path), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    number = r"[0-9]+\.[0-9] "
    assert re.fullmatch(rf"session 3/3  2 new classes  validation {number}%, test {number}%  {number}s", lines[2])
    assert lines[3] == str(tmp_path / "out/trial.json")
    assert TrialRecord.load(tmp_path / "out").status == "finished"
    assert main(["--config", str(path), "--out", str(tmp_path / "again")]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0] == re.sub(r"[0-9.]+ s$", "cached", lines[0])


def test_the_folder_of_a_chain_is_reported_wherever_it_is(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chain.yaml"
    fields = config(tones, tmp_path / "store", method="simplecil").model_dump(mode="json")
    path.write_text(yaml.safe_dump({**fields, "settings": {}}))
    assert main(["--config", str(path), "--out", str(tmp_path / "mine")]) == 0
    (tmp_path / "mine").rename(tmp_path / "renamed")
    assert report([str(tmp_path / "renamed"), "--format", "png"]) == 0
    assert "simplecil" in capsys.readouterr().out
    assert (tmp_path / "renamed/report/report.html").exists()
    assert report([str(tmp_path / "store"), "--format", "png"]) == 2
    assert "expected a run folder of a sweep" in capsys.readouterr().err


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "chain.yaml"
    arguments = ["--config", str(path), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {path}: no such file\n"
    path.write_text("benchmark: nowhere\nmethod: ede\nsetting: {}\n")
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"error: {path}: no key 'setting'; did you mean 'settings'?\n"
