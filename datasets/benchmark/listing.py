"""A listing: the clips that published lists name, without any audio."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from datasets.benchmark.shards import ClipTable
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable


@dataclass(frozen=True)
class Listing:
    """What lists alone tell about a benchmark.

    Attributes:
        table: ids, labels, splits; a clip's position is its row there.
        sources: by position, the recording (utterance, file, soundscape) that the clip was cut from.
        contents: by position, equal exactly where two clips are the same audio.
        base_classes: how many classes are base classes by the benchmark's definition.
        clip_seconds: length of every clip.
    """

    table: ClipTable
    sources: tuple[str, ...]
    contents: tuple[str, ...]
    base_classes: int | None
    clip_seconds: float


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
        base_classes: of the benchmark.
        clip_seconds: length of every clip.

    Raises:
        EarshotError: two rows have the same clip id.
    """
    ordered = sorted(rows, key=lambda row: row[0])
    for left, right in pairwise(ordered):
        if left[0] == right[0]:
            raise EarshotError(f"clip id {printable(left[0])!r}: expected once, found twice; mend the lists")
    ids, splits, labels, sources, contents = zip(*ordered, strict=True) if ordered else ((), (), (), (), ())
    table = ClipTable(ids, np.array(labels, np.int32), np.array(splits, dtype="U5"), tuple(class_names))
    return Listing(table, sources, contents, base_classes, clip_seconds)
