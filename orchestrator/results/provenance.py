"""Where results come from: which code, on what machine, when and for how long."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "ray", "transformers")
PATIENCE = 5.0  # seconds for git


def provenance(before: Any, seconds: float = 0.0) -> dict[str, Any]:
    """What is written into sweep.json beside the configuration; nothing depends on it.

    Args:
        before: what an earlier launch wrote, whatever it is.
        seconds: wall time to be added to that of earlier launches.
    """
    earlier = before if isinstance(before, dict) else {}
    spent = earlier.get("seconds", 0.0)
    began = earlier.get("began")
    return {
        "began": began if isinstance(began, str) else datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round((spent if isinstance(spent, int | float) else 0.0) + seconds, 1),
        "commit": commit(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("earshot", *PACKAGES)},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def commit() -> str:
    """The code's commit, '+' where it was changed since; the package's version where it is no checkout."""
    root = Path(__file__).resolve().parents[2]
    released = f"earshot {_version('earshot')}"
    if not (root / ".git").exists():
        return released
    try:
        found = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return released
    return found + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, timeout=PATIENCE, check=True)
    return done.stdout.decode(errors="replace").strip()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
