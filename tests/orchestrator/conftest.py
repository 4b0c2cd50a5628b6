"""What the tests of the orchestrator share: run folders, Ray, benchmarks for the audit."""

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
    """The function `trial`, for fixtures that outlive a test."""
    return trial


@pytest.fixture
def write_trial(tmp_path: Path) -> WriteTrial:
    """A function that writes a trial to `tmp_path / "run"`."""

    def write(configuration: str, seed: int, matrix: Matrix, **settings: Any) -> TrialRecord:
        return trial(tmp_path / "run", configuration, seed, matrix, **settings)

    return write


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    """Ray with two workers, for the tests of a module."""
    with start_ray(cpus=2):
        yield


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark without any defect."""
    return write_clean(tmp_path_factory.mktemp("clean") / "it")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with every defect once."""
    return write_planted(tmp_path_factory.mktemp("planted") / "it")


@pytest.fixture(scope="session")
def audited(planted: Path) -> Audit:
    """What the audit says of it."""
    return audit(planted)
