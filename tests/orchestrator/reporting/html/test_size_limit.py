"""The page stays below 2 MB, whatever the run."""

import copy
from pathlib import Path
from typing import Any

import pytest

from datasets.utils.json_values import json_text
from orchestrator.reporting.html import write_page
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.size_limit import CONFIGURATIONS, LIMIT, data_size, within_limit
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial

MATRIX = [[0.9], [0.8, 0.7], [0.6, 0.5, 0.8]]


@pytest.fixture(scope="module")
def run(write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("size") / "run"
    write_trial_to(folder, "ede-00000001", 0, MATRIX, heads={"linear": MATRIX})
    write_trial_to(folder, "icarl-00000001", 0, MATRIX)
    return Run.load(folder)


@pytest.fixture(scope="module")
def data(run: Run) -> dict[str, Any]:
    return payload(run, Estimates(run))


def test_small_runs_are_complete(data: dict[str, Any]) -> None:
    reduced = within_limit(copy.deepcopy(data))
    assert reduced.pop("left_out") == [] and reduced == data


def test_confusions_go_first_and_the_last_session_stays(data: dict[str, Any]) -> None:
    reduced = within_limit(copy.deepcopy(data), data_size(data) - 20)
    heads = reduced["confusion"]["ede"]["heads"]
    assert heads["linear"][:2] == [None, None] and heads["linear"][2] and all(heads["prototype"])
    assert "confusions of other heads before their last session" in reduced["left_out"]


def test_other_heads_go_before_the_methods(data: dict[str, Any]) -> None:
    reduced = within_limit(copy.deepcopy(data), 1)
    assert [list(method["heads"]) for method in reduced["methods"]] == [["prototype"], ["prototype"]]
    assert list(reduced["confusion"]["ede"]["heads"]) == ["prototype"]
    assert set(reduced["order"]) == set(reduced["answer"]) == {"", "prototype"}
    assert len(reduced["left_out"]) == 4, "there are no configurations to leave out"


def test_the_accuracies_after_the_last_finished_session_stay(write_trial_to: WriteTrial, tmp_path: Path) -> None:
    write_trial_to(tmp_path / "run", "ede-00000001", 0, MATRIX[:2], planned=3)
    run = Run.load(tmp_path / "run")
    whole = payload(run, Estimates(run))["methods"][0]["heads"]["prototype"]["classes"]
    reduced = within_limit(payload(run, Estimates(run)), 1)
    assert "accuracies of classes before the last session" in reduced["left_out"]
    rows = reduced["methods"][0]["heads"]["prototype"]["classes"]
    assert rows == [[], whole[1], []] and rows[1][:4] == [0.8, 0.8, 0.7, 0.7]


def test_the_best_configurations_stay(data: dict[str, Any]) -> None:
    rows = [{"name": str(i), "validation": {"mean": None if i == 3 else i / 1000}} for i in range(CONFIGURATIONS + 50)]
    reduced = within_limit(copy.deepcopy(data) | {"parallel": rows}, 1)
    assert len(reduced["parallel"]) == CONFIGURATIONS
    assert [row["name"] for row in reduced["parallel"][:2]] == [str(CONFIGURATIONS + 49), str(CONFIGURATIONS + 48)]
    assert all(row["validation"]["mean"] is not None for row in reduced["parallel"])


def test_the_page_with_the_most_data_is_below_two_megabytes(run: Run, data: dict[str, Any], tmp_path: Path) -> None:
    page = write_page(run, tmp_path / "report.html").stat().st_size
    rows = 150_000  # of the leaderboard: about 1,700 for a method and head
    assert page - len(json_text(data, separators=(",", ":"))) + LIMIT + rows < 2_000_000


def test_the_page_says_what_is_left_out(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.reporting.html.write.within_limit", lambda data: within_limit(data, 1))
    text = write_page(run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Left out to keep this page below 2 MB: confusions of other heads" in text
