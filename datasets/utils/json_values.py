"""JSON of values that may contain NaN, infinity or NumPy types, none of which JSON has."""

import json
import math
from typing import Any


def json_values(value: Any) -> Any:
    """Converts a value to JSON types: null for numbers that are not finite, lists for tuples and arrays.

    Args:
        value: dictionaries, lists, tuples, NumPy arrays and scalars, or JSON values, nested in any way.
    """
    if isinstance(value, dict):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy, without importing it
        return json_values(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(value: Any, **keywords: Any) -> str:
    """A JSON document of `json_values(value)`.

    Args:
        value: see `json_values`.
        keywords: as of `json.dumps`.
    """
    return json.dumps(json_values(value), allow_nan=False, **keywords)
