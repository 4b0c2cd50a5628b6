"""A live page loads itself again."""

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from orchestrator.monitoring.sweep_state import SweepState
from orchestrator.reporting.html import write, write_page
from orchestrator.results.run import Run
from tests.orchestrator.conftest import WriteTrial
from tests.support.trial_events import TrialEvents

NAMES = ("acil", "anacp", "aper", "cec", "der", "ede", "fact", "icarl")


def test_a_page_of_many_methods_reloads_while_their_list_is_open(
    chromium: webdriver.Chrome, write_trial: WriteTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in NAMES:
        write_trial(f"{method}-00000001", 0, [[0.9]], planned=2, status="running")
    trial = TrialEvents()
    state = SweepState({(trial.state.chain.method, trial.state.chain.backbone_spec): 2}, sessions=2, attempts=1)
    TrialEvents(state).start()
    monkeypatch.setattr(write, "RELOAD_SECONDS", 1)
    page = write_page(Run.load(tmp_path / "run"), tmp_path / "live.html", progress=state.describe(rows=30))
    chromium.get(page.as_uri())
    ready = "return document.documentElement.dataset.ready && window.marked === undefined"
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script(ready))
    chromium.execute_script(
        "window.marked = true; document.getElementById('chooser').setAttribute('open', '');"
        "document.querySelector('#curves details').setAttribute('open', '');"
    )
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script(ready))
    assert chromium.find_element(By.CSS_SELECTOR, "#curves details").get_attribute("open")
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
