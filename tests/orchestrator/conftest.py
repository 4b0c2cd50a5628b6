"""Fixtures of the tests of the orchestrator: run folders, Ray, benchmarks for the audit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.benchmark.audit import Audit
from orchestrator.auditing.audit import audit
from orchestrator.cluster.session import start_ray
from tests.support.audited_benchmarks import write_clean, write_planted
from tests.support.run_folders import Matrix, WriteTrial, trial
from trainables.records import TrialRecord


@pytest.fixture(scope="session")
def write_trial_to() -> WriteTrial:
    """The function `trial`, for fixtures of a wider scope than a test."""
    return trial


@pytest.fixture
def write_trial(tmp_path: Path) -> WriteTrial:
    """A function that writes a trial to `tmp_path / "run"`."""

    def write(configuration: str, seed: int, matrix: Matrix, **settings: Any) -> TrialRecord:
        return trial(tmp_path / "run", configuration, seed, matrix, **settings)

    return write


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    """Ray with two CPUs, for the tests of a module."""
    with start_ray(cpus=2):
        yield


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark without defects."""
    return write_clean(tmp_path_factory.mktemp("clean") / "it")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with one defect of every kind."""
    return write_planted(tmp_path_factory.mktemp("planted") / "it")


@pytest.fixture(scope="session")
def audited(planted: Path) -> Audit:
    """The audit of that benchmark."""
    return audit(planted)
