"""report.html: its numbers, and what a real Chromium makes of it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from orchestrator.reporting.html import write_page
from orchestrator.reporting.html.payload import payload
from orchestrator.results.ceilings import FILE_NAME
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NAMES = ("<script>document.title='broken'</script>", '<b>bold</b> & "quoted"', "a|b", "é" * 40, "</script>", "'; x")
MATRIX = [[0.9], [0.8, 0.7], [0.6, 0.5, 0.8]]
WORSE = [[0.6], [0.5, 0.4], [0.3, 0.2, 0.5]]


@pytest.fixture(scope="module")
def run(write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods, one with two heads, three seeds; class names that would be HTML; two labels that share clips."""
    folder = tmp_path_factory.mktemp("page") / "run"
    for seed in range(3):
        varied = {"class_names": NAMES, "varied": {"lr": 0.1}, "benchmark": "<i>mine</i>"}
        write_trial_to(folder, "ede-00000001", seed, MATRIX, heads={"linear": WORSE}, **varied)
        write_trial_to(folder, "icarl-00000001", seed, WORSE, class_names=NAMES, benchmark="<i>mine</i>")
    fingerprint = Run.load(folder).trials["ede-00000001-s0"].benchmark_fingerprint
    twins = {"fingerprint": fingerprint, "clips": [10] * 6, "shared": [[[0, 5], [1, 5]]]}
    (folder / FILE_NAME).write_text(json.dumps(twins))
    return folder


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return write_page(Run.load(run), run / "report" / "report.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
    ):
        options.add_argument(flag)
    options.add_argument("--disable-background-networking")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(chromium: webdriver.Chrome, page: Path) -> Callable[..., webdriver.Chrome]:
    """Opens the page, with a state in its address."""

    def open_page(state: str = "", width: int = 1200) -> webdriver.Chrome:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get("about:blank")  # else only the state would change, and the page not be read again
        chromium.get(f"{page.as_uri()}{state}")
        WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
        return chromium

    return open_page


def rows_of(driver: webdriver.Chrome) -> list[tuple[str, str]]:
    """Method and head of the rows of the leaderboard that are seen."""
    rows = driver.find_elements(By.CSS_SELECTOR, ".board tbody tr")
    return [(row.get_attribute("data-method"), row.get_attribute("data-head")) for row in rows if row.is_displayed()]


def curves_of(driver: webdriver.Chrome) -> list[str]:
    """Names of the curves that are drawn."""
    found: list[str] = driver.execute_script(
        "return document.getElementById('chart-curves').data.map(one => one.name).filter(Boolean)"
    )
    return found


def test_loads_without_errors_and_without_network(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    assert [entry for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert driver.execute_script("return performance.getEntriesByType('resource').map(one => one.name)") == []
    drawn = driver.find_elements(By.CSS_SELECTOR, ".chart .main-svg")
    assert len(drawn) > 8
    assert "ede reaches an average accuracy of" in driver.find_element(By.TAG_NAME, "h1").text


def test_names_are_inert_and_shown_as_they_are(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    assert driver.title == "run · Earshot"
    assert driver.find_element(By.CSS_SELECTOR, ".eyebrow").text.startswith("<i>mine</i>")
    shown = driver.execute_script(
        "return [...document.querySelectorAll('#chart-confusion .ytick text')].map(one => one.textContent)"
    )
    assert '<b>bold</b> & "…' in shown
    assert "<script>documen…" in shown
    table = driver.execute_script("return document.getElementById('table-classes').textContent")
    assert all(name in table for name in NAMES)
    assert driver.execute_script("return document.querySelectorAll('main script, #chart-confusion b').length") == 0


def test_filter_by_method(opened: Callable[..., webdriver.Chrome]):
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


def test_switch_head(opened: Callable[..., webdriver.Chrome]):
    driver = opened()
    before = driver.execute_script("return document.getElementById('chart-curves').data.find(one => one.name).y[0]")
    assert before == pytest.approx(90)
    Select(driver.find_element(By.ID, "head")).select_by_value("linear")
    after = driver.execute_script("return document.getElementById('chart-curves').data.find(one => one.name).y[0]")
    assert after == pytest.approx(60)
    assert rows_of(driver) == [("ede", "linear")]


def test_the_address_holds_what_is_shown(opened: Callable[..., webdriver.Chrome]):
    driver = opened("#head=linear&off=icarl&measure=macro&focus=ede&session=1&theme=dark")
    assert rows_of(driver) == [("ede", "linear")]
    assert driver.find_element(By.ID, "measure").get_attribute("value") == "macro"
    assert driver.find_element(By.ID, "session-told").text == "1 (4 classes)"
    assert driver.execute_script("return document.documentElement.dataset.theme") == "dark"
    opened("#head=<script>&off=nobody&session=99&focus=x&theme=pink")  # nonsense is no harm
    assert len(rows_of(driver)) == 3


def test_sessions_of_the_confusion(opened: Callable[..., webdriver.Chrome]):
    driver = opened("#focus=ede")
    size = "return document.getElementById('chart-confusion').data[0].z.length"
    assert driver.execute_script(size) == 6
    slider = driver.find_element(By.ID, "session")
    driver.execute_script("arguments[0].focus()", slider)
    slider.send_keys(Keys.ARROW_LEFT)
    assert driver.execute_script(size) == 4


def test_dark_and_light(opened: Callable[..., webdriver.Chrome]):
    driver = opened("#theme=dark")
    paper = "return getComputedStyle(document.body).backgroundColor"
    dark = driver.execute_script(paper)
    Select(driver.find_element(By.ID, "theme")).select_by_value("light")
    assert (dark, driver.execute_script(paper)) == ("rgb(20, 22, 26)", "rgb(255, 255, 255)")


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_screen(opened: Callable[..., webdriver.Chrome], width: int):
    driver = opened(width=width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_prints(opened: Callable[..., webdriver.Chrome]):
    printed = opened("#theme=dark").execute_cdp_cmd("Page.printToPDF", {})
    assert len(printed["data"]) > 50_000


def test_ceilings_are_drawn(opened: Callable[..., webdriver.Chrome], run: Path):
    # session 0 brings labels 0 and 1, with ten test clips each; five of each have the same content
    assert payload(Run.load(run), Estimates(Run.load(run)))["ceilings"] == {
        "values": [0.75, 0.875, pytest.approx(55 / 60, abs=1e-6)],
        "labels": 2,
    }
    assert "2 labels share test clips" in opened().find_element(By.ID, "told-curves").text


def test_the_numbers_of_a_method(run: Path):
    found: dict[str, Any] = payload(Run.load(run), Estimates(Run.load(run)))
    ede = found["methods"][0]
    assert (ede["name"], ede["head"], list(ede["heads"]), ede["rank"]) == (
        "ede",
        "prototype",
        ["prototype", "linear"],
        0,
    )
    head = ede["heads"]["prototype"]
    assert [one["mean"] for one in head["sessions"]["micro"]] == pytest.approx([0.9, 0.75, 1.9 / 3], abs=1e-5)
    assert head["chain"]["aa"]["n"] == 3
    assert head["matrix"][1] == [0.8, 0.7, None]
    # the best before the end less the end: 0.9 - 0.6 and 0.7 - 0.5
    assert [one["mean"] for one in head["forgetting"]] == pytest.approx([0.3, 0.2])
    assert sum(cell[2] for cell in head["confusion"][0]) == 3 * 20
    assert found["work"]["sessions"] == 18


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
    assert chromium.find_element(By.ID, "empty-seeds").text == "No chain is whole yet."
