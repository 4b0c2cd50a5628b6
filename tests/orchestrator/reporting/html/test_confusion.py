"""Confusion by session: its data in a bounded number of cells, and what Chromium draws of it."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from orchestrator.reporting.facts import choices_of
from orchestrator.reporting.html import confusion, write_page
from orchestrator.reporting.html.methods import plain_methods
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.results import Results
from orchestrator.results.loading import read_session
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial
from trainables.metrics import SessionPredictions
from trainables.records import TrialRecord

MATRIX = [[0.9], [0.8, 0.7], [0.6, 0.5, 0.8]]


@pytest.mark.parametrize(
    ("cells", "budget", "kept"),
    [([5, 9, 2], 100, [5, 9, 2]), ([50, 9, 20], 40, [16, 9, 15]), ([9, 9, 9], 9, [3, 3, 3]), ([], 9, [])],
)
def test_the_largest_matrices_share_what_the_small_ones_leave(cells: list[int], budget: int, kept: list[int]) -> None:
    assert confusion.limits(cells, budget) == kept


def test_the_largest_cells_of_a_matrix_are_kept() -> None:
    counts = confusion.Cells.of(np.array([[7, 1, 0], [2, 5, 0], [0, 0, 1]]))
    # flat indices 0, 1, 3, 4, 8: distances 1, 1, 2, 1, 4
    whole = {"cells": [1, 7, 1, 1, 2, 2, 1, 5, 4, 1], "totals": [8, 7, 1], "omitted": 0}
    assert confusion.sparse(counts, 9) == whole
    assert confusion.sparse(counts, 3) == {"cells": [1, 7, 3, 2, 1, 5], "totals": [8, 7, 1], "omitted": 2}


@pytest.fixture(scope="module")
def run(write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two chains of three sessions."""
    folder = tmp_path_factory.mktemp("confusion") / "run"
    for seed in range(2):
        write_trial_to(folder, "ede-00000001", seed, MATRIX)
    return Run.load(folder)


def test_all_matrices_of_a_page_have_a_bounded_number_of_cells(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = payload(run, Estimates(run))["confusion"]["ede"]["heads"]["prototype"]
    assert [session["omitted"] for session in whole] == [0, 0, 0]
    monkeypatch.setattr(confusion, "CELLS", 12)
    bounded = payload(run, Estimates(run))["confusion"]["ede"]["heads"]["prototype"]
    assert [len(session["cells"]) // 2 for session in bounded] == [3, 3, 6]
    for session, complete in zip(bounded, whole, strict=True):
        assert session["totals"] == complete["totals"] and session["frequent"] == complete["frequent"]
        assert session["omitted"] == sum(complete["cells"][1::2]) - sum(session["cells"][1::2])


def test_each_file_of_predictions_is_read_once(
    write_trial_to: WriteTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all heads, however many chains there are."""
    for seed in range(3):
        write_trial_to(tmp_path / "run", "ede-00000001", seed, MATRIX, heads={"linear": MATRIX, "cosine": MATRIX})
    run, reads = Run.load(tmp_path / "run"), Counter[tuple[str, int]]()

    def counted(
        record: TrialRecord, folder: Path, session: int, *, with_scores: bool
    ) -> dict[tuple[str, str], SessionPredictions]:
        reads[record.trial, session] += 1
        return read_session(record, folder, session, with_scores=with_scores)

    monkeypatch.setattr("orchestrator.results.run.read_session", counted)
    estimates = Estimates(run)
    results = Results(run, estimates, choices_of(run), plain_methods(run, estimates, choices_of(run)))
    assert len(reads) == 9 and set(reads.values()) == {1}  # accuracies of classes
    reads.clear()
    assert confusion.confusion(results) is not None
    assert len(reads) == 9 and set(reads.values()) == {1}


def test_chromium_draws_classes_by_session_with_the_recency_beside_it(
    chromium: webdriver.Chrome, run: Run, tmp_path: Path
) -> None:
    chromium.get(f"{write_page(run, tmp_path / 'page.html').as_uri()}#session=2")
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    chart = "const chart = document.getElementById('chart-confusion'); return JSON.stringify("
    lines = json.loads(chromium.execute_script(f"{chart}chart.layout.shapes.map(s => [s.type, s.x0, s.x1]))"))
    assert sorted({x0 for kind, x0, x1 in lines if kind == "line" and x0 == x1}) == [1.5, 3.5]
    assert [[x0, x1] for kind, x0, x1 in lines if kind == "rect"] == [[3.5, 5.5]]
    z = json.loads(chromium.execute_script(f"{chart}chart.data[0].z)"))
    counts = run.confusion("ede-00000001", "prototype", 2)
    np.testing.assert_allclose(z, 100 * counts / counts.sum(axis=1, keepdims=True))
    wrong = counts * (1 - np.eye(6, dtype=int))
    shown = chromium.find_element(By.ID, "recency")
    assert shown.text.startswith(f"{100 * wrong[:, 4:].sum() / wrong.sum():.1f} %")
    others = np.array([2, 2, 2, 2, 1, 1]) / 5  # newest classes among the five others
    expected = 100 * (wrong.sum(axis=1) * others).sum() / wrong.sum()
    assert f"{expected:.1f} % would be expected" in shown.text
    slider = chromium.find_element(By.ID, "session")
    slider.send_keys(webdriver.Keys.HOME)
    assert not shown.is_displayed()  # all classes are of session 0
    assert chromium.execute_script("return document.getElementById('chart-confusion').layout.shapes.length") == 0
    assert [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
