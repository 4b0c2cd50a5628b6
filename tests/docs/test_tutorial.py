"""Runs the commands of the tutorial, and those of the README, on real recordings, in the order of the page."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import soundfile

from tests.support.documented_commands import ROOT, Command, commands_of, own_recordings
from tests.support.sweep_processes import run

PAGE = ROOT / "docs" / "tutorial.md"
CLASSES, FILES = ("bassoon", "cello", "flute", "guitar", "oboe", "trombone"), 14


@pytest.fixture
def recordings(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a folder of recordings."""
    monkeypatch.chdir(tmp_path)
    for label in CLASSES:
        notes = sorted((shared / "corpora" / "philharmonia" / label).glob("*.mp3"))
        (tmp_path / "recordings" / label).mkdir(parents=True)
        for note in notes[:FILES]:
            shutil.copy(note, tmp_path / "recordings" / label)
        shutil.copy(notes[FILES], tmp_path / "unheard.mp3")
    return tmp_path


def outputs_of(commands: list[Command]) -> list[str]:
    programs = [[sys.executable, *command.words[1:]] for command in commands]
    return [run(program, environment={"PYTHONPATH": str(ROOT)}) for program in programs]


def test_the_readme(recordings: Path, shared: Path) -> None:
    notes = sorted((shared / "corpora" / "philharmonia" / "saxophone").glob("*.mp3"))
    (recordings / "owls").mkdir()
    for note in notes[:FILES]:
        shutil.copy(note, recordings / "owls")
    soundfile.write(recordings / "recording.wav", *soundfile.read(recordings / "unheard.mp3"))
    prepared, _, swept, compared, exported, predicted, taught = outputs_of(own_recordings())
    assert re.search(r"classes +6", prepared)
    assert "0 cached" in swept and (recordings / "runs" / "first" / "report" / "report.html").is_file()
    assert "slda" in compared and "simplecil" in compared
    assert "models/mine" in exported and "recording.wav" in predicted and "owl" in taught


def test_the_tutorial(recordings: Path) -> None:
    (space,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (recordings / "space.yaml").write_text(space)
    prepared, _, dry_run, swept, resumed, reported, compared, exported, predicted = outputs_of(commands_of(PAGE))
    assert "6 classes" in " ".join(prepared.split()) or re.search(r"classes +6", prepared)
    assert "nothing was run and nothing written" in dry_run
    assert "12 trials" in swept and "runs/tutorial/report/report.html" in swept
    assert "0 sessions computed" in resumed
    assert "report.html" in reported
    assert "mfcc-ncm" in compared and "seed" in compared
    assert "models/tutorial" in exported
    assert "unheard.mp3" in predicted
    suffixes = {path.suffix for path in (recordings / "runs" / "tutorial" / "report").iterdir()}
    assert {".html", ".tex", ".xlsx", ".csv", ".png", ".pdf", ".md"} <= suffixes
