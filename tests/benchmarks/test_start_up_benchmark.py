"""The benchmark of start-up: what it measures, and that its rows are commands that exist."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import start_up
from orchestrator.__main__ import COMMANDS


def test_cpu_seconds_and_memory_of_a_process(tmp_path: Path) -> None:
    (tmp_path / "idle.py").write_text("import time\ntime.sleep(0.3)\n")
    (tmp_path / "busy.py").write_text("block = bytearray(200_000_000)\nfor _ in range(20_000_000):\n    pass\n")
    # in a process of its own: Linux counts the parent's memory at the fork as the child's
    program = (
        "from pathlib import Path; from benchmarks.start_up import measured; "
        f"print([measured(Path({str(tmp_path)!r}), [name]) for name in ('idle', 'busy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=start_up.ROOT, capture_output=True, text=True, check=True
    )
    idle, busy = ast.literal_eval(done.stdout)
    assert busy[0] > idle[0], "CPU seconds, not wall seconds"
    assert busy[1] > 200 > idle[1], "peak resident memory in MB"


def test_every_command_has_a_row() -> None:
    rows = start_up.rows(Path("run"), Path("model"), Path("recording.wav"))
    modules = {arguments[0] for arguments in rows.values()}
    assert modules == {module for module, _ in COMMANDS.values()} | {"orchestrator"}


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(start_up, "rows", lambda *_: {"stages --help": ["orchestrator.stages", "--help"]})
    monkeypatch.setattr(sys, "argv", ["start_up", "--before", str(start_up.ROOT), "--repeat", "1"])
    assert start_up.main() == 0
    header, _, row = capsys.readouterr().out.splitlines()
    assert header.count("|") == row.count("|") == 7
    assert row.startswith("| `stages --help` | ")
