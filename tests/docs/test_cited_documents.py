"""Documents that the code refers to are in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("datasets", "trainables", "orchestrator", "search_spaces", "recipes", "benchmarks")
DOCUMENT = re.compile(r"(?<![\w/.])((?:docs/)[\w-]+\.md|[A-Z]{2,}\.md)\b")
"""A page of `docs/`, or a document in capitals, as those in the root of the repository."""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_cited_document_is_in_the_repository(package: str) -> None:
    absent = [
        f"{path.relative_to(ROOT)}: {document}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for document in DOCUMENT.findall(path.read_text())
        if not (ROOT / document).is_file()
    ]
    assert not absent


def test_a_citation_is_recognised() -> None:
    assert DOCUMENT.findall("see METHODS.md, section 6, docs/metrics.md and DIR/README.md") == [
        "METHODS.md",
        "docs/metrics.md",
    ]
