"""Commands answer at once: what they import before they know what to do, counted by `python -X importtime`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchaudio", "transformers", "ray", "pandas", "scipy", "matplotlib", "optuna", "plotly")
NOWHERE = "nowhere/at-all"
WRONG_PATHS = {
    "prepare": ["folder", "--source", NOWHERE, "--out", "{out}"],
    "audit": [NOWHERE],
    "sweep": ["--config", f"{NOWHERE}.yaml"],
    "report": [NOWHERE],
    "compare": [NOWHERE],
    "export": [NOWHERE, "--out", "{out}"],
    "predict": [NOWHERE, "recording.wav"],
    "stages": ["ls", NOWHERE],
    "chain": ["--config", f"{NOWHERE}.yaml", "--out", "{out}"],
    "pretrain": ["--config", f"{NOWHERE}.yaml", "--out", "{out}"],
}


def imported(module: str, *arguments: str, status: int) -> set[str]:
    """Top-level packages that a command imported until it ended with `status`."""
    command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr[-2000:]
    return {name.split(".")[0] for name in re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, re.MULTILINE)}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 0), (["--version"], 0), (["--no-such-option"], 2)],
    ids=lambda value: str(value),
)
def test_help_version_and_typos(command: str, arguments: list[str], status: int) -> None:
    assert imported(COMMANDS[command][0], *arguments, status=status) & set(HEAVY) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_paths(command: str, tmp_path: Path) -> None:
    arguments = [word.format(out=tmp_path / "out") for word in WRONG_PATHS[command]]
    assert imported(COMMANDS[command][0], *arguments, status=2) & set(HEAVY) == set()


@pytest.mark.parametrize(
    ("command", "arguments", "status"),
    [
        ("prepare", ["folder", "--help"], 0),
        ("prepare", ["demo"], 2),  # no --out
        ("prepare", ["folder", "--source", NOWHERE, "--out", "{out}", "--train", "0"], 2),
        ("prepare", ["fsc89", "--source", ".", "--out", "{out}", "--meta", NOWHERE, "--vocabulary", NOWHERE], 2),
        ("audit", ["ls100-published", "--help"], 0),
        ("audit", ["ls100-published", "--meta", NOWHERE], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_options_of_corpora(command: str, arguments: list[str], status: int, tmp_path: Path) -> None:
    words = [word.format(out=tmp_path / "out") for word in arguments]
    assert imported(COMMANDS[command][0], *words, status=status) & set(HEAVY) == set()


def test_the_list_of_commands_and_completion() -> None:
    assert imported("orchestrator", "--help", status=0) & set(HEAVY) == set()
    assert imported("orchestrator", "swep", status=2) & set(HEAVY) == set()
