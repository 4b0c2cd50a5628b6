"""The export command."""

import re
from pathlib import Path

import pytest

from orchestrator.export import main
from tests.support.chain_runs import write_run
from trainables.inference.description import Description


@pytest.fixture(scope="module")
def runs(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one of mfcc-ncm."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root, tones, "mfcc-ncm")
    return root


def test_a_run_by_name(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").symlink_to(runs)
    monkeypatch.chdir(tmp_path)
    assert main(["it", "--out", "models/it"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 0 to 2" in shown and "models/it" in shown
    assert Description.load(tmp_path / "models/it").method == "mfcc-ncm"
    assert main(["it", "--out", "models/it"]) == 2
    assert capsys.readouterr().err == (
        "error: models/it: contains an export already; choose another --out, or replace it with --force\n"
    )
    assert main(["it", "--out", "models/it", "--force"]) == 0


def test_a_run_in_another_folder(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["it", "--runs", str(runs), "--out", "model"]) == 0
    assert Description.load(tmp_path / "model").trial.endswith("-s0")
    capsys.readouterr()
    assert main(["nowhere", "--runs", str(runs), "--out", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: nowhere: ") and str(runs) in error and error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_the_console_tells_what_was_learned_and_how_well_it_is_calibrated(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["it", "--runs", str(runs), "--out", str(tmp_path / "model"), "--force"]
    assert main([*arguments, "--seed", "best-by-validation"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"learned from +18 of \d+ train clips of these classes \(all: --train-on-all\) *\n", shown)
    assert re.search(r"probabilities +calibrated on \d+ validation clips: accuracy [01]\.\d+, ECE 0\.\d+ \(unc", shown)
    assert main([*arguments, "--seed", "0", "--train-on-all"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("session 1/3  2 new classes  ")
    assert re.search(r"learned from +(\d+) of \1 train clips of these classes *\n", shown)
    assert main([*arguments, "--seed", "7"]) == 2
    assert re.fullmatch(
        r"error: --seed 7: mfcc-ncm-\w+ has 0; expected one of them or best-by-validation\n", capsys.readouterr().err
    )
