"""Packages of the registry for a process of their own, beside those of the test environment.

The library `datasets` of Hugging Face has the name of our package, so the two cannot be imported in one process.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_NO_CONNECTION = ("after connection broken by", "ReadTimeoutError", "Failed to establish a new connection")
"""How pip and its library urllib3 report a registry that does not answer."""


def install(target: Path, requirements: Sequence[str]) -> Path:
    """Installs packages without what they depend on, which the test environment has.

    Skips the test if the registry cannot be reached; fails it if the installation fails for another reason.

    Args:
        target: folder of the packages.
        requirements: with their versions.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    more = ["--retries=1", "--timeout=15", "--target", str(target)]
    process = subprocess.run([*command, *more, *requirements], capture_output=True, text=True, timeout=300)
    if process.returncode:
        reason = (process.stderr.strip() or "no message").splitlines()[-1]
        problem = f"needs {', '.join(requirements)} from the package registry: {reason}"
        if any(text in process.stderr for text in _NO_CONNECTION):
            pytest.skip(problem)
        pytest.fail(problem)
    return target


def run_beside(packages: Path, code: str, folder: Path, *arguments: str) -> str:
    """Runs Python code that imports these packages and those of the test environment, but none of ours.

    Args:
        packages: see `install`.
        code: of the program.
        folder: its working directory.
        arguments: of the program.

    Returns:
        What it printed.
    """
    environment = {**os.environ, "PYTHONPATH": str(packages), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
