"""Words that this project once used in a private sense, and that its names, messages and pages do without.

Plain words instead: "prints" or "reports" for "told", "fix" for "mend", "temporary" for
"aside", "rejects" for "refuses", "cached" for what was already in the store.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRIVATE = re.compile(
    r"\b(told|foretold|foretells?|mend(s|ed)?|lest|moot|spoken(?![ -](digit|sentence))|whoever|somebody|anticipates?"
    r"|refuse[sd]?|for ever|goes on)\b",
    re.IGNORECASE,
)
FOLDERS = (
    "datasets",
    "trainables",
    "orchestrator",
    "search_spaces",
    "recipes",
    "earshot",
    "benchmarks",
    "deploy",
    "docs",
    "tests",
)
SUFFIXES = {".py", ".md", ".yaml", ".yml", ".j2", ".js", ".css", ".sh"}
FILES = [
    *(
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES and path != Path(__file__)
    ),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "mkdocs.yml", "pyproject.toml")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plain_words(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if PRIVATE.search(line)] == []
