"""The map of the test clips in Chromium: points, colours, and a clip that is played."""

from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from orchestrator.reporting.html import write_page
from orchestrator.results.run import Run
from tests.support.chain_runs import write_run

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
