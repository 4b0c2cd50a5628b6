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


def json_with_short_leaves(value: Any, indent: str = "") -> str:
    """A JSON document with an object or a list of plain values on one line, and everything else indented.

    Args:
        value: JSON values, nested in any way.
        indent: of the line that the document begins in.
    """
    if not isinstance(value, dict | list) or not any(isinstance(item, dict | list) for item in _items(value)):
        return json.dumps(value, allow_nan=False)
    deeper = f"{indent} "
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {json_with_short_leaves(item, deeper)}" for key, item in value.items()]
    else:
        lines = [json_with_short_leaves(item, deeper) for item in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    inner = f",\n{deeper}".join(lines)
    return f"{first}\n{deeper}{inner}\n{indent}{last}"


def _items(value: dict[str, Any] | list[Any]) -> Any:
    return value.values() if isinstance(value, dict) else value
