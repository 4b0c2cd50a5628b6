"""The Pareto set of a run with several objectives, and how a report shows it."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from datasets.utils.errors import EarshotError
from orchestrator.reporting.write import write_report
from orchestrator.results.objectives import OBJECTIVES
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from orchestrator.statistics.pareto import candidates, objectives_of
from tests.support.run_folders import WriteTrial

AA_AND_PD = [OBJECTIVES["aa"], OBJECTIVES["pd"]]


def write_objectives(run: Path, *names: object) -> None:
    (run / "sweep.json").write_text(json.dumps({"what": {}, "where": {"objective": names}}))


@pytest.fixture
def run_dir(tmp_path: Path, write_trial: WriteTrial) -> Path:
    """ede: a (AA 70, PD 40), b (60, 0), c (55, 10) and d, the best, of which a seed was stopped; icarl: e (30, 0).

    c is the best configuration on test clips.
    """
    for seed, more in ((0, 0.1), (1, -0.1)):
        write_trial("ede-0000000a", seed, [[0.5], [0.1, 0.1]], val=[[0.9], [0.5 + more, 0.5 - more]])
        write_trial("ede-0000000b", seed, [[0.5], [0.1, 0.1]], val=[[0.6 + more], [0.6 + more, 0.6 + more]])
        write_trial("ede-0000000c", seed, [[1.0], [1.0, 1.0]], val=[[0.6], [0.5, 0.5]])
        write_trial("icarl-0000000e", seed, [[0.3], [0.3, 0.3]])
    write_trial("ede-0000000d", 0, [[1.0], [1.0, 1.0]])
    write_trial("ede-0000000d", 1, [[1.0]], planned=2, status="stopped", stopped_by="asha")
    return tmp_path / "run"


def test_candidates_are_complete_configurations_by_validation_means(run_dir: Path) -> None:
    run = Run.load(run_dir)
    compared = candidates(run, Estimates(run), AA_AND_PD)
    assert [(candidate.configuration, candidate.optimal) for candidate in compared] == [
        ("ede-0000000a", True),
        ("ede-0000000b", True),
        ("ede-0000000c", False),  # b has higher AA and lower PD
        ("icarl-0000000e", True),  # not compared with configurations of ede
    ]
    assert [value.mean for value in compared[0].values] == pytest.approx([0.7, 0.4])
    assert [value.mean for value in compared[1].values] == pytest.approx([0.6, 0.0])
    assert compared[1].values[0].std == pytest.approx(0.2 / 2**0.5)


def test_the_report_shows_the_pareto_set(run_dir: Path) -> None:
    write_objectives(run_dir, "aa", "pd")
    report = write_report(run_dir).report
    text = report.read_text(encoding="utf-8")
    assert "Objectives of the search: validation AA up, validation PD down." in text
    table = text[text.index("## Pareto set") : text.index("## Sessions")]
    assert "| ede | ede-0000000a | lr 0.1 | 2 | 70.0 ± 0.0 | 40.0 ± 0.0 |" in table
    assert "| ede | ede-0000000b | lr 0.1 | 2 | 60.0 ± 14.1 | 0.0 ± 0.0 |" in table
    assert "ede-0000000c" not in table and "ede-0000000d" not in table
    with (report.parent / "pareto.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["configuration"] for row in rows] == ["ede-0000000a", "ede-0000000b", "icarl-0000000e"]
    assert (float(rows[0]["aa_mean"]), float(rows[0]["pd_mean"]), rows[0]["pd_n"]) == (0.7, 0.4, "2")
    assert "![Configurations by the first two objectives](pareto.png)" in text
    with Image.open(report.parent / "pareto.png") as image:
        image.verify()


def test_a_pareto_set_of_three_objectives_has_a_figure(run_dir: Path) -> None:
    write_objectives(run_dir, "parameters", "aa", "forgetting")
    report = write_report(run_dir).report
    assert "| icarl | icarl-0000000e | lr 0.1 | 2 | 1,000 | 30.0 ± 0.0 | 0.0 ± 0.0 |" in report.read_text("utf-8")
    assert (report.parent / "pareto.png").exists()


def test_the_pareto_set_is_empty_without_complete_configurations(tmp_path: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [[0.5]], planned=2)
    write_objectives(tmp_path / "run", "aa", "pd")
    report = write_report(tmp_path / "run").report
    assert "No configuration has finished all its seeds." in report.read_text("utf-8")
    assert (report.parent / "pareto.csv").read_text().count("\n") == 1
    assert not (report.parent / "pareto.png").exists()


def test_one_objective_has_no_pareto_set(run_dir: Path) -> None:
    write_objectives(run_dir, "pd")
    report = write_report(run_dir).report
    assert "Pareto" not in report.read_text(encoding="utf-8")
    assert not (report.parent / "pareto.csv").exists()


def test_objectives_of_a_run(run_dir: Path) -> None:
    assert objectives_of(Run.load(run_dir)) == (OBJECTIVES["aa"],)
    write_objectives(run_dir, "pd", "aa")
    assert objectives_of(Run.load(run_dir)) == (OBJECTIVES["pd"], OBJECTIVES["aa"])
    for invalid in (["speed"], [["aa"]], []):
        write_objectives(run_dir, *invalid)
        with pytest.raises(EarshotError, match=r"sweep\.json: where\.objective: expected some of aa, final"):
            objectives_of(Run.load(run_dir))
