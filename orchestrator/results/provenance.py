"""Provenance of results: code, machine, start and duration."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from orchestrator.results.find_run import BEGAN

PACKAGES = ("torch", "torchaudio", "ray", "transformers")
GIT_TIMEOUT = 5.0  # seconds


def provenance(earlier: Any) -> dict[str, Any]:
    """The provenance that a launch of a sweep writes into sweep.json beside the configuration; no result depends on it.

    Args:
        earlier: provenance from an earlier launch of the sweep, of any type; start and wall time carry over.
    """
    earlier = earlier if isinstance(earlier, dict) else {}
    began, seconds = earlier.get("began"), earlier.get("seconds")
    return {
        "began": began if isinstance(began, str) else _now(),
        "seconds": float(seconds) if isinstance(seconds, int | float) else 0.0,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("earshot", *PACKAGES)},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def with_seconds(made: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The provenance of a launch at its end.

    Args:
        made: provenance at its start.
        seconds: wall time of the launch, added to that of earlier launches.
    """
    return {**made, "seconds": round(made["seconds"] + seconds, 1)}


def commit() -> str:
    """The commit of the code, with '+' if it was modified; the package version outside of a git checkout."""
    root = Path(__file__).resolve().parents[2]
    released = f"earshot {_version('earshot')}"
    if not (root / ".git").exists():
        return released
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return released
    return head + ("+" if changed else "")


def _now() -> str:
    return datetime.now(UTC).strftime(BEGAN[0])


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=GIT_TIMEOUT, check=True)
    return done.stdout.decode(errors="replace").strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
