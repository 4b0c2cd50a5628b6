"""Mistakes: from the stored predictions to the CSV file and the page."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from datasets.benchmark.shards import Shards
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.tables import mistake_grid
from orchestrator.reporting.write import write_report
from orchestrator.results.clip_sources import UNKNOWN, ClipSources
from orchestrator.results.mistakes import confident_mistakes, frequent_confusions, most_confused
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.chain_runs import seeds, write_run
from tests.support.run_folders import WriteTrial
from tests.support.sized_benchmarks import write_benchmark


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
    trial = run.of(configuration)[0].trial
    assert ClipSources(run).of(trial, found[0].clip) == (shards.sources[position], float(first["start_seconds"]))
    assert ClipSources(run).of(trial, "another clip") is UNKNOWN
    alone = replace(run, folders={name: tmp_path / "trials" / name for name in run.trials})  # no sweep.json
    assert ClipSources(alone).of(trial, found[0].clip) is UNKNOWN
    assert first["predicted_class"] == f"tone {found[0].prediction}"
    assert float(first["confidence"]) == pytest.approx(found[0].confidence, abs=1e-5)
    assert 'id="listening-mistakes"' in report.page.read_text(encoding="utf-8")
    data = payload(run, Estimates(run))["listening"]
    shown = [(data["clips"][row["clip"]]["name"], row["predicted"]) for row in data["mistakes"]["mfcc-ncm"]]
    assert shown == list(dict.fromkeys((row["clip_id"], row["predicted_class"]) for row in listed))[:5]


def test_the_most_frequent_confusions_with_the_clip_that_most_chains_confuse(run: Run) -> None:
    (configuration,) = run.configurations()
    frames = [
        pq.read_table(run.folders[record.trial] / record.sessions[-1].predictions).to_pandas()
        for record in run.of(configuration)
    ]
    frame = pd.concat(frames, keys=range(2), names=["chain"]).reset_index("chain")
    frame = frame[frame["split"] == "test"]
    wrong = frame[frame["label"] != frame["prediction"]]
    sizes = wrong.groupby(["label", "prediction"]).size()
    found = frequent_confusions(run, configuration, "nearest-mean", 4)
    assert [one.clips for one in found] == sorted(sizes, reverse=True)[:4]
    for one in found:
        rows = wrong[(wrong["label"] == one.label) & (wrong["prediction"] == one.prediction)]
        assert (one.clips, one.total) == (len(rows), (frame["label"] == one.label).sum())
        chains = rows.groupby("clip_id").size()
        assert one.chains == chains.max() == chains[one.example.clip]
        most = rows[rows["clip_id"].map(chains) == one.chains]
        assert one.example.confidence == pytest.approx(most["confidence"].max())


def test_confusions_are_relative_to_the_clips_of_the_true_class() -> None:
    """By hand: 3 of 4 clips, then 5 of 10; equal shares in the order of the labels."""
    counts = np.array([[5, 0, 5], [3, 1, 0], [1, 1, 0]])
    assert most_confused(counts, 9) == [(1, 0, 3, 4), (0, 2, 5, 10), (2, 0, 1, 2), (2, 1, 1, 2)]
    assert most_confused(counts, 1) == [(1, 0, 3, 4)]


def test_predictions_without_probabilities_have_no_list(write_trial: WriteTrial, tmp_path: Path) -> None:
    """Those of version 0.1; and a chain that has not finished its last session."""
    write_trial("ede-aaaaaaaa", 0, [[0.5], [0.5, 0.5]])
    write_trial("ede-aaaaaaaa", 1, [[0.5]], planned=2)
    old = Run.load(tmp_path / "run")
    assert confident_mistakes(old, "ede-aaaaaaaa", "prototype") == []
    page = write_report(old, tmp_path / "out", formats=("svg",)).page.read_text(encoding="utf-8")
    assert '"mistakes":{"ede":[]}' in page
    assert len((tmp_path / "out/mistakes.csv").read_text(encoding="utf-8").splitlines()) == 1


def test_clips_of_merged_runs_come_from_the_benchmark_of_their_trial(tones: Path, tmp_path: Path) -> None:
    noises = write_benchmark(tmp_path / "noises", 6, 2, 16_000)
    for name, benchmark in (("first", tones), ("second", noises)):
        write_run(tmp_path / "runs", benchmark, "mfcc-ncm", name, settings={"coefficients": 2})
    merged = Run.merged([Run.load(tmp_path / "runs" / name) for name in ("first", "second")], mixed=True)
    grid = mistake_grid(merged)
    columns = [grid.header.index(name) for name in ("clip_id", "source", "start_seconds")]
    found = {tuple(row[column] for column in columns) for row in grid.rows}
    assert {source for clip, source, _ in found if len(str(clip)) == len("000-6")} == {"a.wav"}
    others = {(clip, source) for clip, source, _ in found if len(str(clip)) == len("0-11")}
    assert others and all(source == f"{str(clip)[0]}.wav" for clip, source in others)
    assert {start for *_, start in found} == {0.0}
