"""The highest accuracy that a benchmark allows, whose identical clips may have different labels."""

import re
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.benchmark.clips import ClipTable
from datasets.benchmark.listing import Listing
from datasets.benchmark.protocol import NAMED, by_name, make_sessions
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable


@dataclass(frozen=True)
class Ceiling:
    """The highest accuracy A_t that identical clips allow under a protocol.

    Attributes:
        protocol: name of the protocol.
        classes: number of classes seen after each session.
        accuracy: highest accuracy after each session, as fractions of one.
    """

    protocol: str
    classes: tuple[int, ...]
    accuracy: tuple[float, ...]


def accuracy_ceilings(
    contents: Sequence[Hashable], table: ClipTable, new_labels: Iterable[Collection[int]]
) -> tuple[float, ...]:
    """The highest accuracy after each session that identical test clips allow.

        ceiling_t = sum over contents c of max over labels l of n_t(c, l)  /  sum over c, l of n_t(c, l)

    where n_t(c, l) is the number of test clips of content c and label l, for the classes seen after session t. A
    classifier predicts the same label for all clips with the same content, so at most the clips of one label are
    classified correctly.

    Args:
        contents: by position, equal where two clips have the same audio.
        table: the clips.
        new_labels: the labels that each session adds.

    Returns:
        Fractions of one; NaN where the classes have no test clips.
    """
    codes, ceilings, seen = numbered(contents), [], np.zeros(len(table.class_names), bool)
    for labels in new_labels:
        seen[list(labels)] = True
        queries = seen[table.labels] & (table.splits == "test")
        groups, counts = np.unique(np.stack([codes[queries], table.labels[queries]]), axis=1, return_counts=True)
        best = np.zeros(len(codes), np.int64)
        np.maximum.at(best, groups[0], counts)
        ceilings.append(float(best.sum() / counts.sum()) if len(counts) else np.nan)
    return tuple(ceilings)


def protocol_ceiling(name: str, clips: Listing, order_seed: int | None = None) -> Ceiling:
    """The ceiling under a named protocol.

    Args:
        name: name of the protocol.
        clips: clips of the benchmark.
        order_seed: seed of the class order; None for the published order.

    Raises:
        EarshotError: there is no such protocol, or the benchmark has too few classes or clips for it.
    """
    if name not in NAMED:
        raise EarshotError(f"protocol {printable(name)!r}: not known; {suggestion(name, NAMED)}")
    try:
        protocol = NAMED[name] if order_seed is None else by_name({"name": name, "class_order": "seeded"})
    except ValueError as error:
        raise EarshotError(f"protocol {name}: {error}") from None
    try:
        sessions = make_sessions(
            protocol, clips.table, order_seed=order_seed or 0, support_seed=0, base_classes=clips.base_classes
        )
    except EarshotError as error:  # its advice applies to sweeps, which can change the protocol
        reason = re.sub(r"; (take|give) [^;'\"]*$", "", str(error)).removeprefix(f"protocol {name}: ")
        raise EarshotError(
            f"protocol {name}: does not fit this benchmark: {reason}; leave --protocol out for those that fit"
        ) from None
    new_labels = [session.labels for session in sessions]
    classes = np.cumsum([len(labels) for labels in new_labels]).tolist()
    return Ceiling(name, tuple(classes), accuracy_ceilings(clips.contents, clips.table, new_labels))


def numbered(keys: Sequence[Hashable]) -> np.ndarray:
    """Numbers the keys in order of their first appearance, equal keys alike, int64 [keys]."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
