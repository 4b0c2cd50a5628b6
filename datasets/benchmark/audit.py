"""An audit: facts about the clips of a benchmark that decide what an accuracy on it means.

    duplicates    the same audio under two labels, in two splits, or twice in one class and split
    sources       recordings that supply clips of two splits
    levels        near-silent and clipped clips, the loudness of each class
    balance       clips per class and split
    ceilings      the accuracy that identical clips allow, after each session

Works on plain arrays with a row per clip, in the order of the clip ids; only `measure` looks at audio.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from datasets.benchmark.listing import Listing
from datasets.benchmark.manifest import SPLITS
from datasets.benchmark.shards import ClipTable
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable

NEAR_SILENT_DB = -60.0
"""A clip of lower RMS than this, in dBFS, is near-silent."""
FULL_SCALE = 32767
"""A sample of this absolute value or more, at 16 bit, is at full scale."""
CLIPPED_RUN = 3
"""A clip is clipped where so many samples in a row are at full scale: single peaks may touch it in good audio."""
SPLIT_PAIRS = (("train", "test"), ("train", "val"), ("val", "test"))


@dataclass(frozen=True)
class Measures:
    """What was measured on the audio of each clip, as arrays [clips].

    Attributes:
        contents: hexadecimal digest of the samples at 16 bit: equal exactly where two clips are the same audio.
        rms_db: in dBFS, float64: 0 for a full-scale square wave, -3.01 for a full-scale sine, -inf for digital silence.
        clipped: number of samples in runs of `CLIPPED_RUN` or more at full scale, int64.
    """

    contents: np.ndarray
    rms_db: np.ndarray
    clipped: np.ndarray

    @classmethod
    def concatenate(cls, parts: Sequence["Measures"]) -> "Measures":
        """One after the other."""
        empty = cls(np.zeros(0, "U32"), np.zeros(0), np.zeros(0, np.int64))
        names = ("contents", "rms_db", "clipped")
        return cls(*(np.concatenate([getattr(part, name) for part in (empty, *parts)]) for name in names))

    def at(self, rows: np.ndarray) -> "Measures":
        """Rows in the order asked."""
        return Measures(self.contents[rows], self.rms_db[rows], self.clipped[rows])


@dataclass(frozen=True)
class LabelPair:
    """Two labels that hold the same audio.

    Attributes:
        contents: number of different clips that both hold.
        clips: how many clips of the two labels these are, in train, val and test.
    """

    first: int
    second: int
    contents: int
    clips: tuple[int, ...]


@dataclass(frozen=True)
class Shared:
    """What two splits have in common: the same audio, or clips of the same source.

    Attributes:
        first: a split.
        second: another one, that should hold nothing of it.
        keys: number of contents (or sources) that both hold.
        of: number of contents (or sources) that the second split holds.
        positions: the clips of the second split that are concerned.
        by_label: how many clips of the second split these are, of each class.
    """

    first: str
    second: str
    keys: int
    of: int
    positions: tuple[int, ...]
    by_label: tuple[int, ...]


@dataclass(frozen=True)
class Balance:
    """Clips per class in one split; `part` is 'base' or 'novel', or 'all' where the benchmark does not divide them."""

    part: str
    split: str
    least: int
    median: float
    most: int

    @property
    def ratio(self) -> float:
        """Most over least; infinite if a class has none."""
        return self.most / self.least if self.least else np.inf


@dataclass(frozen=True)
class Ceiling:
    """The highest accuracy A_t that identical clips allow.

    Attributes:
        protocol: its name.
        classes: number of classes seen after each session.
        accuracy: after each session, as fractions of one.
    """

    protocol: str
    classes: tuple[int, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Audit:
    """All facts of an audit, as plain data.

    Attributes:
        name: of the benchmark.
        clips: all of them, with their sources and contents.
        measures: of their audio; None if the audit was made without.
        counts: clips of each class in train, val and test, int64 [classes, 3].
        pairs: labels that hold the same audio.
        splits: identical audio in two splits, for each of `SPLIT_PAIRS`.
        repeats: positions of clips whose audio an earlier clip of the same class and split has.
        sources: shared recordings, for each of `SPLIT_PAIRS`.
        balance: clips per class.
        loudness: of each class, see `class_loudness`; None without audio.
        ceiling: over all test clips and classes at once, as a fraction of one; NaN without test clips.
        ceilings: under protocols.
    """

    name: str
    clips: Listing
    measures: Measures | None
    counts: np.ndarray
    pairs: tuple[LabelPair, ...]
    splits: tuple[Shared, ...]
    repeats: tuple[int, ...]
    sources: tuple[Shared, ...]
    balance: tuple[Balance, ...]
    loudness: np.ndarray | None
    ceiling: float
    ceilings: tuple[Ceiling, ...]


def examine(name: str, clips: Listing, ceilings: Iterable[Ceiling] = (), measures: Measures | None = None) -> Audit:
    """Gathers all facts.

    Args:
        name: of the benchmark.
        clips: every clip, with its source and content.
        ceilings: see `protocol_ceiling`.
        measures: of the clips' audio; None if there is none.

    Raises:
        EarshotError: there are no clips.
    """
    table = clips.table
    if not len(table):
        raise EarshotError(f"{printable(name)}: expected clips, found none; prepare the benchmark again")
    classes = len(table.class_names)
    counts = np.stack([np.bincount(table.labels[table.splits == s], minlength=classes) for s in SPLITS], axis=1)
    return Audit(
        name=name,
        clips=clips,
        measures=measures,
        counts=counts,
        pairs=label_pairs(clips.contents, table),
        splits=tuple(shared(clips.contents, table, first, second) for first, second in SPLIT_PAIRS),
        repeats=repeats(clips.contents, table),
        sources=tuple(shared(clips.sources, table, first, second) for first, second in SPLIT_PAIRS),
        balance=balance(counts, clips.base_classes),
        loudness=None if measures is None else class_loudness(measures.rms_db, table.labels, classes),
        ceiling=accuracy_ceilings(clips.contents, table, [range(classes)])[0],
        ceilings=tuple(ceilings),
    )


def measure(audio: np.ndarray) -> Measures:
    """Measures a batch of clips.

    Args:
        audio: float32 [clips, samples], full scale 1.0.
    """
    samples = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype("<i2")
    contents = [hashlib.blake2b(clip.tobytes(), digest_size=16).hexdigest() for clip in samples]
    power = np.square(audio, dtype=np.float64).mean(axis=1)
    full = np.abs(samples.astype(np.int32)) >= FULL_SCALE
    width = max(0, full.shape[1] - CLIPPED_RUN + 1)  # places where a run may begin
    begins = np.logical_and.reduce([full[:, shift : shift + width] for shift in range(CLIPPED_RUN)])
    in_run = np.zeros_like(full)
    for shift in range(CLIPPED_RUN):
        in_run[:, shift : shift + width] |= begins
    with np.errstate(divide="ignore"):  # digital silence is -inf dBFS, which is what is meant
        rms_db = 10 * np.log10(power)
    return Measures(np.array(contents, dtype="U32"), rms_db, in_run.sum(axis=1))


def class_loudness(rms_db: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean and sample standard deviation (ddof 1) of each class's RMS in dBFS, float64 [classes, 2].

    Near-silent clips are left out, as one of them would decide the mean; NaN where too few are left.
    """
    found = np.full((classes, 2), np.nan)
    for label in range(classes):
        levels = rms_db[(labels == label) & (rms_db >= NEAR_SILENT_DB)]
        if len(levels):
            found[label, 0] = levels.mean()
        if len(levels) > 1:
            found[label, 1] = levels.std(ddof=1)
    return found


def label_pairs(contents: Sequence[Hashable], table: ClipTable) -> tuple[LabelPair, ...]:
    """The pairs of labels that hold the same audio, by labels.

    Args:
        contents: by position, equal where two clips are the same audio.
        table: the clips.
    """
    # Counted before they are paired: silence may fill many clips of many classes.
    held: dict[Hashable, dict[int, list[int]]] = {}
    for content, label, split in zip(contents, table.labels.tolist(), table.splits.tolist(), strict=True):
        held.setdefault(content, {}).setdefault(label, [0] * len(SPLITS))[SPLITS.index(split)] += 1
    distinct: Counter[tuple[int, int]] = Counter()
    clips: dict[tuple[int, int], list[int]] = {}
    for by_label in held.values():
        for pair in combinations(sorted(by_label), 2):
            distinct[pair] += 1
            before = clips.get(pair, [0] * len(SPLITS))
            clips[pair] = [sum(counts) for counts in zip(before, *(by_label[label] for label in pair), strict=True)]
    return tuple(LabelPair(*pair, distinct[pair], tuple(clips[pair])) for pair in sorted(distinct))


def shared(keys: Sequence[Hashable], table: ClipTable, first: str, second: str) -> Shared:
    """What of the second split the first one holds too.

    Args:
        keys: by position: contents, or sources.
        table: the clips.
        first: a split.
        second: another one.
    """
    codes = _codes(keys)
    there = table.splits == second
    concerned = there & np.isin(codes, codes[table.splits == first])
    return Shared(
        first=first,
        second=second,
        keys=len(np.unique(codes[concerned])),
        of=len(np.unique(codes[there])),
        positions=tuple(np.flatnonzero(concerned).tolist()),
        by_label=tuple(np.bincount(table.labels[concerned], minlength=len(table.class_names)).tolist()),
    )


def repeats(contents: Sequence[Hashable], table: ClipTable) -> tuple[int, ...]:
    """Positions of the clips whose audio an earlier clip of the same class and split has."""
    seen: set[tuple[Hashable, int, str]] = set()
    found = []
    for position, key in enumerate(zip(contents, table.labels.tolist(), table.splits.tolist(), strict=True)):
        if key in seen:
            found.append(position)
        seen.add(key)
    return tuple(found)


def balance(counts: np.ndarray, base_classes: int | None) -> tuple[Balance, ...]:
    """Least, median and most clips of a class, of base and novel classes apart; splits without any clip are left out.

    Args:
        counts: int64 [classes, splits].
        base_classes: how many of the classes, from the first on, are base classes.
    """
    parts = {"base": counts[:base_classes], "novel": counts[base_classes:]} if base_classes else {"all": counts}
    return tuple(
        Balance(part, split, int(column.min()), float(np.median(column)), int(column.max()))
        for part, rows in parts.items()
        for split, column in zip(SPLITS, rows.T, strict=True)
        if column.any()
    )


def accuracy_ceilings(
    contents: Sequence[Hashable], table: ClipTable, brought: Iterable[Collection[int]]
) -> tuple[float, ...]:
    """The highest accuracy after each session that identical test clips allow.

        ceiling_t = sum over contents c of max over labels l of n_t(c, l)  /  sum over c, l of n_t(c, l)

    where n_t(c, l) is the number of test clips of content c and label l, for the classes seen after session t. A
    classifier that hears a clip alone gives every clip of the same content the same answer, so at most the clips of
    one label are right.

    Args:
        contents: by position, equal where two clips are the same audio.
        table: the clips.
        brought: the labels that each session brings.

    Returns:
        Fractions of one; NaN where the classes have no test clips.
    """
    codes, found, seen = _codes(contents), [], np.zeros(len(table.class_names), bool)
    for labels in brought:
        seen[list(labels)] = True
        queries = seen[table.labels] & (table.splits == "test")
        groups, counts = np.unique(np.stack([codes[queries], table.labels[queries]]), axis=1, return_counts=True)
        best = np.zeros(len(codes), np.int64)
        np.maximum.at(best, groups[0], counts)
        found.append(float(best.sum() / counts.sum()) if len(counts) else np.nan)
    return tuple(found)


def protocol_ceiling(name: str, clips: Listing, order_seed: int | None = None) -> Ceiling:
    """The ceiling under a named protocol.

    Args:
        name: of the protocol.
        clips: of the benchmark.
        order_seed: seeds the order of the classes; None for the published order.

    Raises:
        EarshotError: there is no such protocol, or the benchmark has too few classes or clips for it.
    """
    from datasets.benchmark.protocol import NAMED, by_name, make_sessions  # imports torch: 3 s

    if name not in NAMED:
        raise EarshotError(f"protocol {printable(name)!r}: not known; {suggestion(name, NAMED)}")
    protocol = NAMED[name] if order_seed is None else by_name({"name": name, "class_order": "seeded"})
    try:
        sessions = make_sessions(
            protocol, clips.table, order_seed=order_seed or 0, support_seed=0, base_classes=clips.base_classes
        )
    except EarshotError as error:  # its advice is for sweeps, which can change the protocol
        reason = re.sub(r"; (take|give) [^;'\"]*$", "", str(error)).removeprefix(f"protocol {name}: ")
        raise EarshotError(
            f"protocol {name}: does not fit this benchmark: {reason}; leave --protocol out for those that fit"
        ) from None
    brought = [session.labels for session in sessions]
    classes = np.cumsum([len(labels) for labels in brought]).tolist()
    return Ceiling(name, tuple(classes), accuracy_ceilings(clips.contents, clips.table, brought))


def _codes(keys: Sequence[Hashable]) -> np.ndarray:
    """Numbers that are equal where the keys are, int64 [keys]: in order of appearance."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)
