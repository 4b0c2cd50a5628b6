"""Durations and sizes as people write them: 2h, 1h30m, 45s; 4GB, 500MB, 1.5TiB."""

import math
import re
from typing import Any

_DURATION = re.compile(r"(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s?)?", re.ASCII)
_SIZE = re.compile(r"([0-9.]+)\s*(?:([KMGTP])(i?)B?|B)?", re.ASCII | re.IGNORECASE)


def seconds(value: Any) -> Any:
    """A duration in seconds.

    Args:
        value: a number, or a text; anything else is returned as it is.

    Raises:
        ValueError: it is not a positive duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    parts = match.groups("0") if match else ("0",) * 4
    try:
        found = sum(float(part) * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=True))
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise ValueError("expected a duration such as 2h, 90m or 1h30m")
    return found


def size(value: Any) -> Any:
    """A size in bytes; 1 kB is 1000, 1 KiB is 1024.

    Args:
        value: a number, or a text; anything else is returned as it is.

    Raises:
        ValueError: it is not a positive size.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    try:
        number, prefix, binary = match.groups()  # type: ignore[union-attr]
        power = "kmgtp".index(prefix.lower()) + 1 if prefix else 0
        found = round(float(number) * (1024 if binary else 1000) ** power)
    except (AttributeError, ValueError):
        found = 0
    if found < 1:
        raise ValueError("expected a size such as 4GB or 500MiB")
    return found


def format_duration(value: float) -> str:
    """A duration as people say it: 42 s, 3 min, 2 h 10 min, 3 d 4 h."""
    whole = round(value)
    if whole < 100:
        return f"{whole} s"
    minutes = round(value / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def format_size(value: float) -> str:
    """A size as people say it: 512 B, 3.2 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
