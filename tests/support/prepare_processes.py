"""Shared by the tests of prepare: speech in the layout of LibriSpeech, and the command as a process."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

REPOSITORY = Path(__file__).parents[2]
RATE = 16000
OPTIONS = {"clip_seconds": 0.5, "train": 4, "val": 1, "test": 2, "loudness": False}
FLAGS = [f"--{key}={value}".replace("_", "-") for key, value in OPTIONS.items() if key != "loudness"]


def speech(root: Path, speakers: int = 4, seconds: float = 1.0) -> Path:
    """Writes speech in the layout of LibriSpeech, with four utterances per speaker."""
    for speaker in range(speakers):
        folder = root / f"{speaker}/1"
        folder.mkdir(parents=True)
        for number in range(4):
            random = np.random.default_rng(100 * speaker + number)
            samples = random.uniform(-0.5, 0.5, round(seconds * RATE))
            soundfile.write(folder / f"{speaker}-1-{number:04d}.flac", samples, RATE, subtype="PCM_16")
    return root


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "shards").iterdir())}


def start(source: Path, out: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.prepare", "librispeech", f"--source={source}", f"--out={out}",
         *FLAGS, *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_enable_interrupts,
    )  # fmt: skip


def _enable_interrupts() -> None:
    """If a shell starts the tests in the background, they and their child processes ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def workers_below(driver: int, title: str) -> list[int]:
    """Descendants of a driver whose title starts with `title`: Ray names its workers after their tasks."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
            command = path.with_name("cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        parents[int(path.parent.name)] = (int(fields[1]), command)
    workers = []
    for pid, (_, command) in parents.items():
        ancestor = pid
        while ancestor in parents and ancestor != driver:
            ancestor = parents[ancestor][0]
        if ancestor == driver and command.startswith(title):
            workers.append(pid)
    assert workers
    return workers
