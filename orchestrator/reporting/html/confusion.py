"""Confusion matrices of the page, in a bounded number of cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 40_000
"""Cells of all matrices of a page, at most: about 200 kB. With more, the smallest cells of the largest are left out."""

FREQUENT = 15
"""Confusions of a matrix that are listed."""


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


def sparse(counts: NDArray[np.int64], limit: int) -> dict[str, Any]:
    """A matrix as its largest cells, row by row.

    Args:
        counts: clips by place of the true and the predicted class, [places, places].
        limit: cells that are kept, at most.

    Returns:
        `cells`: for each cell in the order of rows the distance to the one before (of flat indices, from -1) and its
        number of clips; `totals`: clips of each row; `omitted`: clips in cells that are left out.
    """
    flat = counts.reshape(-1)
    kept = np.argsort(-flat, kind="stable")[: min(limit, np.count_nonzero(flat))]
    kept.sort()
    gaps = np.diff(kept, prepend=-1)
    return {
        "cells": np.stack([gaps, flat[kept]], axis=1).reshape(-1).tolist(),
        "totals": counts.sum(axis=1).tolist(),
        "omitted": int(flat.sum() - flat[kept].sum()),
    }
