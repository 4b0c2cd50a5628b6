"""The labels of recordings: which one of several is meant, and which are probably mistakes."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from datasets.utils.text import printable

MAX_LABEL = 1000
"""Characters of a label: a longer one is a cell of another column, or a quote that was not closed."""

WHOLE = re.compile(r"-?[0-9]{1,15}(?:\.0*)?")
"""A whole number."""
_LIKE_MISSING = frozenset({"na", "n/a", "#n/a", "<na>", "null", "none"})


def most_specific(rows: Sequence[Sequence[str]]) -> Callable[[list[str]], str | None]:
    """Finds the label that never comes without the others of a row.

    If every label comes with all its ancestors in a hierarchy, this is the only leaf of the row.
    """
    count = Counter(label for labels in rows for label in labels)
    together = Counter((one, other) for labels in rows for one in labels for other in labels)

    def specific(labels: list[str]) -> str | None:
        found = [one for one in labels if all(together[one, other] == count[one] for other in labels)]
        return min(found, key=lambda label: count[label]) if found else None

    return specific


def label_doubts(labels: Iterable[tuple[str, str]], column: str) -> Iterator[str]:
    """Yields a sentence for labels of a table that are probably mistakes, and for a single class.

    Args:
        labels: label and place of each recording.
        column: that has them, for the messages.
    """
    found = _described(labels)
    yield from _spellings(found, "correct the table")
    for label, text in found.items():
        if label.lower() in _LIKE_MISSING:
            yield f"{column}: a label that looks like a missing value, {text}; empty these cells"
    if len(found) == 1:
        yield f"{column}: {next(iter(found.values()))} is the only class; check which column is the class"


def spelling_doubts(classes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yields a sentence for classes whose names are probably spellings of one, such as the folders `cat` and `Cat`.

    Args:
        classes: the files of each class.
    """
    labels = ((name, printable(paths[0])) for name, paths in sorted(classes.items()) for _ in paths)
    yield from _spellings(_described(labels), "rename the files or folders")


def _described(labels: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By label, its name, number and first place for a message."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for label, place in labels:
        counts[label] += 1
        first.setdefault(label, place)
    return {label: f"{printable(label)!r} ({counts[label]}, first in {place})" for label, place in first.items()}


def _spellings(found: Mapping[str, str], advice: str) -> Iterator[str]:
    classes: dict[str, list[str]] = {}
    for label in found:
        classes.setdefault(_plain(label), []).append(label)
    for spellings in classes.values():
        if len(spellings) > 1:
            texts = ", ".join(found[label] for label in spellings)
            yield f"labels that look like spellings of one class: {texts}; {advice}"


def _plain(label: str) -> str:
    """What all spellings of a label have in common."""
    if WHOLE.fullmatch(label):
        return str(int(float(label)))  # 7 and 007
    text = unicodedata.normalize("NFKC", label).casefold().replace("_", " ").replace("-", " ")
    visible = text if text.isascii() else "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(visible.split())
