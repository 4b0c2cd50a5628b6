"""The map of the test clips in Chromium: points, colours, and a clip that is played."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from orchestrator.reporting.html import write_page
from orchestrator.reporting.html.payload import payload
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.chain_runs import PROTOCOL, seeds, write_run

TRACES = "return document.getElementById('chart-map').data.map((trace) => [trace.name, trace.x.length])"


def test_chromium_draws_the_clips_by_session_and_by_class(
    chromium: webdriver.Chrome, tones: Path, tmp_path: Path
) -> None:
    write_run(tmp_path, tones, "simplecil")
    page = write_page(Run.load(tmp_path / "it"), tmp_path / "page.html", audio=10_000_000)
    chromium.get(page.as_uri())
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    assert chromium.execute_script(TRACES) == [*([f"session {t}", 8] for t in range(3)), ["prototype", 6]]
    Select(chromium.find_element(By.ID, "map-colour")).select_by_value("class")
    assert chromium.execute_script(TRACES) == [*([f"tone {t}", 4] for t in range(6)), ["prototype", 6]]
    assert "map-colour=class" in chromium.current_url
    assert "24 of 24 test clips, chain s0." in chromium.find_element(By.ID, "note-map").text
    chromium.execute_script(
        "const chart = document.getElementById('chart-map'), name = DATA.listening.clips[0].name;"
        "const points = chart.data.flatMap((trace) => trace.customdata).filter((data) => data[0] === name);"
        "chart.emit('plotly_click', {points: [{customdata: points[0]}]});"
    )
    picked = chromium.find_element(By.ID, "map-picked")
    assert "predicted" in picked.text and picked.find_element(By.TAG_NAME, "button").is_displayed()
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_an_unfinished_run_has_a_map_without_mistakes_to_listen_to(
    chromium: webdriver.Chrome, tones: Path, tmp_path: Path
) -> None:
    write_run(tmp_path, tones, "simplecil", sessions=2)
    chromium.get(write_page(Run.load(tmp_path / "it"), tmp_path / "page.html").as_uri())
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    assert chromium.find_elements(By.ID, "listening") == []
    point = "const chart = document.getElementById('chart-map'); chart.emit('plotly_click', {points: [{customdata: "
    chromium.execute_script(f"{point}chart.data[0].customdata[0]}}]}})")
    assert "not in this file" in chromium.find_element(By.ID, "map-picked").text
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_sessions_are_those_of_the_chain_of_the_map(chromium: webdriver.Chrome, tones: Path, tmp_path: Path) -> None:
    seeded = PROTOCOL.model_copy(update={"class_order": "seeded"})
    for seed in (0, 1):  # their classes come in different orders
        write_run(tmp_path, tones, "simplecil", seeds=seeds(seed), protocol=seeded)
    run = Run.load(tmp_path / "it")
    assert payload(run, Estimates(run))["orders"] == 2
    chromium.get(write_page(run, tmp_path / "page.html").as_uri())
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    assert chromium.execute_script(TRACES)[:3] == [[f"session {t}", 8] for t in range(3)]
    drawn = chromium.execute_script(
        "return document.getElementById('chart-map').data.slice(0, 3)"
        ".map((trace) => [...new Set(trace.customdata.map((data) => data[1]))].sort())"
    )
    record = next(record for record in run.trials.values() if record.seeds == seeds(0))
    assert drawn == [sorted(record.class_names[label] for label in s.classes) for s in record.sessions]


def test_only_a_page_with_clips_names_the_recordings(tones: Path, tmp_path: Path) -> None:
    write_run(tmp_path, tones, "simplecil")
    run = Run.load(tmp_path / "it")

    def maps(audio: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = payload(run, Estimates(run), audio)["map"]["maps"]
        return found

    assert len(maps(1000)[0]["sources"]) == 24
    assert ["sources" in one for one in maps(0)] == [False]


def test_a_benchmark_with_damaged_sources_gives_no_map(tones: Path, tmp_path: Path) -> None:
    benchmark = Path(shutil.copytree(tones, tmp_path / "tones"))
    write_run(tmp_path, benchmark, "simplecil")
    run = Run.load(tmp_path / "it")
    assert "map" in payload(run, Estimates(run), 1000)
    for shard in (benchmark / "shards").iterdir():
        columns = pq.read_table(shard)
        pq.write_table(columns.drop_columns(["source"]), shard)
    assert "map" not in payload(run, Estimates(run), 1000)
