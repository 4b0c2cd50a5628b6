"""Runs the commands of the tutorial on real recordings, in the order of the page."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.documented_commands import ROOT, commands_of
from tests.support.sweep_processes import run

PAGE = ROOT / "docs" / "tutorial.md"
CLASSES, FILES = ("bassoon", "cello", "flute", "guitar", "oboe", "trombone"), 14


def test_the_tutorial(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for label in CLASSES:
        notes = sorted((shared / "corpora" / "philharmonia" / label).glob("*.mp3"))
        (tmp_path / "recordings" / label).mkdir(parents=True)
        for note in notes[:FILES]:
            shutil.copy(note, tmp_path / "recordings" / label)
        shutil.copy(notes[FILES], tmp_path / "unheard.mp3")
    (space,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "space.yaml").write_text(space)
    programs = [[sys.executable, *command.words[1:]] for command in commands_of(PAGE)]
    outputs = [run(program, environment={"PYTHONPATH": str(ROOT)}) for program in programs]
    prepared, _, dry_run, swept, resumed, reported, compared, exported, predicted = outputs
    assert "6 classes" in " ".join(prepared.split()) or re.search(r"classes +6", prepared)
    assert "nothing was run and nothing written" in dry_run
    assert "12 trials" in swept and "runs/first/report/report.html" in swept
    assert "0 sessions computed" in resumed
    assert "report.html" in reported
    assert "mfcc-ncm" in compared and "seed" in compared
    assert "models/mine" in exported
    assert "unheard.mp3" in predicted
    suffixes = {path.suffix for path in (tmp_path / "runs" / "first" / "report").iterdir()}
    assert {".html", ".tex", ".xlsx", ".csv", ".png", ".pdf", ".md"} <= suffixes
