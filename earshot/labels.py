"""The classes of recordings as a caller gives them: texts or numbers."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable


def class_values(y: Sequence[Any]) -> list[Any]:
    """The classes of recordings as plain Python values."""
    return [value.item() if isinstance(value, np.generic) else value for value in y]


def distinct_classes(values: Sequence[Any]) -> list[Any]:
    """The different classes among those of recordings, sorted.

    Raises:
        EarshotError: they are neither all texts nor all numbers.
    """
    if not any(all(isinstance(value, kind) for value in values) for kind in (str, Real)):
        kinds = sorted({type(value).__name__ for value in values})
        raise EarshotError(f"y: expected texts only, or numbers only; found {printable(' and '.join(kinds))}")
    distinct: list[Any] = np.unique(class_array(values)).tolist()
    return distinct


def class_array(values: Sequence[Any]) -> np.ndarray:
    """Classes as an array: of numbers or texts where all are, else of objects."""
    kinds = {type(value) for value in values}
    return np.array(values, dtype=None if len(kinds) == 1 else object)
