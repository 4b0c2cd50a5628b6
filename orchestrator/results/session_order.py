"""Confusion in the order of sessions: rows and columns are places, the first classes learned come first.

With one class order a place is a class. Chains with other class orders have other classes in the same places; summed by
place they still show whether clips of old classes are taken for new ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.results.run import Run
from trainables.records import TrialRecord


@dataclass(frozen=True)
class Places:
    """Places of the classes of a configuration, session by session.

    Attributes:
        begins: the first place of each session that a chain has finished.
        labels: the class in each place; None in one that chains give to different classes, or to none.
    """

    begins: tuple[int, ...]
    labels: tuple[int | None, ...]


def places(run: Run, configuration: str) -> Places:
    """The places of all classes that a chain of a configuration has learned."""
    records = run.of(configuration)
    sizes = [
        max(len(r.sessions[t].classes) for r in records if t < len(r.sessions))
        for t in range(run.reached(configuration))
    ]
    ends = np.cumsum(sizes, dtype=int)
    begins = tuple(int(end) - size for end, size in zip(ends, sizes, strict=True))
    found: list[set[int]] = [set() for _ in range(sum(sizes))]
    for record in records:
        for label, place in _places_of(record, begins).items():
            found[place].add(label)
    return Places(begins, tuple(next(iter(labels)) if len(labels) == 1 else None for labels in found))


def session_confusion(run: Run, configuration: str, head: str, session: int, split: str = "test") -> NDArray[np.int64]:
    """Number of clips by place of the true and of the predicted class, summed over chains: int64 [places, places].

    Args:
        run: the run.
        configuration: name of the configuration.
        head: name of the head.
        session: index of the session after which to count; chains that have not finished it are left out.
        split: split of the clips.

    Raises:
        EarshotError: a file of predictions was removed or damaged since the run was loaded.
    """
    order = places(run, configuration)
    size = [*order.begins, len(order.labels)][session + 1] if session < len(order.begins) else 0
    counts = np.zeros((size, size), np.int64)
    for record, scored in run.predictions(configuration, head, session, split):
        place_of = _places_of(record, order.begins)
        table = np.zeros(len(record.class_names), np.int64)
        table[list(place_of)] = list(place_of.values())
        np.add.at(counts, (table[np.asarray(scored.labels)], table[np.asarray(scored.predictions)]), 1)
    return counts


def _places_of(record: TrialRecord, begins: tuple[int, ...]) -> dict[int, int]:
    """Label -> place, of the classes that a chain has learned."""
    return {
        label: begin + index
        for session, begin in zip(record.sessions, begins, strict=False)
        for index, label in enumerate(session.classes)
    }
