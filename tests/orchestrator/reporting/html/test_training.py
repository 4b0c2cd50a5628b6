"""The curves of training: means over chains, in a bounded number of points, drawn in Chromium."""

from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from orchestrator.reporting.html import training, write_page
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.size_limit import within_limit
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial
from trainables.training_curves import TrainingCurve, curves_file, write_curves

MATRIX = [[0.9], [0.8, 0.7]]


def curve(name: str, losses: list[float]) -> TrainingCurve:
    epochs = tuple(range(1, len(losses) + 1))
    return TrainingCurve(name=name, epochs=len(losses), epoch=epochs, loss=tuple(losses), lr=(0.1,) * len(losses))


@pytest.fixture
def run(write_trial_to: WriteTrial, tmp_path: Path) -> Path:
    """Two chains of a method that trains in both sessions, one of a method that trains nothing."""
    folder = tmp_path / "run"
    for seed in range(2):
        record = write_trial_to(folder, "ede-00000001", seed, MATRIX)
        trial = folder / "trials" / record.trial
        trainings = [
            (curve("base <session>", [4.0 + seed, 2.0 + seed, 1.0 + seed]),),
            (curve("adapters", [0.5, 0.25]),),
        ]
        for t, curves in enumerate(trainings):
            (trial / curves_file(t)).write_bytes(write_curves(t, curves))
        sessions = [s.model_copy(update={"training": curves_file(s.index)}) for s in record.sessions]
        record.model_copy(update={"sessions": tuple(sessions)}).save(trial)
    write_trial_to(folder, "simplecil-00000001", 0, MATRIX)
    return folder


def data_of(folder: Path, **arguments: Any) -> dict[str, Any]:
    run = Run.load(folder)
    return payload(run, Estimates(run), **arguments)


def test_a_curve_is_the_mean_over_chains(run: Path) -> None:
    data = data_of(run)["training"]
    first = {"session": 0, "start": 0, "name": "base <session>", "epochs": 3, "n": 2, "epoch": [1, 2, 3]}
    second = {"session": 1, "start": 3, "name": "adapters", "epochs": 2, "n": 2, "epoch": [1, 2], "loss": [0.5, 0.25]}
    assert data == {"methods": {"ede": [{**first, "loss": [4.5, 2.5, 1.5]}, second]}, "unreadable": 0}
    assert "training" not in data_of(run, progress={})
    reduced = within_limit(data_of(run), 1)
    assert "training" not in reduced and "the curves of training" in reduced["left_out"]


def test_the_points_of_a_page_are_bounded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "TOTAL_POINTS", 4)
    curves = data_of(run)["training"]["methods"]["ede"]
    assert [curve["epoch"] for curve in curves] == [[1, 3], [1, 2]]
    assert [curve["loss"] for curve in curves] == [[4.5, 1.5], [0.5, 0.25]]


def test_a_file_that_is_missing_is_counted(run: Path) -> None:
    (run / "trials" / "ede-00000001-s1" / curves_file(0)).unlink()
    data = data_of(run)["training"]
    assert data["unreadable"] == 1 and [curve["n"] for curve in data["methods"]["ede"]] == [1, 2]


def test_chromium_draws_the_curves(chromium: webdriver.Chrome, run: Path, tmp_path: Path) -> None:
    chromium.get(write_page(Run.load(run), tmp_path / "page.html").as_uri())
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    drawn = "return document.getElementById('chart-training').data.map((trace) => [trace.name, trace.x, trace.y])"
    assert chromium.execute_script(drawn) == [
        ["ede", [1, 2, 3, None, 4, 5, None], [4.5, 2.5, 1.5, None, 0.5, 0.25, None]]
    ]
    assert chromium.find_elements(By.CSS_SELECTOR, "#chart-training .scatterlayer .trace")
    assert chromium.find_element(By.ID, "note-training").text.endswith(": simplecil.")
    table = chromium.execute_script("return document.getElementById('table-training').textContent")
    assert "base <session>" in table
    assert [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
