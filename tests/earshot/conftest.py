"""A sweep, one of its models, and clips to classify, of all tests of the library."""

from pathlib import Path

import pytest

import earshot
from tests.support.chain_runs import write_clips
from tests.support.library_calls import SETTINGS


@pytest.fixture(scope="session")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> earshot.Run:
    """A sweep of two methods x two seeds, three sessions each."""
    runs = tmp_path_factory.mktemp("runs")
    return earshot.sweep(earshot.open_benchmark(tones), **SETTINGS, runs=runs, name="first", progress=False)


@pytest.fixture(scope="session")
def model(run: earshot.Run, tmp_path_factory: pytest.TempPathFactory) -> earshot.Model:
    """Of the sweep."""
    return run.best("fecam").export(tmp_path_factory.mktemp("models") / "one")


@pytest.fixture(scope="session")
def clips(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The test clips, by name."""
    return write_clips(tmp_path_factory.mktemp("clips"), tones)
