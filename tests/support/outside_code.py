"""Code from outside of Earshot, as docs/extending.md shows it: files, and a distribution with entry points."""

import re
from collections.abc import Mapping
from pathlib import Path

from tests.support.documented_commands import ROOT

PAGE = ROOT / "docs/extending.md"


def write_examples(folder: Path) -> Path:
    """Writes the Python files of the page that have a name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in re.findall(r"```python\n# (\w+\.py)[^\n]*\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        (folder / name).write_text(code)
    return folder


def write_distribution(folder: Path, name: str, points: Mapping[str, Mapping[str, str]]) -> None:
    """Writes the metadata of a distribution, as `pip install` leaves it in a folder of Python's path.

    Args:
        folder: on Python's path.
        name: of the distribution.
        points: group of entry points -> name -> value.
    """
    place = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()), ""]
    (place / "entry_points.txt").write_text("\n".join(lines))
