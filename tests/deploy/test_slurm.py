"""The Slurm script: linted, and run with stand-ins for `srun` and `scontrol` that run commands on this machine."""

import os
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.processes import descendants, running, wait_for

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "deploy" / "slurm.sh"
SRUN = """#!/usr/bin/env bash
while [[ "$1" == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
echo "$@" >> "$REQUEUED"
"""


def test_shellcheck_finds_nothing() -> None:
    shellcheck = Path(sysconfig.get_path("scripts")) / "shellcheck"
    found = subprocess.run([shellcheck, SCRIPT], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with the stand-ins."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def submit(commands: Path, job: int, nodes: int, *sweep: str) -> "subprocess.Popen[str]":
    """Starts the script as Slurm does on the first node of a job."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "EARSHOT_"))}
    return subprocess.Popen(
        ["bash", SCRIPT, *sweep],
        cwd=commands,
        env={
            **environment,
            "PATH": f"{commands}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
            "SLURM_SUBMIT_DIR": str(REPOSITORY),
            "SLURM_JOB_ID": str(job),
            "SLURM_JOB_NUM_NODES": str(nodes),
            "SLURM_CPUS_PER_TASK": "1",
            "SLURMD_NODENAME": "this",
            "REQUEUED": str(commands / "requeued"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_job_that_is_taken_its_nodes_goes_on_with_two(tones: Path, tmp_path: Path, commands: Path) -> None:
    runs = tmp_path / "runs"
    rules = [
        "--method",
        "mfcc-ncm",
        "--protocol",
        "free",
        "--base",
        "2",
        "--way",
        "2",
        "--shot",
        "2",
        "--sessions",
        "2",
    ]
    size = ["--seeds", "2", "--trials", "1", "--name", "mine", "--runs", str(runs)]
    sweep = ["--benchmark", str(tones), *rules, *size]
    folders = set(Path("/tmp").glob("ear-????????"))
    job = os.getpid()

    taken = submit(commands, job, 1, *sweep)
    try:
        wait_for(lambda: taken.poll() is not None or list(runs.rglob("stage.json")), 120)
        family = descendants(taken.pid)
        taken.send_signal(signal.SIGTERM)
        output, _ = taken.communicate(timeout=60)
    finally:
        taken.kill()
    assert len(family) > 8 and taken.returncode != 0, output
    wait_for(lambda: not running(family), 30)

    again = submit(commands, job, 2, *sweep)
    try:
        wait_for(lambda: again.poll() is not None or list(runs.glob("mine/report/report.md")), 180)
        family = descendants(again.pid)
        output, _ = again.communicate(timeout=60)
    finally:
        again.kill()
    assert again.returncode == 0 and "2 trials" in output and " 0 found" not in output, output
    wait_for(lambda: not running(family), 30)
    assert set(Path("/tmp").glob("ear-????????")) <= folders
    assert not (commands / "requeued").exists()


@pytest.mark.slow
def test_a_sweep_that_has_used_up_its_budget_is_put_into_the_queue_again(
    tones: Path, tmp_path: Path, commands: Path
) -> None:
    sweep = ["--benchmark", str(tones), "--method", "mfcc-ncm", "--protocol", "free", "--base", "2", "--way", "2"]
    process = submit(commands, os.getpid(), 1, *sweep, "--budget", "0.001s", "--runs", str(tmp_path / "runs"))
    try:
        output, _ = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 3, output
    assert (commands / "requeued").read_text() == f"requeue {os.getpid()}\n"
