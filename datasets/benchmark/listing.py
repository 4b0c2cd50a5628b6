"""A listing: the clips of a benchmark as its published lists name them, without audio."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from datasets.benchmark.clips import ClipTable
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable


@dataclass(frozen=True)
class Listing:
    """Clips with their sources and contents.

    Attributes:
        table: ids, labels, splits; the position of a clip is its row here.
        sources: by position, the recording (utterance, file, soundscape) that the clip was cut from.
        contents: by position, equal if and only if two clips have the same audio.
        base_classes: number of base classes by the benchmark's definition; None if it defines none.
        clip_seconds: length of every clip.
        groups: by position, the same for recordings that were kept in one split; None if there are no groups.
    """

    table: ClipTable
    sources: tuple[str, ...]
    contents: tuple[str, ...]
    base_classes: int | None
    clip_seconds: float
    groups: tuple[str, ...] | None = None


def make_listing(
    rows: Iterable[tuple[str, str, int, str, str]],
    class_names: Sequence[str],
    base_classes: int | None,
    clip_seconds: float,
) -> Listing:
    """Sorts rows by clip id.

    Args:
        rows: (clip id, split, label, source, content) of each clip.
        class_names: by label.
        base_classes: see `Listing`.
        clip_seconds: length of every clip.

    Raises:
        EarshotError: two rows have the same clip id.
    """
    ordered = sorted(rows, key=lambda row: row[0])
    for left, right in pairwise(ordered):
        if left[0] == right[0]:
            raise EarshotError(f"clip id {printable(left[0])!r}: expected once, found twice; fix the lists")
    ids, splits, labels, sources, contents = zip(*ordered, strict=True) if ordered else ((), (), (), (), ())
    table = ClipTable(ids, np.array(labels, np.int32), np.array(splits, dtype="U5"), tuple(class_names))
    return Listing(table, sources, contents, base_classes, clip_seconds)
