"""Is a recording whole? What the file formats promise, against the bytes that are there.

Placeholder until the walkers are written.
"""

from pathlib import Path


def truncation(path: Path) -> str | None:
    """Why the file is not whole; None when nothing says so."""
    return None
