"""Confident mistakes: from the stored predictions to the CSV file and the page."""

import csv
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datasets.benchmark.shards import Shards
from orchestrator.reporting.write import write_report
from orchestrator.results.clip_sources import clip_sources
from orchestrator.results.mistakes import confident_mistakes
from orchestrator.results.run import Run
from tests.support.chain_runs import seeds, write_run
from tests.support.run_folders import WriteTrial


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two chains of mfcc-ncm with two coefficients, which are often wrong."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_run(root, tones, "mfcc-ncm", settings={"coefficients": 2}, seeds=seeds(seed))
    return Run.load(root / "it")


def test_the_most_confident_wrong_answers_of_each_chain(run: Run, tones: Path, tmp_path: Path) -> None:
    (configuration,) = run.configurations()
    wrong = []
    for record in run.of(configuration):
        frame = pq.read_table(run.folders[record.trial] / record.sessions[-1].predictions).to_pandas()
        frame = frame[(frame["split"] == "test") & (frame["label"] != frame["prediction"])]
        frame = frame.sort_values(["confidence", "clip_id"], ascending=[False, True]).head(3)
        rows = frame[["clip_id", "label", "prediction", "confidence"]].itertuples(index=False)
        wrong += [(record.seeds.order, *row) for row in rows]
    found = confident_mistakes(run, configuration, "nearest-mean", 3)
    assert len(found) == 6 == len(wrong)
    assert {(m.seeds.order, m.clip, m.label, m.prediction, m.confidence) for m in found} == set(wrong)
    confidences = [mistake.confidence for mistake in found]
    assert confidences == sorted(confidences, reverse=True)

    report = write_report(run, tmp_path, formats=("svg",))
    with (tmp_path / "mistakes.csv").open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == len(confident_mistakes(run, configuration, "nearest-mean")) > 6
    first = listed[0]
    assert (first["clip_id"], first["class"]) == (found[0].clip, f"tone {found[0].label}")
    shards = Shards(tones)
    position = shards.table.clip_ids.index(found[0].clip)
    assert first["source"] == shards.sources[position] != ""
    assert float(first["start_seconds"]) == pytest.approx(shards.starts[position] / 16_000, abs=1e-5)
    elsewhere = replace(run, sweep={"where": {"benchmark": str(tmp_path)}})
    assert clip_sources(elsewhere) == clip_sources(replace(run, sweep={})) == {}
    assert first["predicted_class"] == f"tone {found[0].prediction}"
    assert float(first["confidence"]) == pytest.approx(found[0].confidence, abs=1e-5)
    page = report.page.read_text(encoding="utf-8")
    assert "Confident mistakes" in page and page.count('<tr data-method="mfcc-ncm"><th scope="row">') == 5


def test_predictions_without_probabilities_have_no_list(write_trial: WriteTrial, tmp_path: Path) -> None:
    """Those of version 0.1; and a chain that has not finished its last session."""
    write_trial("ede-aaaaaaaa", 0, [[0.5], [0.5, 0.5]])
    write_trial("ede-aaaaaaaa", 1, [[0.5]], planned=2)
    old = Run.load(tmp_path / "run")
    assert confident_mistakes(old, "ede-aaaaaaaa", "prototype") == []
    page = write_report(old, tmp_path / "out", formats=("svg",)).page.read_text(encoding="utf-8")
    assert "Confident mistakes" not in page
    assert len((tmp_path / "out/mistakes.csv").read_text(encoding="utf-8").splitlines()) == 1
