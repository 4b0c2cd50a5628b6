"""Audit of a benchmark: facts about its clips that affect how accuracies on it are to be interpreted.

    duplicates    the same audio under two labels, in two splits, or twice in one class and split
    similar       nearly the same audio in two splits
    sources       recordings, and groups of recordings, with clips in two splits
    levels        near-silent and clipped clips, the loudness of each class
    balance       clips per class and split
    ceilings      highest accuracy that identical clips allow, after each session

All functions take plain arrays with one row per clip, in the order of the clip ids; none reads audio.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from datasets.benchmark.ceiling import Ceiling, accuracy_ceilings, numbered
from datasets.benchmark.clips import ClipTable
from datasets.benchmark.fingerprint import nearest
from datasets.benchmark.groups import shared_stems
from datasets.benchmark.listing import Listing
from datasets.benchmark.manifest import SPLITS
from datasets.benchmark.measures import NEAR_SILENT_DB, Measures
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

SIMILAR = 0.985
"""Clips whose fingerprints have at least this similarity have nearly the same audio."""
SPLIT_PAIRS = (("train", "test"), ("train", "val"), ("val", "test"))


@dataclass(frozen=True)
class LabelPair:
    """Two labels with identical clips.

    Attributes:
        first: a label.
        second: a higher label.
        contents: number of different contents that clips of both labels have.
        clips: number of clips of the two labels with these contents, in train, val and test.
    """

    first: int
    second: int
    contents: int
    clips: tuple[int, ...]


@dataclass(frozen=True)
class Shared:
    """Overlap of two splits: contents (or sources) that occur in both.

    Attributes:
        first: a split.
        second: another split, which should not overlap with it.
        keys: number of contents (or sources) in both splits.
        of: number of contents (or sources) in the second split.
        positions: clips of the second split whose content (or source) is in both.
        by_label: number of these clips, by label.
    """

    first: str
    second: str
    keys: int
    of: int
    positions: tuple[int, ...]
    by_label: tuple[int, ...]


@dataclass(frozen=True)
class Similar:
    """Nearly identical audio in two splits, see `similar`.

    Attributes:
        first: a split.
        second: another split, which should not overlap with it.
        positions: clips of the second split with nearly the audio of a clip of the first.
        partners: for each of these clips, the most similar clip of the first split.
        similarity: for each of these clips, of the fingerprints, at most 1.
        by_label: number of these clips, by label.
    """

    first: str
    second: str
    positions: tuple[int, ...]
    partners: tuple[int, ...]
    similarity: tuple[float, ...]
    by_label: tuple[int, ...]


@dataclass(frozen=True)
class Balance:
    """Clips per class in one split.

    Attributes:
        part: 'base' or 'novel' classes, or 'all' if the benchmark defines no base classes.
        split: of the clips.
        least: number of clips of the smallest class.
        median: over the classes.
        most: number of clips of the largest class.
    """

    part: str
    split: str
    least: int
    median: float
    most: int

    @property
    def ratio(self) -> float:
        """Ratio of `most` to `least`; infinite if a class has no clips."""
        return self.most / self.least if self.least else np.inf


@dataclass(frozen=True)
class Audit:
    """All facts of an audit, as plain data.

    Attributes:
        name: name of the benchmark.
        clips: all clips, with their sources and contents.
        measures: measurements of their audio; None for an audit without audio.
        counts: clips of each class in train, val and test, int64 [classes, 3].
        pairs: labels with identical clips.
        splits: identical audio in two splits, for each of `SPLIT_PAIRS`.
        repeats: positions of clips with the same audio as an earlier clip of the same class and split.
        similar: nearly identical audio in two splits, for each of `SPLIT_PAIRS`; None without audio.
        sources: recordings with clips in two splits, for each of `SPLIT_PAIRS`.
        groups: groups of recordings with clips in two splits, likewise; None if no groups were given.
        ungrouped: labels of the classes whose recordings have no groups.
        stems: names of recordings of ungrouped classes that share a stem and have clips in two splits, likewise.
        stem_of: by position, the stem that the recording shares with others of its class; else the recording.
        balance: clips per class.
        loudness: of each class, see `class_loudness`; None without audio.
        ceiling: over all test clips and classes at once, as a fraction of one; NaN without test clips.
        ceilings: after each session, under protocols.
    """

    name: str
    clips: Listing
    measures: Measures | None
    counts: np.ndarray
    pairs: tuple[LabelPair, ...]
    splits: tuple[Shared, ...]
    repeats: tuple[int, ...]
    similar: tuple[Similar, ...] | None
    sources: tuple[Shared, ...]
    groups: tuple[Shared, ...] | None
    ungrouped: tuple[int, ...]
    stems: tuple[Shared, ...]
    stem_of: tuple[str, ...]
    balance: tuple[Balance, ...]
    loudness: np.ndarray | None
    ceiling: float
    ceilings: tuple[Ceiling, ...]


def examine(name: str, clips: Listing, ceilings: Iterable[Ceiling] = (), measures: Measures | None = None) -> Audit:
    """Computes all facts.

    Args:
        name: name of the benchmark.
        clips: every clip, with its source and content.
        ceilings: see `protocol_ceiling`.
        measures: measurements of the audio of the clips; None without audio.

    Raises:
        EarshotError: there are no clips.
    """
    table = clips.table
    if not len(table):
        raise EarshotError(f"{printable(name)}: expected clips, found none; prepare the benchmark again")
    classes = len(table.class_names)
    counts = np.stack([np.bincount(table.labels[table.splits == s], minlength=classes) for s in SPLITS], axis=1)
    ungrouped = ungrouped_classes(clips)
    stem_of = shared_stem_of(clips, ungrouped)
    return Audit(
        name=name,
        clips=clips,
        measures=measures,
        counts=counts,
        pairs=label_pairs(clips.contents, table),
        splits=tuple(shared(clips.contents, table, first, second) for first, second in SPLIT_PAIRS),
        repeats=repeats(clips.contents, table),
        similar=None if measures is None else tuple(similar(measures, table, *pair) for pair in SPLIT_PAIRS),
        sources=tuple(shared(clips.sources, table, first, second) for first, second in SPLIT_PAIRS),
        groups=None if clips.groups is None else tuple(shared(clips.groups, table, *pair) for pair in SPLIT_PAIRS),
        ungrouped=ungrouped,
        stems=tuple(shared(stem_of, table, first, second) for first, second in SPLIT_PAIRS),
        stem_of=stem_of,
        balance=balance(counts, clips.base_classes),
        loudness=None if measures is None else class_loudness(measures.rms_db, table.labels, classes),
        ceiling=accuracy_ceilings(clips.contents, table, [range(classes)])[0],
        ceilings=tuple(ceilings),
    )


def class_loudness(rms_db: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean and sample standard deviation (ddof 1) of the RMS of each class in dBFS, float64 [classes, 2].

    Near-silent clips are excluded, as a single one would dominate the mean; NaN if too few clips remain.
    """
    statistics = np.full((classes, 2), np.nan)
    for label in range(classes):
        levels = rms_db[(labels == label) & (rms_db >= NEAR_SILENT_DB)]
        if len(levels):
            statistics[label, 0] = levels.mean()
        if len(levels) > 1:
            statistics[label, 1] = levels.std(ddof=1)
    return statistics


def label_pairs(contents: Sequence[Hashable], table: ClipTable) -> tuple[LabelPair, ...]:
    """The pairs of labels with identical clips, sorted by label.

    Args:
        contents: by position, equal where two clips have the same audio.
        table: the clips.
    """
    # Clips are counted before labels are paired: many clips of many classes may be silent.
    clips_of: dict[Hashable, dict[int, list[int]]] = {}
    for content, label, split in zip(contents, table.labels.tolist(), table.splits.tolist(), strict=True):
        clips_of.setdefault(content, {}).setdefault(label, [0] * len(SPLITS))[SPLITS.index(split)] += 1
    distinct: Counter[tuple[int, int]] = Counter()
    clips: dict[tuple[int, int], list[int]] = {}
    for by_label in clips_of.values():
        for pair in combinations(sorted(by_label), 2):
            distinct[pair] += 1
            previous = clips.get(pair, [0] * len(SPLITS))
            clips[pair] = [sum(counts) for counts in zip(previous, *(by_label[label] for label in pair), strict=True)]
    return tuple(LabelPair(*pair, distinct[pair], tuple(clips[pair])) for pair in sorted(distinct))


def shared(keys: Sequence[Hashable], table: ClipTable, first: str, second: str) -> Shared:
    """Contents (or sources) that occur in both splits.

    Args:
        keys: by position: contents, or sources.
        table: the clips.
        first: a split.
        second: another split.
    """
    codes = numbered(keys)
    in_second = table.splits == second
    in_both = in_second & np.isin(codes, codes[table.splits == first])
    return Shared(
        first=first,
        second=second,
        keys=len(np.unique(codes[in_both])),
        of=len(np.unique(codes[in_second])),
        positions=tuple(np.flatnonzero(in_both).tolist()),
        by_label=tuple(np.bincount(table.labels[in_both], minlength=len(table.class_names)).tolist()),
    )


def similar(measures: Measures, table: ClipTable, first: str, second: str) -> Similar:
    """Clips of the second split with nearly the audio of a clip of the first, by their fingerprints.

    Near-silent clips, and clips whose very audio is in the first split, are left out.

    Args:
        measures: of all clips.
        table: the clips.
        first: a split.
        second: another split.
    """
    loud = measures.rms_db >= NEAR_SILENT_DB
    before = np.flatnonzero((table.splits == first) & loud)
    identical = np.isin(measures.contents, measures.contents[before])
    after = np.flatnonzero((table.splits == second) & loud & ~identical)
    rows, values = np.zeros(0, np.int64), np.zeros(0, np.float32)
    if len(before):
        rows, values = nearest(measures.fingerprints[before], measures.fingerprints[after])
    chosen = np.flatnonzero(values >= SIMILAR)
    positions = after[chosen]
    return Similar(
        first=first,
        second=second,
        positions=tuple(positions.tolist()),
        partners=tuple(before[rows[chosen]].tolist()),
        similarity=tuple(np.minimum(values[chosen], 1).tolist()),
        by_label=tuple(np.bincount(table.labels[positions], minlength=len(table.class_names)).tolist()),
    )


def ungrouped_classes(clips: Listing) -> tuple[int, ...]:
    """Labels of the classes whose recordings have no groups: each is its own group."""
    labels = clips.table.labels.tolist()
    if clips.groups is None:
        return tuple(range(len(clips.table.class_names)))
    grouped = {
        label for label, source, group in zip(labels, clips.sources, clips.groups, strict=True) if source != group
    }
    return tuple(label for label in range(len(clips.table.class_names)) if label not in grouped)


def shared_stem_of(clips: Listing, labels: Collection[int]) -> tuple[str, ...]:
    """By position: the stem that the recording of the clip shares with others of its class; else the recording.

    Args:
        clips: of the benchmark.
        labels: the classes to look at.
    """
    paths: dict[int, set[str]] = {label: set() for label in labels}
    for label, source in zip(clips.table.labels.tolist(), clips.sources, strict=True):
        if label in paths:
            paths[label].add(source)
    stems = {label: shared_stems(sorted(found)) or {} for label, found in paths.items()}
    return tuple(
        stems.get(label, {}).get(source, source)
        for label, source in zip(clips.table.labels.tolist(), clips.sources, strict=True)
    )


def repeats(contents: Sequence[Hashable], table: ClipTable) -> tuple[int, ...]:
    """Positions of the clips with the same audio as an earlier clip of the same class and split."""
    seen: set[tuple[Hashable, int, str]] = set()
    positions = []
    for position, key in enumerate(zip(contents, table.labels.tolist(), table.splits.tolist(), strict=True)):
        if key in seen:
            positions.append(position)
        seen.add(key)
    return tuple(positions)


def balance(counts: np.ndarray, base_classes: int | None) -> tuple[Balance, ...]:
    """Minimum, median and maximum number of clips of a class, separately for base and novel classes.

    Args:
        counts: int64 [classes, splits].
        base_classes: the first so many classes are base classes.

    Returns:
        One entry for each part and split with clips.
    """
    parts = {"base": counts[:base_classes], "novel": counts[base_classes:]} if base_classes else {"all": counts}
    return tuple(
        Balance(part, split, int(column.min()), float(np.median(column)), int(column.max()))
        for part, rows in parts.items()
        for split, column in zip(SPLITS, rows.T, strict=True)
        if column.any()
    )
