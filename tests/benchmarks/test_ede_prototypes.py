"""EDE's rows against SimpleCIL: the table says what the chains hold."""

from pathlib import Path

import pytest

from benchmarks.ede_prototypes import REFERENCE, ROWS, accuracy_table, run_chains
from orchestrator.results.run import Run
from trainables.methods.ede import EDESettings


def test_settings_of_rows_are_valid_and_the_default_row_is_the_default() -> None:
    settings = {row: EDESettings.model_validate(values) for row, values in ROWS.items() if row != REFERENCE}
    assert settings["kept and normalised (the default)"] == EDESettings()


def test_rows_are_those_of_the_chains(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.ede_prototypes.EPOCHS", {"base_epochs": 1, "incremental_epochs": 1})
    rows = [REFERENCE, "as published"]
    configurations = run_chains(tones, tmp_path / "run", tmp_path / "store", rows, seeds=1)
    run = Run.load(tmp_path / "run")
    chains = run.chains.set_index(["configuration", "head", "split"])["aa"]
    test = {row: 100 * chains[configurations[row], "prototype", "test"] for row in rows}
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in accuracy_table(run, configurations).splitlines()
    ]
    assert [line[0] for line in lines[2:]] == rows
    assert [float(line[3].split()[0]) for line in lines[2:]] == pytest.approx([test[row] for row in rows], abs=0.06)
    assert lines[2][4] == ""
    assert float(lines[3][4]) == pytest.approx(test["as published"] - test[REFERENCE], abs=0.06)
