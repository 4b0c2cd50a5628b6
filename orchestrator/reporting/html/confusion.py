"""The section of confusion by session: matrices in the order of sessions, in a bounded number of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.reporting.html.numbers import plain_estimate, rounded
from orchestrator.reporting.html.results import Results
from orchestrator.results.mistakes import most_confused
from orchestrator.results.session_order import places, session_confusions

CELLS = 40_000
"""Cells of all matrices of a page, at most: about 200 kB. With more, the smallest cells of the largest are left out."""

FREQUENT = 15
"""Confusions of a matrix that are listed."""

_Key = tuple[str, str, int]  # configuration, head, session


@dataclass(frozen=True)
class Cells:
    """The nonzero cells of a matrix: of 400 classes a few thousand, where the matrix would take 1.3 MB.

    Attributes:
        indices: flat indices in ascending order, int32 [cells].
        clips: of each cell, int32 [cells].
        totals: of each row.
    """

    indices: NDArray[np.int32]
    clips: NDArray[np.int32]
    totals: list[int]

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> "Cells":
        """Those of a matrix, int64 [places, places]."""
        indices = np.flatnonzero(counts)
        clips = counts.reshape(-1)[indices]
        return cls(indices.astype(np.int32), clips.astype(np.int32), counts.sum(axis=1).tolist())


def confusion(results: Results) -> dict[str, Any] | None:
    """Confusion by session of every head of each method after each session, summed over chains; None without any.

    Args:
        results: what the page is made from.

    Returns:
        Name of the method -> `begins`: the first place of each session, `labels`: the class in each place (None if it
        differs between chains), and `heads`: name -> for each session its matrix (see `sparse`), `frequent`
        confusions (see `most_confused`), and `recency` with what is `expected`.
    """
    if not results.any_session:
        return None
    run = results.run
    chosen = {method["name"]: method["configuration"] for method in results.methods}
    counts: dict[_Key, Cells] = {}
    frequent: dict[_Key, Any] = {}
    for configuration in chosen.values():
        for t in range(run.reached(configuration)):
            for head, matrices in session_confusions(run, configuration, t).items():
                counts[configuration, head, t] = Cells.of(matrices.by_place)
                frequent[configuration, head, t] = most_confused(matrices.by_label, FREQUENT)
    kept = _kept(counts, {configuration: run.reached(configuration) - 1 for configuration in chosen.values()})
    data = {}
    for name, configuration in chosen.items():
        order = places(run, configuration)
        heads = {
            head: [
                {**sparse(cells, kept[key]), "frequent": frequent[key], **_recency(results, *key)}
                for key, cells in counts.items()
                if key[:2] == (configuration, head)
            ]
            for head in run.heads(name)
        }
        data[name] = {"begins": order.begins, "labels": order.labels, "heads": heads}
    return data


def _recency(results: Results, configuration: str, head: str, session: int) -> dict[str, Any]:
    estimates = results.estimates.session(configuration, head, "test", session)
    return {
        "recency": plain_estimate(estimates["recency"]),
        "expected": rounded(estimates["recency_expected"].mean),
    }


def _kept(counts: Mapping[_Key, Cells], last: Mapping[str, int]) -> dict[_Key, int]:
    """Cells that each matrix keeps: half of all for those after the last sessions, the others for the earlier ones.

    Args:
        counts: the matrices.
        last: configuration -> its last session.
    """
    cells = {key: len(matrix.indices) for key, matrix in counts.items()}
    latest = [key for key in counts if key[2] == last[key[0]]]
    earlier = [key for key in counts if key[2] != last[key[0]]]
    kept = dict(zip(latest, limits([cells[key] for key in latest], CELLS // 2), strict=True))
    rest = CELLS - sum(kept.values())
    return kept | dict(zip(earlier, limits([cells[key] for key in earlier], rest), strict=True))


def limits(cells: Sequence[int], budget: int) -> list[int]:
    """How many cells each matrix keeps: all, or the same number for each of the largest.

    Args:
        cells: nonzero cells of each matrix.
        budget: of all matrices.
    """
    kept = list(cells)
    left, remaining = budget, len(kept)
    for index in sorted(range(len(kept)), key=kept.__getitem__):
        kept[index] = min(kept[index], left // remaining)
        left -= kept[index]
        remaining -= 1
    return kept


def sparse(cells: Cells, limit: int) -> dict[str, Any]:
    """A matrix as its largest cells, row by row.

    Args:
        cells: of the clips by place of the true and the predicted class.
        limit: cells that are kept, at most.

    Returns:
        `cells`: for each cell in the order of rows the distance to the one before (of flat indices, from -1) and its
        number of clips; `totals`: clips of each row; `omitted`: clips in cells that are left out.
    """
    kept = np.sort(np.argsort(-cells.clips, kind="stable")[:limit])
    gaps, clips = np.diff(cells.indices[kept], prepend=-1), cells.clips[kept]
    return {
        "cells": np.stack([gaps, clips], axis=1).reshape(-1).tolist(),
        "totals": cells.totals,
        "omitted": sum(cells.totals) - int(clips.sum()),
    }
