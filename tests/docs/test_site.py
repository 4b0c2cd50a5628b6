"""The site builds without a warning, needs no network, and its reference is the code's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from datasets.corpora.registry import corpora
from orchestrator.__main__ import COMMANDS
from orchestrator.tuning.config import SweepConfig
from tests.support.documented_commands import ROOT
from trainables.methods.registry import methods


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = r'(?:<script[^>]+src|<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href|<img[^>]+src)="(https?:[^"]+)"'
    assert [found for page in site.rglob("*.html") for found in re.findall(fetched, page.read_text("utf-8"))] == []


def test_the_reference_is_generated_from_the_code(site: Path) -> None:
    reference = {path.stem: text_of(path) for path in (site / "reference").glob("*.html")}
    assert all(f"usage: earshot {command} " in reference["commands"] for command in COMMANDS)
    assert all(key in reference["configuration"] for key in SweepConfig.model_fields)
    assert all(name in reference["methods"] for name in methods())
    assert all(key in reference["methods"] for method in methods().values() for key in method.Settings.model_fields)
    assert all(name in reference["corpora"] for name in corpora())
    metrics = text_of(site / "reference/trainables/metrics.html")
    assert "score_chain" in metrics and "errors_to_newest" not in metrics


def test_every_module_has_a_page_in_the_navigation(site: Path) -> None:
    start = (site / "reference/trainables/metrics.html").read_text("utf-8")
    for package in ("datasets", "trainables", "orchestrator"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.stem not in ("__init__", "__main__"):
                page = site / "reference" / path.relative_to(ROOT).with_suffix(".html")
                assert page.stat().st_size < 400_000, page
    assert 'href="records.html"' in start  # its neighbour
    longest = max((site / "reference").rglob("*.html"), key=lambda page: page.stat().st_size)
    assert longest.parent == site / "reference", f"{longest}: the page of a module is longer than all tables"


def test_a_search_finds_how_to_add_a_method(site: Path) -> None:
    documents = json.loads((site / "search/search_index.json").read_text("utf-8"))["docs"]
    found = [one for one in documents if re.search("add a method", one["title"], re.IGNORECASE)]
    assert [one["location"] for one in found] == ["extending.html", "extending.html#add-a-method"]
    reference = [one for one in documents if re.match("reference/(datasets|trainables|orchestrator)/", one["location"])]
    assert len(reference) > 100 and {one["boost"] for one in reference} == {0.5}
    assert found[0]["boost"] > 1  # modules with the same words come after it


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} == {name for name in named if "/" not in name}
