"""Sweeps as processes of their own: started, watched, killed, resumed; and what must not be left of them."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import wait_for
from trainables.records import TrialRecord

SPACE = """
methods:
  ede:
    base_epochs: 2
    incremental_epochs: {epochs}
    incremental_lr: {{choice: [0.001, 0.01]}}
  simplecil: {{}}
"""
PROTOCOL = ["--protocol", "free", "--base", "2", "--way", "2", "--shot", "3"]


def command(tones: Path, runs: Path, *more: str, epochs: int = 2) -> list[str]:
    """A sweep of 3 configurations x 2 seeds, 3 sessions each, in RUNS/run."""
    runs.mkdir(exist_ok=True)
    space = runs / "space.yaml"
    space.write_text(SPACE.format(epochs=epochs))
    where = ["--benchmark", str(tones), "--space", str(space), "--runs", str(runs), "--name", "run"]
    return [sys.executable, "-m", "orchestrator.sweep", *where, "--seeds", "2", *PROTOCOL, *more]


def resume(runs: Path, *more: str) -> list[str]:
    """What goes on with it."""
    return [sys.executable, "-m", "orchestrator.sweep", "--resume", str(runs / "run"), *more]


def run(arguments: list[str], expect: int = 0, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command to its end; what it printed."""
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def start(arguments: list[str], mark: Path, **environment: str) -> "subprocess.Popen[str]":
    """Starts a command; all its processes carry `mark` in their environment."""
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "EARSHOT_TEST_MARK": str(mark), **environment},
    )


def predictions(runs: Path) -> dict[str, str]:
    """Digests of all prediction files of RUNS/run."""
    folder = runs / "run" / "trials"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*/session-*.parquet"))
    }


def records(runs: Path) -> list[TrialRecord]:
    """The records of all trials of RUNS/run."""
    return [TrialRecord.load(path.parent) for path in sorted((runs / "run" / "trials").glob("*/trial.json"))]


def stages(runs: Path) -> dict[str, int]:
    """When the session of each stage was computed, by address."""
    return {path.parent.name: path.stat().st_ino for path in runs.glob("store/stages/*/*/stage.json")}


def wait_for_stages(driver: "subprocess.Popen[str]", runs: Path, count: int) -> None:
    """Waits until so many sessions are finished, which must be before the sweep is."""
    wait_for(lambda: len(stages(runs)) >= count or driver.poll() is not None, 180)
    assert driver.poll() is None, driver.communicate()[0]


def processes_with(mark: Path) -> list[int]:
    """Processes of this machine that were started with a mark, and live."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if f"EARSHOT_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def left_over(runs: Path) -> list[Path]:
    """Leases and locks."""
    return [path for path in runs.rglob("*") if path.name.endswith((".lease", ".lock"))]
