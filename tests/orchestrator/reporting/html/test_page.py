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

from orchestrator.monitoring.sweep_state import SweepState
from orchestrator.reporting.html import write_page
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.series_styles import method_style
from orchestrator.results.ceilings import FILE_NAME
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial
from tests.support.trial_events import TrialEvents

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
    assert (ede["name"], ede["head"], list(ede["heads"])) == ("ede", "prototype", ["prototype", "linear"])
    assert data["order"] == {"": ["ede", "icarl"], "prototype": ["ede", "icarl"], "linear": ["ede"]}
    assert [(trial["seeds"], trial["status"], trial["sessions"]) for trial in ede["trials"]] == [
        (f"s{seed}", "finished", 3) for seed in range(3)
    ]
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
    trial = TrialEvents()
    state = SweepState({(trial.state.chain.method, trial.state.chain.backbone_spec): 2}, sessions=3, attempts=4)
    TrialEvents(state, seed=1).start().end("failed", "<b>no memory</b>")
    TrialEvents(state).start().session(0, seconds=30)
    progress = state.describe(rows=30)
    page = write_page(Run.load(tmp_path / "run"), tmp_path / "live.html", progress=progress)
    chromium.get(page.as_uri())
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert "No configuration has finished all its seeds yet: 1 session so far." in chromium.page_source
    assert "running, as of 20" in chromium.find_element(By.CSS_SELECTOR, ".live").text.lower()
    text = chromium.find_element(By.ID, "progress").text
    assert "4 of 6 sessions" in text and "1 of 2 trials ended, 1 running" in text and " left" in text
    assert "session 2 of 3" in text and "validation 50.0 %" in text and "<b>no memory</b>" in text
    assert chromium.find_element(By.CSS_SELECTOR, "#progress progress").get_attribute("value") == "4"
    sections = [section.get_attribute("id") for section in chromium.find_elements(By.TAG_NAME, "section")]
    assert "curves" in sections and "seeds" not in sections and "forgetting" not in sections, "empty ones are left out"


@pytest.fixture(scope="module")
def many(write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine methods and a transductive one; `acil` has another head that is better for `ranpac`; a trial failed."""
    folder = tmp_path_factory.mktemp("many") / "run"
    names = ("acil", "anacp", "aper", "cec", "der", "ede", "fact", "icarl", "ranpac")
    for place, method in enumerate(names):
        matrix = [[0.95 - 0.05 * place], [0.9 - 0.05 * place, 0.9 - 0.05 * place]]
        heads = {"linear": [[0.5], [0.5, 0.5]] if method == "acil" else [[0.6], [0.6, 0.6]]}
        for seed in range(2):
            write_trial_to(
                folder, f"{method}-0000000{place}", seed, matrix, heads=heads if method in ("acil", "ranpac") else {},
                class_names=tuple(f"class {label}" for label in range(10)),
            )  # fmt: skip
    write_trial_to(
        folder, "der-00000004", 2, [[0.7]], planned=2, status="failed", error="no <memory>",
        class_names=tuple(f"class {label}" for label in range(10)),
    )  # fmt: skip
    write_trial_to(
        folder, "tape-like-0000000a", 0, [[0.9], [0.8, 0.8]], track="transductive",
        class_names=tuple(f"class {label}" for label in range(10)),
    )  # fmt: skip
    return write_page(Run.load(folder), folder / "report" / "report.html")


@pytest.fixture
def opened_many(chromium: webdriver.Chrome, many: Path) -> Callable[[str], webdriver.Chrome]:
    def open_page(state: str = "") -> webdriver.Chrome:
        size = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.get("about:blank")
        chromium.get(f"{many.as_uri()}{state}")
        WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
        return chromium

    return open_page


def ranks_of(driver: webdriver.Chrome) -> list[tuple[str, str]]:
    """Rank and method of the visible rows that have a rank, in the order on the screen."""
    rows = driver.execute_script(
        "return [...document.querySelectorAll('.board tr[data-method]')].filter(row => !row.hidden)"
        ".map(row => [row.querySelector('.rank').textContent, row.dataset.method])"
    )
    return [(rank, method) for rank, method in rows if rank]


def test_of_many_methods_the_best_are_followed_and_the_rest_faint(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    drawn = (
        "return document.getElementById('chart-curves').data"
        ".filter(t => t.name && !!t.meta === arguments[0]).map(t => t.name)"
    )
    best = ["acil", "anacp", "aper", "cec", "tape-like (transductive)"]  # four of one track, the best of the other
    assert driver.execute_script(drawn, False) == best
    assert len(driver.execute_script(drawn, True)) == 5
    labels = "return document.getElementById('chart-curves').layout.annotations.map(label => label.text)"
    assert driver.execute_script(labels) == best
    driver.find_element(By.CSS_SELECTOR, "tr[data-method=ranpac] .follow").click()
    assert "ranpac" in driver.execute_script(drawn, False) and "on=ranpac" in driver.current_url
    assert "6 of 10 methods" in driver.find_element(By.ID, "followed").text
    opened_many("#others=hidden&on=ede")
    assert driver.execute_script(drawn, True) == [] and ranks_of(driver) == [("6", "ede")]


def test_a_method_has_its_style_in_every_chart(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many("#on=ede")
    style = method_style("ede")
    for chart in ("curves", "sides", "forgetting", "seeds", "cost"):
        colours = driver.execute_script(
            f"return document.getElementById('chart-{chart}').data"
            ".filter(t => t.fill !== 'toself' && t.meta !== 'faint').map(t => t.marker.color)"
        )
        assert set(colours) == {style.colour}, chart
    line, symbol = driver.execute_script(
        "const t = document.getElementById('chart-curves').data.find(t => t.name === 'ede');"
        "return [t.line.dash, t.marker.symbol]"
    )
    assert (line, symbol) == (style.dash, style.symbol)


def test_the_head_ranks_again(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    assert ranks_of(driver)[:2] == [("1", "acil"), ("2", "anacp")] and ranks_of(driver)[-1] == ("1", "tape-like")
    assert driver.find_element(By.ID, "title").text.startswith("acil reaches")
    assert driver.find_element(By.ID, "verdict").text.startswith("acil is ahead of anacp") is False
    assert "anacp" in driver.find_element(By.ID, "verdict").text
    Select(driver.find_element(By.ID, "head")).select_by_value("linear")
    assert ranks_of(driver) == [("1", "ranpac"), ("2", "acil")]
    assert driver.find_element(By.ID, "title").text.startswith("ranpac reaches an average accuracy of 60.0 %")
    chips = driver.execute_script("return [...document.querySelectorAll('#methods input')].map(box => box.value)")
    assert chips[:2] == ["ranpac", "acil"]


def test_the_leaderboard_is_sorted_and_searched(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    button = driver.find_element(By.CSS_SELECTOR, "th[data-sort=aa] button")
    driver.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)  # by keyboard alone
    assert [method for _, method in ranks_of(driver)][:2] == ["acil", "anacp"]
    assert driver.find_element(By.CSS_SELECTOR, "th[data-sort=aa]").get_attribute("aria-sort") == "descending"
    button.send_keys(Keys.ENTER)
    assert ranks_of(driver)[0] == ("9", "ranpac"), "the rank stays that by validation"
    assert ranks_of(driver)[-1][1] == "tape-like", "tracks stay apart"
    driver.find_element(By.ID, "search").send_keys("ci")
    assert {method for _, method in ranks_of(driver)} == {"acil"}
    assert driver.find_element(By.ID, "matches").text == "1 of 10 methods"
    assert "sort=aa" in driver.current_url and "search=ci" in driver.current_url


def test_a_row_unfolds_into_its_trials(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    driver.find_element(By.CSS_SELECTOR, "tr[data-method=der] .unfold").click()
    text = driver.find_element(By.CSS_SELECTOR, "tr.trials").text
    assert "der-00000004" in text and "lr 0.1" in text
    assert "s2 failed 1/2 1.5 - no <memory>" in text and "s0 finished 2/2 3.0" in text
    driver.find_element(By.CSS_SELECTOR, "tr[data-method=der] .unfold").click()
    assert driver.find_elements(By.CSS_SELECTOR, "tr.trials") == []


def test_a_chart_is_zoomed_and_reset(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    height = "const [a, b] = document.getElementById('chart-curves')._fullLayout.yaxis.range; return b - a"
    before = driver.execute_script(height)
    driver.find_element(By.CSS_SELECTOR, "[data-chart=curves] [data-tool=in]").click()
    assert driver.execute_script(height) == pytest.approx(0.7 * before)
    driver.find_element(By.CSS_SELECTOR, "[data-chart=curves] [data-tool=reset]").click()
    assert driver.execute_script(height) == pytest.approx(before)


def test_a_chart_is_downloaded(opened_many: Callable[..., webdriver.Chrome], tmp_path: Path):
    driver = opened_many("#theme=dark")
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    for form, start in (("svg", b"<svg"), ("png", b"\x89PNG")):
        driver.find_element(By.CSS_SELECTOR, f"[data-chart=curves] [data-tool={form}]").click()
        file = tmp_path / f"run-curves.{form}"
        WebDriverWait(driver, 60).until(lambda _, file=file: file.exists())
        assert file.read_bytes().startswith(start) and file.stat().st_size > 5_000
    assert b"Accuracy after each session" in (tmp_path / "run-curves.svg").read_bytes()
    assert driver.execute_script("return document.documentElement.dataset.theme") == "dark", "as before"
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_classes_are_those_of_the_protocol(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    assert driver.find_element(By.CSS_SELECTOR, ".eyebrow").text == "demo · 2 sessions · 4 classes", "of 10"
    assert "demo, 4 of 10 classes" in driver.find_element(By.ID, "ran").text


def test_hover_text_has_no_tick_label(opened_many: Callable[..., webdriver.Chrome]):
    driver = opened_many()
    driver.execute_script(
        "const curve = document.getElementById('chart-curves').data.findIndex(t => t.name === 'acil');"
        "Plotly.Fx.hover('chart-curves', [{ curveNumber: curve, pointNumber: 1 }])"
    )
    text = driver.execute_script("return document.querySelector('#chart-curves .hovertext').textContent")
    assert "session 1: 90.0 %" in text and "(" not in text
