"""What the packages import is declared in pyproject.toml, and what is declared is imported."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("datasets", "trainables", "orchestrator", "search_spaces", "recipes", "earshot")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
UNLISTED = {"scaper": "scaper", "soxbindings": "scaper", "imageio_ffmpeg": "imageio-ffmpeg"}
"""Modules of the extras [fsd] and [ffmpeg], which need not be installed here."""


def canonical(requirement: str) -> str:
    """The name of a distribution in a requirement, as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement)[0]).lower()


def imported_distributions() -> dict[str, str]:
    """Distribution of every library that our packages import -> one file that does."""
    distributions, found = packages_distributions(), {}
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                for name in {name.split(".")[0] for name in names} - set(OURS) - set(sys.stdlib_module_names):
                    distribution = UNLISTED.get(name) or distributions[name][0]
                    found[canonical(distribution)] = str(path.relative_to(ROOT))
    return found


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    imported = imported_distributions()
    required = {canonical(one) for one in PROJECT["dependencies"]}
    optional = {
        canonical(one)
        for extra, requirements in PROJECT["optional-dependencies"].items()
        if extra not in ("test", "docs")
        for one in requirements
    }
    assert set(imported) - required - optional == set(), imported
    assert required - set(imported) == set(), "declared, and no module imports it"
