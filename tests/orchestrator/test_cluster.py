"""Joining a cluster: one that is there, one that is not."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cluster import start_ray

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with start_ray(cpus=2):
        yield


def join(address: str) -> str:
    """What a process of its own says that joins a cluster: this one may have Ray up already."""
    code = """
import sys
from datasets.errors import EarshotError
from orchestrator.cluster import start_ray
try:
    with start_ray(sys.argv[1]):
        import ray
        print(ray.get_runtime_context().gcs_address)
except EarshotError as error:
    print(error)
"""
    return subprocess.run(
        [sys.executable, "-c", code, address], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_a_cluster_that_is_not_there_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = join(address)
    assert said.startswith(f"--address {address}: expected the GCS port of a Ray head") and said.count("\n") == 1
    said = join("nonsense")
    assert said.startswith("--address nonsense: expected a Ray cluster to join, found: ") and said.count("\n") == 1


def test_a_cluster_that_is_there_is_joined(ray_up: object) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    assert join(address) == f"{address}\n"
