"""A real cluster whose nodes have Ray and the libraries, but not our packages, nor the user's: both are uploaded."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cluster.session import PACKAGES
from tests.support.processes import descendants, free_ports, running, wait_for

REPOSITORY = Path(__file__).parents[3]
TOKEN = "0123456789abcdef" * 4
CHAIN = ["--method", "simplecil", "--protocol", "free", "--base", "2", "--way", "2", "--shot", "2", "--sessions", "2"]
NETWORK = """
import torch


class Encoder:
    sample_rate, dim = 16_000, 2

    def embed(self, waves):
        return torch.stack([waves.std(dim=1), waves.diff(dim=1).std(dim=1)], dim=1)
"""


@dataclass(frozen=True)
class Cluster:
    """Addresses of a cluster, and the environment of its nodes."""

    address: str
    dashboard: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One node, started by `ray start --head --block` in an environment without our packages."""
    with tempfile.TemporaryDirectory(prefix="er-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=False)
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("EARSHOT_", "RAY_", "PYTEST"))
        }
        environment = {
            **inherited,
            "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": sysconfig.get_path("purelib"),  # which does not process the .pth of an editable install
            "HOME": name,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        missing = subprocess.run(
            ["python", "-c", "import orchestrator"], cwd=folder, env=environment, capture_output=True
        )
        assert b"No module named 'orchestrator'" in missing.stderr
        port, dashboard, agent = free_ports(3)
        with (folder / "log").open("w") as log:
            head = subprocess.Popen(
                f"exec python -m ray.scripts.scripts start --head --block --num-cpus 2 --port {port} "
                f"--temp-dir {name}/r --include-dashboard true --dashboard-host 127.0.0.1 --dashboard-port {dashboard} "
                f"--dashboard-agent-listen-port {agent}",
                shell=True,
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(lambda: head.poll() is not None or status(f"http://127.0.0.1:{dashboard}/api/version") == 401, 60)
            assert head.poll() is None, (folder / "log").read_text()
            yield Cluster(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", environment)
        finally:
            family = descendants(head.pid)
            head.terminate()
            head.wait(30)
            wait_for(lambda: not running(family), 30)


def status(url: str) -> int:
    """HTTP status of a page; 0 if nothing answers."""
    try:
        return int(urllib.request.urlopen(url, timeout=5).status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def write_network(folder: Path) -> None:
    """A package with a network of the user's own."""
    (folder / "lab").mkdir(parents=True)
    (folder / "lab" / "network.py").write_text(NETWORK)
    (folder / "lab" / "encoders.py").write_text("from .network import Encoder as encoder\n")


def test_a_submitted_job_runs_to_completion(cluster: Cluster, tones: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(
            REPOSITORY / package, tmp_path / "code" / package, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    write_network(tmp_path / "code")
    own = ["--backbone", "lab.encoders:encoder"]
    sweep = ["python", "-m", "orchestrator.sweep", "--address", "auto", "--benchmark", str(tones), *CHAIN, *own]
    size = ["--seeds", "1", "--trials", "1", "--name", "job", "--runs", str(tmp_path / "runs")]
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", cluster.dashboard]
    code = ["--working-dir", str(tmp_path / "code"), "--"]
    process = subprocess.run(
        [*submit, *code, *sweep, *size, "--storage", str(tmp_path / "storage")],
        env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "1 trial, 2 sessions computed" in process.stdout
    (trial,) = (tmp_path / "runs" / "job" / "trials").glob("*/trial.json")
    assert json.loads(trial.read_text())["status"] == "finished"
    assert (tmp_path / "runs" / "job" / "report" / "report.md").exists()
    assert list((tmp_path / "storage").rglob("stage.json"))


DRIVER = """
import os, sys
from datasets.utils.errors import EarshotError
from orchestrator.cluster.session import start_ray
from datasets.utils.own_code import find_code
try:
    with start_ray(sys.argv[1], code=[find_code(name) for name in sys.argv[2:]]):
        import ray
        def where(name=sys.argv[2], folder=os.getcwd()):
            import os, sys, datasets, orchestrator, trainables.learners.learner
            from search_spaces.loader import shipped
            from datasets.utils.own_code import find_code
            assert shipped()["ede"].exists()
            os.chdir("/")  # as on another machine, which does not have the driver's folder
            sys.path = [place for place in sys.path if place not in ("", folder)]
            code = find_code(name)
            assert code.load()().dim == 2
            variables = [os.environ.get("EARSHOT_CACHE"), os.environ.get("AWS_SECRET_ACCESS_KEY")]
            return [datasets.__file__, code.file, *variables]
        print(*ray.get(ray.remote(where).remote()), sep="\\n")
except EarshotError as error:
    print(error)
"""


def run_driver(cluster: Cluster, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Joins the cluster from outside of the repository, with our packages installed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    write_network(folder)
    return subprocess.run(
        [sys.executable, "-c", DRIVER, cluster.address, "lab.encoders:encoder"],
        cwd=folder,
        env={**inherited, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_driver_uploads_our_packages_and_the_code_of_a_network(cluster: Cluster, tmp_path: Path) -> None:
    process = run_driver(
        cluster,
        tmp_path,
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=TOKEN,
        EARSHOT_CACHE="/cache",
        AWS_SECRET_ACCESS_KEY="secret",
        PYTHONPATH=str(REPOSITORY),
    )
    assert process.returncode == 0, process.stderr
    place, code, cache, secret = process.stdout.splitlines()
    assert all("/runtime_resources/py_modules_files/" in path for path in (place, code))
    assert (cache, secret) == ("/cache", "None")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RAY_AUTH_MODE": "token"},
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN[::-1]},
    ],
    ids=["no authentication", "no token", "wrong token"],
)
def test_a_wrong_token_is_one_line(cluster: Cluster, tmp_path: Path, environment: dict[str, str]) -> None:
    process = run_driver(cluster, tmp_path, PYTHONPATH=str(REPOSITORY), **environment)
    assert process.stdout.startswith(f"--address {cluster.address}: expected the token of the cluster, found: ")
    assert "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN" in process.stdout
    assert process.stdout.count("\n") == 1 and process.stderr == ""
