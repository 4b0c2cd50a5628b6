"""report.html: its data, and its behaviour in a real Chromium."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from orchestrator.reporting.html import write_page
from orchestrator.reporting.html.payload import payload
from orchestrator.results.ceilings import FILE_NAME
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial

NAMES = ("<script>document.title='broken'</script>", '<b>bold</b> & "quoted"', "a|b", "é" * 40, "</script>", "'; x")
MATRIX = [[0.9], [0.8, 0.7], [0.6, 0.5, 0.8]]
WORSE = [[0.6], [0.5, 0.4], [0.3, 0.2, 0.5]]


@pytest.fixture(scope="module")
def run(write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods, one with two heads, three seeds; class names that contain HTML; two labels that share clips."""
    folder = tmp_path_factory.mktemp("page") / "run"
    for seed in range(3):
        varied = {"class_names": NAMES, "varied": {"lr": 0.1}, "benchmark": "<i>mine</i>"}
        write_trial_to(folder, "ede-00000001", seed, MATRIX, heads={"linear": WORSE}, **varied)
        write_trial_to(folder, "icarl-00000001", seed, WORSE, class_names=NAMES, benchmark="<i>mine</i>")
    fingerprint = Run.load(folder).trials["ede-00000001-s0"].benchmark_fingerprint
    shared = {"fingerprint": fingerprint, "clips": [10] * 6, "shared": [[[0, 5], [1, 5]]]}
    (folder / FILE_NAME).write_text(json.dumps(shared))
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return write_page(Run.load(run), run / "report" / "report.html")


@pytest.fixture
def opened(chromium: webdriver.Chrome, page: Path) -> Callable[..., webdriver.Chrome]:
    """A function that opens the page with a state in its URL fragment."""

    def open_page(state: str = "", width: int = 1200) -> webdriver.Chrome:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get("about:blank")  # otherwise only the fragment changes, and the page is not loaded again
        chromium.get(f"{page.as_uri()}{state}")
        WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
        return chromium

    return open_page


def rows_of(driver: webdriver.Chrome) -> list[tuple[str, str]]:
    """Method and head of the visible rows of the leaderboard."""
    rows = driver.find_elements(By.CSS_SELECTOR, ".board tbody tr")
    return [(row.get_attribute("data-method"), row.get_attribute("data-head")) for row in rows if row.is_displayed()]


def curves_of(driver: webdriver.Chrome) -> list[str]:
    """Names of the drawn curves."""
    names: list[str] = driver.execute_script(
        "return document.getElementById('chart-curves').data.map(trace => trace.name).filter(Boolean)"
    )
    return names


def test_loads_without_errors_and_without_network(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    drawn = driver.find_elements(By.CSS_SELECTOR, ".chart .main-svg")
    assert len(drawn) > 8
    assert "ede reaches an average accuracy of" in driver.find_element(By.TAG_NAME, "h1").text


def test_names_are_escaped_and_not_executed(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    assert driver.title == "run · Earshot"
    assert driver.find_element(By.CSS_SELECTOR, ".eyebrow").text.startswith("<i>mine</i>")
    shown = driver.execute_script(
        "return [...document.querySelectorAll('#chart-confusion .ytick text')].map(label => label.textContent)"
    )
    assert '<b>bold</b> & "…' in shown
    assert "<script>documen…" in shown
    table = driver.execute_script("return document.getElementById('table-classes').textContent")
    assert all(name in table for name in NAMES)
    assert driver.execute_script("return document.querySelectorAll('main script, #chart-confusion b').length") == 0


def test_methods_can_be_filtered(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    assert curves_of(driver) == ["ede", "icarl"]
    box = driver.find_element(By.CSS_SELECTOR, "#methods input[value=icarl]")
    driver.execute_script("arguments[0].focus()", box)
    box.send_keys(Keys.SPACE)  # by keyboard alone
    assert curves_of(driver) == ["ede"]
    assert rows_of(driver) == [("ede", "prototype"), ("ede", "linear")]
    assert "off=icarl" in driver.current_url
    box.send_keys(Keys.SPACE)
    assert curves_of(driver) == ["ede", "icarl"]


def test_the_head_can_be_switched(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    before = driver.execute_script("return document.getElementById('chart-curves').data.find(trace => trace.name).y[0]")
    assert before == pytest.approx(90)
    Select(driver.find_element(By.ID, "head")).select_by_value("linear")
    after = driver.execute_script("return document.getElementById('chart-curves').data.find(trace => trace.name).y[0]")
    assert after == pytest.approx(60)
    assert rows_of(driver) == [("ede", "linear")]


def test_the_url_fragment_holds_the_state(opened: Callable[..., webdriver.Chrome]):
    driver = opened("#head=linear&off=icarl&measure=macro&focus=ede&session=1&theme=dark")
    assert rows_of(driver) == [("ede", "linear")]
    assert driver.find_element(By.ID, "measure").get_attribute("value") == "macro"
    assert driver.find_element(By.ID, "session-label").text == "1 (4 classes)"
    assert driver.execute_script("return document.documentElement.dataset.theme") == "dark"
    opened("#head=<script>&off=unknown&session=99&focus=x&theme=pink")  # invalid values are ignored
    assert len(rows_of(driver)) == 3


def test_the_slider_selects_the_session_of_the_confusion(opened: Callable[..., webdriver.Chrome]):
    driver = opened("#focus=ede")
    size = "return document.getElementById('chart-confusion').data[0].z.length"
    assert driver.execute_script(size) == 6
    slider = driver.find_element(By.ID, "session")
    driver.execute_script("arguments[0].focus()", slider)
    slider.send_keys(Keys.ARROW_LEFT)
    assert driver.execute_script(size) == 4


def test_the_theme_can_be_switched(opened: Callable[..., webdriver.Chrome]):
    driver = opened("#theme=dark")
    paper = "return getComputedStyle(document.body).backgroundColor"
    dark = driver.execute_script(paper)
    Select(driver.find_element(By.ID, "theme")).select_by_value("light")
    assert (dark, driver.execute_script(paper)) == ("rgb(20, 22, 26)", "rgb(255, 255, 255)")


@pytest.mark.parametrize("width", [360, 768])
def test_the_page_is_not_wider_than_the_screen(opened: Callable[..., webdriver.Chrome], width: int):
    driver = opened(width=width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_can_be_printed(opened: Callable[..., webdriver.Chrome]):
    printed = opened("#theme=dark").execute_cdp_cmd("Page.printToPDF", {})
    assert len(printed["data"]) > 50_000


def test_ceilings_are_drawn(opened: Callable[..., webdriver.Chrome], run: Path):
    # session 0 brings labels 0 and 1, with ten test clips each; five of each have the same content
    assert payload(Run.load(run), Estimates(Run.load(run)))["curves"]["ceilings"] == {
        "values": [0.75, 0.875, pytest.approx(55 / 60, abs=1e-6)],
        "labels": 2,
    }
    assert "2 labels share test clips" in opened().find_element(By.ID, "note-curves").text


def test_the_data_of_a_method(run: Path):
    data: dict[str, Any] = payload(Run.load(run), Estimates(Run.load(run)))
    ede = data["methods"][0]
    assert (ede["name"], ede["head"], list(ede["heads"]), ede["rank"]) == (
        "ede",
        "prototype",
        ["prototype", "linear"],
        0,
    )
    head = ede["heads"]["prototype"]
    assert [session["mean"] for session in head["sessions"]["micro"]] == pytest.approx([0.9, 0.75, 1.9 / 3], abs=1e-5)
    assert head["chain"]["aa"]["n"] == 3
    assert head["matrix"][1] == [0.8, 0.7, None]
    # best earlier minus last accuracy: 0.9 - 0.6 and 0.7 - 0.5
    assert [value["mean"] for value in head["forgetting"]] == pytest.approx([0.3, 0.2])
    confusion = data["confusion"]["ede"]["heads"]["prototype"]
    assert [sum(session["cells"][1::2]) for session in confusion] == [3 * 20, 3 * 40, 3 * 60]


@pytest.fixture(scope="module")
def mixed(run: Path, write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """That run with one of another benchmark and two sessions."""
    folder = tmp_path_factory.mktemp("mixed") / "other"
    write_trial_to(folder, "ede-00000001", 0, WORSE[:2], benchmark="yours", benchmark_fingerprint="0" * 64)
    return Run.merged([Run.load(run), Run.load(folder)], mixed=True)


def test_methods_of_several_protocols_have_their_own_classes_and_sessions(mixed: Run):
    data: dict[str, Any] = payload(mixed, Estimates(mixed))
    other = next(method for method in data["methods"] if method["classes"] == [f"class {c}" for c in range(4)])
    hashes = mixed.protocol_hashes
    assert other["protocol"] in hashes and other["name"] == f"ede+{other['protocol']}" and len(hashes) == 2
    assert data["protocol"] == f"protocols {hashes[0]}, {hashes[1]}" and data["benchmark"] == "<i>mine</i>, yours"
    head = other["heads"]["prototype"]
    assert [session["n"] for session in head["sessions"]["micro"]] == [1, 1, 0]
    assert head["matrix"] == [[0.6, None], [0.5, 0.4]]
    assert len(data["confusion"][other["name"]]["heads"]["prototype"]) == 2
    assert sum(method["protocol"] != other["protocol"] for method in data["methods"]) == 2


def test_a_page_of_several_protocols_loads_without_errors(chromium: webdriver.Chrome, mixed: Run, tmp_path: Path):
    focus = next(
        label for label, entry in mixed.entries.items() if len(mixed.class_names(mixed.configurations(label)[0])) == 4
    )
    chromium.get(f"{write_page(mixed, tmp_path / 'mixed.html').as_uri()}#session=1&focus={quote(focus)}")
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert "class 3" in chromium.execute_script("return document.getElementById('table-classes').textContent")


def test_a_run_without_a_finished_configuration_has_a_page(
    chromium: webdriver.Chrome, write_trial: WriteTrial, tmp_path: Path
):
    write_trial("ede-00000001", 0, [[0.9]], planned=3, status="running")
    page = write_page(Run.load(tmp_path / "run"), tmp_path / "live.html", live=True)
    chromium.get(page.as_uri())
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert "No configuration has finished all its seeds yet: 1 session so far." in chromium.page_source
    assert "running, as of 20" in chromium.find_element(By.CSS_SELECTOR, ".live").text.lower()
    sections = [section.get_attribute("id") for section in chromium.find_elements(By.TAG_NAME, "section")]
    assert "curves" in sections and "seeds" not in sections and "forgetting" not in sections, "empty ones are left out"
