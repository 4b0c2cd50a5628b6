"""What Ray's dashboard and its metrics show of a sweep: a real head, a real job, the dashboard's own REST API."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import descendants, free_ports, running, wait_for

REPOSITORY = Path(__file__).parents[3]
GRAFANA = REPOSITORY / "deploy" / "grafana-earshot.json"
RAY = (sys.executable, "-m", "ray.scripts.scripts")
ENDED = ("FAILED", "SUCCEEDED", "STOPPED")
METRICS_PORT = "metrics-export-port"
TOKEN = "0123456789abcdef" * 4
SPACE = """
methods:
  ede:
    base_epochs: 30
    incremental_epochs: 30
    incremental_lr: {loguniform: [3e-4, 3e-2]}
"""
PROTOCOL = ["--protocol", "free", "--base", "2", "--way", "2", "--shot", "3"]
LINE = re.compile(r"(ede-[0-9a-f]{8}-s0) session ([1-3])/3: validation [0-9.]+ %, (cached|[0-9.]+ s)")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Head:
    """A head with a dashboard.

    Attributes:
        process: of `ray start --block`.
        folder: of its files.
        dashboard: address.
        metrics: address of what Prometheus reads.
        environment: of its processes.
    """

    process: "subprocess.Popen[bytes]"
    folder: Path
    dashboard: str
    metrics: str
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """A document of the dashboard's REST API."""
        request = urllib.request.Request(self.dashboard + path, headers={"Authorization": f"Bearer {TOKEN}"})
        return json.load(urllib.request.urlopen(request, timeout=30))

    def exported(self) -> str:
        """All metrics of the node; empty if nothing answers."""
        try:
            return str(urllib.request.urlopen(self.metrics, timeout=10).read().decode())
        except OSError:
            return ""

    def titles(self) -> dict[int, str]:
        """Process number -> title."""
        titles = {}
        for process in descendants(self.process.pid):
            try:
                content = Path(f"/proc/{process}/cmdline").read_bytes()
            except OSError:
                continue
            titles[process] = content.rstrip(b"\0").decode(errors="replace")
        return titles

    def lines(self) -> set[tuple[str, str, str]]:
        """Trial, session and cost in the lines of the workers' logs."""
        logs = (self.folder / "r/session_latest/logs").glob("worker-*.out")
        return {found for log in logs for found in LINE.findall(log.read_text(errors="replace"))}


@pytest.fixture
def head() -> Iterator[Head]:
    """One node with a token, started as docs/cluster.md says."""
    with tempfile.TemporaryDirectory(prefix="er-", ignore_cleanup_errors=True) as name:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("EARSHOT_", "RAY_"))}
        environment = {
            **inherited,
            "HOME": name,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_agent_register_timeout_ms": "120000",
        }
        names = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port", METRICS_PORT)
        ports = dict(zip(names, free_ports(5), strict=True))
        options = [text for option, port in ports.items() for text in (f"--{option}", str(port))]
        place = ["--temp-dir", f"{name}/r", "--include-dashboard", "true", "--dashboard-host", "127.0.0.1"]
        with (Path(name) / "log").open("w") as log:
            process = subprocess.Popen(
                [*RAY, "start", "--head", "--block", "--num-cpus", "2", *place, *options],
                env=environment,
                cwd=name,
                stdout=log,
                stderr=log,
            )
        dashboard, metrics = (f"http://127.0.0.1:{ports[option]}" for option in ("dashboard-port", METRICS_PORT))
        try:
            head = Head(process, Path(name), dashboard, metrics, environment)
            wait_for(lambda: process.poll() is not None or "ray_" in head.exported(), 120)
            assert process.poll() is None, (Path(name) / "log").read_text()
            yield head
        finally:
            family = descendants(process.pid)
            process.terminate()
            process.wait(60)
            wait_for(lambda: not running(family), 30)


def test_a_job_in_the_dashboard_its_api_and_the_metrics(head: Head, tones: Path, tmp_path: Path) -> None:
    """Two configurations of EDE share a base session, so one waits for the other; a worker is killed."""
    (tmp_path / "space.yaml").write_text(SPACE)
    sweep = ["python", "-m", "orchestrator.sweep", "--address", "auto", "--benchmark", str(tones), *PROTOCOL]
    what = ["--space", str(tmp_path / "space.yaml"), "--seeds", "1", "--trials", "2"]
    command = [*sweep, *what, "--backbone", "random-tiny", "--name", "job", "--runs", str(tmp_path / "runs")]
    subprocess.run(
        [*RAY, "job", "submit", "--no-wait", "--submission-id", "mine", "--address", head.dashboard, "--", *command],
        env=head.environment,
        check=True,
        capture_output=True,
        timeout=120,
    )

    def job() -> str:
        return str(head.get("/api/jobs/mine")["status"])

    def worker() -> int | None:
        titles = [
            (number, re.fullmatch(r"ray::ede-[0-9a-f]{8}-s0 session ([23])/3", title))
            for number, title in head.titles().items()
        ]
        return next((number for number, found in titles if found), None)

    def log() -> str:
        return str(head.get("/api/jobs/mine/logs")["logs"])

    wait_for(lambda: worker() is not None or job() in ENDED, 240)
    victim = worker()
    assert victim is not None, log()
    actors = head.get("/api/v0/actors?detail=1")["data"]["result"]["result"]
    trials = [actor for actor in actors if actor["class_name"] == "ChainTrial"]
    assert trials and {actor["repr_name"] for actor in trials} <= {"", "ChainTrial"}
    assert "ChainTrial" in {actor["repr_name"] for actor in trials}
    os.kill(victim, signal.SIGKILL)

    expected = set(re.findall(r"\bray_\w+", GRAFANA.read_text()))
    missing = expected

    def ended() -> bool:
        nonlocal missing
        missing = missing - set(re.findall(r"^(ray_\w+)\{", head.exported(), re.MULTILINE))
        return not missing or job() in ENDED

    wait_for(ended, 240)
    wait_for(lambda: job() in ENDED, 240)
    assert job() == "SUCCEEDED", log()
    assert len(expected) == 6 and missing == set()
    assert {(trial, session) for trial, session, _ in head.lines()} == {
        (trial, session) for trial in {line[0] for line in head.lines()} for session in "123"
    }
    assert len({line[0] for line in head.lines()}) == 2
