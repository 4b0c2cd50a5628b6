"""The labels of recordings: which one of several is meant, and which are probably mistakes."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from datasets.utils.text import plural, printable

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


def overlap_doubts(parts: Iterable[tuple[str, tuple[float, float] | None, str, str]]) -> Iterator[str]:
    """Yields a sentence if parts of a recording overlap that have different labels; their clips would share audio.

    Args:
        parts: recording, begin and end in seconds (None: all of it), label and place of each.
    """
    of_recording: dict[str, list[tuple[tuple[float, float], str, str]]] = {}
    for path, seconds, label, place in parts:
        of_recording.setdefault(path, []).append((seconds or (0.0, math.inf), label, place))
    found = [(path, pair) for path, of_path in of_recording.items() if (pair := _overlap(of_path))]
    if found:
        path, pair = found[0]
        first, second = (
            f"{printable(label)!r} ({'all of it' if end == math.inf else f'{start:g} to {end:g} s'}, {place})"
            for (start, end), label, place in pair
        )
        yield (
            f"{plural(len(found), 'recording')} with parts that overlap and have different labels, such as "
            f"{printable(path)}: {first} and {second}; correct the table"
        )


def _overlap(parts: list[tuple[tuple[float, float], str, str]]) -> list[tuple[tuple[float, float], str, str]]:
    """Two parts of one recording with different labels, the earlier one first; none if these do not overlap."""
    parts = sorted(parts)
    last = parts[0]  # up to now, that with the latest end; parts with another label end before it begins
    for part in parts:
        if part[1] != last[1] and part[0][0] < last[0][1]:
            return [last, part]
        last = max(last, part, key=lambda one: one[0][1])
    return []


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
        classes.setdefault(plain_label(label), []).append(label)
    for spellings in classes.values():
        if len(spellings) > 1:
            texts = ", ".join(found[label] for label in spellings)
            yield f"labels that look like spellings of one class: {texts}; {advice}"


def plain_label(label: str) -> str:
    """What all spellings of a label have in common."""
    if WHOLE.fullmatch(label):
        return str(int(float(label)))  # 7 and 007
    text = unicodedata.normalize("NFKC", label).casefold().replace("_", " ").replace("-", " ")
    visible = text if text.isascii() else "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(visible.split())
