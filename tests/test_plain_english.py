"""Words that this project once used in a private sense, and that its names, messages and pages do without.

Plain words instead: "prints" or "reports" for "told", "fix" for "mend", "temporary" for
"aside", "rejects" for "refuses", "cached" for what was already in the store.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRIVATE = re.compile(
    r"\b(told|foretold|foretells?|mend(s|ed)?|lest|moot|spoken|whoever|somebody|anticipates?|refuse[sd]?)\b",
    re.IGNORECASE,
)
FOLDERS = ("datasets", "trainables", "orchestrator", "search_spaces", "earshot", "benchmarks")
FILES = [
    *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plain_words(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if PRIVATE.search(line)] == []
