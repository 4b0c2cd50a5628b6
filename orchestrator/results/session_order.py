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


@dataclass(frozen=True)
class SessionConfusion:
    """Test clips of a head after a session by true (row) and predicted class (column), summed over chains.

    Attributes:
        by_place: in the order of places, int64 [places, places].
        by_label: in the order of labels, int64 [classes, classes].
    """

    by_place: NDArray[np.int64]
    by_label: NDArray[np.int64]


def session_confusions(run: Run, configuration: str, session: int) -> dict[str, SessionConfusion]:
    """The confusion of each head of a configuration after a session; the files of the session are read once.

    Args:
        run: the run.
        configuration: name of the configuration.
        session: index of the session after which to count; chains that have not finished it are left out.

    Raises:
        EarshotError: a file of predictions was removed or damaged since the run was loaded.
    """
    order = places(run, configuration)
    places_then = [*order.begins, len(order.labels)][session + 1] if session < len(order.begins) else 0
    classes = len(run.class_names(configuration))
    counts = {
        head: SessionConfusion(*(np.zeros((size, size), np.int64) for size in (places_then, classes)))
        for head in run.heads(run.entry(configuration).label)
    }
    for record, tables in run.predictions(configuration, session):
        place_of = _places_of(record, order.begins)
        place = np.zeros(classes, np.int64)
        place[list(place_of)] = list(place_of.values())
        for head, confusion in counts.items():
            if scored := tables.get((head, "test")):
                labels, predicted = np.asarray(scored.labels), np.asarray(scored.predictions)
                np.add.at(confusion.by_place, (place[labels], place[predicted]), 1)
                np.add.at(confusion.by_label, (labels, predicted), 1)
    return counts


def _places_of(record: TrialRecord, begins: tuple[int, ...]) -> dict[int, int]:
    """Label -> place, of the classes that a chain has learned."""
    return {
        label: begin + index
        for session, begin in zip(record.sessions, begins, strict=False)
        for index, label in enumerate(session.classes)
    }
