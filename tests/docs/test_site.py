"""The site builds without a warning, needs no network, and its reference is the code's."""

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
    assert "The accuracy matrix" in reference["trainables"] or "score_chain" in reference["trainables"]


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} == {name for name in named if "/" not in name}
