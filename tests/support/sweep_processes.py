"""Sweeps as separate processes: started, killed, resumed; and the processes and files that they leave."""

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


def command(tones: Path, runs: Path, *options: str, epochs: int = 2, space: str = SPACE) -> list[str]:
    """A sweep of 3 configurations x 2 seeds, 3 sessions each, in RUNS/run.

    Args:
        tones: the benchmark.
        runs: folder of the run; is created, and gets the search space.
        options: more options; the last of each counts.
        epochs: of an incremental session.
        space: the search space, YAML.
    """
    runs.mkdir(exist_ok=True)
    path = runs / "space.yaml"
    path.write_text(space.format(epochs=epochs) if space is SPACE else space)
    folders = ["--benchmark", str(tones), "--space", str(path), "--runs", str(runs), "--name", "run"]
    return [sys.executable, "-m", "orchestrator.sweep", *folders, "--seeds", "2", *PROTOCOL, *options]


def resume(runs: Path, *options: str) -> list[str]:
    """The command that resumes the sweep of `command`."""
    return [sys.executable, "-m", "orchestrator.sweep", "--resume", str(runs / "run"), *options]


def run(arguments: list[str], expect: int = 0, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command to its end.

    Returns:
        its output, standard error last.
    """
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
    """Starts a command.

    All its processes have `mark`, a folder, in their environment. Libraries leave temporary folders behind when their
    process is killed (W&B, which Tune imports where it is installed, two of them); they are created beside `mark`.
    """
    temporary = mark.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "EARSHOT_TEST_MARK": str(mark), "TMPDIR": str(temporary), **environment},
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
    """Inode of each stage's description, by address; it changes if the session is computed again."""
    return {path.parent.name: path.stat().st_ino for path in runs.glob("store/stages/*/*/stage.json")}


def wait_for_stages(driver: "subprocess.Popen[str]", runs: Path, count: int) -> None:
    """Waits until at least `count` sessions are completed while the sweep still runs."""
    wait_for(lambda: len(stages(runs)) >= count or driver.poll() is not None, 180)
    assert driver.poll() is None, driver.communicate()[0]


def processes_with(mark: Path) -> list[int]:
    """Running processes of this machine that were started with a mark."""
    processes = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if f"EARSHOT_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    processes.append(int(folder.name))
            except OSError:
                continue
    return processes


def left_over(runs: Path) -> list[Path]:
    """Leases and locks below a folder."""
    return [path for path in runs.rglob("*") if path.name.endswith((".lease", ".lock"))]
