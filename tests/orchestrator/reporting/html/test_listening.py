"""Listening to mistakes: clips within a budget, and their sound and spectrograms in Chromium."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from datasets.benchmark.shards import Shards
from orchestrator.report import main
from orchestrator.reporting.html import write_page
from orchestrator.reporting.html.page_clips import PageClips
from orchestrator.results.benchmark import Benchmarks, ReadBenchmark
from orchestrator.results.run import Run
from tests.support.chain_runs import seeds, write_run
from trainables.records import TrialRecord

SETTINGS = {"coefficients": 2}  # often wrong


@pytest.fixture(scope="module")
def benchmark(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark that can be removed."""
    return Path(shutil.copytree(tones, tmp_path_factory.mktemp("benchmark") / "tones"))


@pytest.fixture(scope="module")
def folder(benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two chains of mfcc-ncm and one of simplecil."""
    runs = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_run(runs, benchmark, "mfcc-ncm", settings=SETTINGS, seeds=seeds(seed))
    write_run(runs, benchmark, "simplecil")
    return runs / "it"


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    listening: dict[str, Any] = json.loads(found[1])["listening"]
    return listening


def test_a_mistake_has_its_clip_and_a_support_clip_of_the_predicted_class(
    folder: Path, benchmark: Path, tmp_path: Path
) -> None:
    run, shards = Run.load(folder), Shards(benchmark)
    data = data_of(write_page(run, tmp_path / "page.html", audio=10_000_000))
    assert data["reason"] is None and data["bytes"] == sum(len(clip.get("audio", "")) for clip in data["clips"])
    table, names = shards.table, list(shards.class_names)
    for row in [*data["confusions"]["mfcc-ncm"], *data["mistakes"]["mfcc-ncm"]]:
        clip, heard = data["clips"][row["clip"]], data["clips"][row["heard"]]
        position = table.clip_ids.index(clip["name"])
        assert (names[table.labels[position]], table.splits[position]) == (row["class"], "test")
        record = next(r for r in run.trials.values() if r.method == "mfcc-ncm" and str(r.seeds) == row["seeds"])
        support = ReadBenchmark(shards).support(record, names.index(row["predicted"]))
        assert table.clip_ids.index(heard["name"]) in support
        assert clip["rate"] == 16_000
        kind, _, content = clip["audio"].partition(",")
        assert kind == "data:audio/mpeg;base64"
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="float32")
        original = shards.audio([position])[0]
        assert (rate, len(samples)) == (16_000, len(original))
        assert np.corrcoef(samples, original)[0, 1] > 0.95


def test_clips_take_no_more_than_the_budget(folder: Path, tmp_path: Path) -> None:
    run = Run.load(folder)
    whole = data_of(write_page(run, tmp_path / "whole.html", audio=10_000_000))
    size = max(len(clip["audio"]) for clip in whole["clips"])
    small = data_of(write_page(run, tmp_path / "small.html", audio=3 * size))
    assert 0 < small["bytes"] <= 3 * size < whole["bytes"]
    first = small["confusions"]["mfcc-ncm"][0], small["confusions"]["simplecil"][0]
    assert all("audio" in small["clips"][row["clip"]] for row in first)  # each method's first mistake is heard first
    none = write_page(run, tmp_path / "none.html")
    assert "data:audio" not in none.read_text(encoding="utf-8") and data_of(none)["bytes"] == 0


def test_clips_that_do_not_fit_are_skipped(tmp_path: Path, tones: Path) -> None:
    trial = write_run(tmp_path, tones, "simplecil")
    run, names = Run.load(tmp_path / "it"), Shards(tones).table.clip_ids
    sizes = []
    for name in names[:40]:
        alone = PageClips(run, Benchmarks(run), 10_000_000)
        alone.add(trial, name)
        sizes.append(alone.used)
    smallest, largest = names[int(np.argmin(sizes))], names[int(np.argmax(sizes))]
    assert min(sizes) < max(sizes)
    clips = PageClips(run, Benchmarks(run), min(sizes))
    clips.add(trial, largest)
    assert clips.used == 0 and clips.reason == f"the first clip needs {max(sizes) / 1000:.1f} kB, more than --audio"
    assert "audio" in clips.clips[clips.add(trial, smallest)]
    assert clips.used == min(sizes) and clips.reason is None


def test_a_protocol_of_another_version_is_a_reason(tmp_path: Path, tones: Path) -> None:
    trial = write_run(tmp_path, tones, "mfcc-ncm", settings=SETTINGS)
    record = TrialRecord.load(tmp_path / "it/trials" / trial)
    changed = record.model_copy(update={"protocol": {**record.protocol, "curriculum": "hard"}})
    changed.save(tmp_path / "it/trials" / trial)
    data = data_of(write_page(Run.load(tmp_path / "it"), tmp_path / "page.html", audio=10_000_000))
    assert all(row["heard"] is None for row in data["mistakes"]["mfcc-ncm"])
    assert data["bytes"] > 0 and "curriculum" in data["reason"]


def test_damaged_shards_leave_the_audio_of_another_benchmark(tmp_path: Path, tones: Path) -> None:
    copy = Path(shutil.copytree(tones, tmp_path / "copy"))
    first = write_run(tmp_path / "first", copy, "mfcc-ncm", settings=SETTINGS, seeds=seeds(0))
    second = write_run(tmp_path / "second", tones, "mfcc-ncm", settings=SETTINGS, seeds=seeds(1))
    run = Run.merged([Run.load(tmp_path / name / "it") for name in ("first", "second")])
    benchmarks, names = Benchmarks(run), Shards(tones).table.clip_ids
    benchmarks.of(first).position(names[0])  # the table is read before
    for shard in (copy / "shards").iterdir():
        shard.write_bytes(b"damaged")
    clips = PageClips(run, benchmarks, 10_000_000)
    assert "audio" not in clips.clips[clips.add(first, names[0])]
    assert "audio" in clips.clips[clips.add(second, names[1])]
    assert clips.reason is not None and str(copy) in clips.reason


def test_the_command_takes_a_budget(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [str(folder), "--format", "svg", "--out"]
    assert main([*options, str(tmp_path / "heard")]) == 0
    assert 0 < data_of(tmp_path / "heard/report.html")["bytes"] <= 2_000_000
    assert main([*options, str(tmp_path / "silent"), "--audio", "0"]) == 0
    assert "data:audio" not in (tmp_path / "silent/report.html").read_text(encoding="utf-8")
    assert main([*options, str(tmp_path / "wrong"), "--audio", "loud"]) == 2
    assert "--audio: expected a size such as" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["gone", "another", "damaged"])
def test_without_the_benchmark_the_section_says_why(folder: Path, benchmark: Path, tmp_path: Path, change: str) -> None:
    kept = Path(shutil.copytree(benchmark, tmp_path / "kept"))
    try:
        if change == "gone":
            shutil.rmtree(benchmark)
        elif change == "another":
            manifest = json.loads((benchmark / "manifest.json").read_text())
            (benchmark / "manifest.json").write_text(json.dumps({**manifest, "base_classes": 3, "checksum": None}))
        else:
            shard = sorted((benchmark / "shards").iterdir())[0]
            content = bytearray(shard.read_bytes())
            content[len(content) // 2] ^= 0xFF
            for path in (benchmark / "shards").iterdir():
                path.write_bytes(bytes(b ^ 0xFF for b in path.read_bytes()[:200]) + path.read_bytes()[200:])
        page = write_page(Run.load(folder), tmp_path / "page.html", audio=10_000_000)
    finally:
        shutil.rmtree(benchmark, ignore_errors=True)
        shutil.copytree(kept, benchmark)
    data = data_of(page)
    assert data["bytes"] == 0 and data["confusions"]["mfcc-ncm"]
    expected = "not readable" if change == "damaged" else "is not in the local folder where the sweep read it"
    assert expected in data["reason"]


def test_chromium_draws_and_plays_the_clips(chromium: webdriver.Chrome, folder: Path, tmp_path: Path) -> None:
    page = write_page(Run.load(folder), tmp_path / "page.html", audio=10_000_000)
    chromium.get(f"{page.as_uri()}#focus=simplecil")
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
    Select(chromium.find_element(By.ID, "focus")).select_by_value("mfcc-ncm")
    section = chromium.find_element(By.ID, "listening")
    chromium.execute_script("arguments[0].scrollIntoView()", section)
    canvas = section.find_element(By.TAG_NAME, "canvas")
    WebDriverWait(chromium, 30).until(lambda _: canvas.get_attribute("data-drawn") == "yes")
    assert re.search(r"Spectrogram of \d-\d\d: 0\.4 s, 0 to 8000 Hz", canvas.get_attribute("aria-label"))
    assert [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    # a tone with harmonics below: on average the lower half is darker than the upper one
    halves = chromium.execute_script(
        "const c = arguments[0], at = (y) => c.getContext('2d').getImageData(0, y, c.width, c.height / 2).data;"
        "return [0, c.height / 2].map((y) => at(y).reduce((sum, value) => sum + value, 0));",
        canvas,
    )
    assert halves[1] < halves[0]
    button = section.find_element(By.CSS_SELECTOR, ".play")
    assert button.get_attribute("aria-label").startswith("Play ")
    ended = (
        "window.ended = 0; const made = window.Audio;"
        "window.Audio = function (uri) { const audio = new made(uri);"
        "audio.addEventListener('ended', () => { window.ended += audio.duration; }); return audio; };"
    )
    chromium.execute_script(ended)
    button.send_keys(webdriver.Keys.ENTER)  # by keyboard
    assert button.get_attribute("aria-pressed") == "true"
    WebDriverWait(chromium, 30).until(lambda d: d.execute_script("return window.ended") > 0)
    assert chromium.execute_script("return window.ended") == pytest.approx(0.4, abs=0.1)
    WebDriverWait(chromium, 30).until(lambda _: button.get_attribute("aria-pressed") == "false")
    width = {"width": 360, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", width)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 360
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
