"""Durations and sizes in text: 2h, 1h30m, 45s; 4GB, 500MB, 1.5TiB."""

import math
import re
from typing import Any

from pydantic import ByteSize, TypeAdapter, ValidationError

_DURATION = re.compile(r"(?:([0-9.]+)d)?(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s?)?", re.ASCII)
# ByteSize does not check the end of the text: it reads "4,5GB" as 4 bytes
_SIZE = re.compile(r"[0-9]*\.?[0-9]+\s*[a-z]*", re.ASCII | re.IGNORECASE)
_BYTES = TypeAdapter(ByteSize)


def parse_duration(value: Any) -> Any:
    """Parses a duration.

    Args:
        value: a text; anything else is returned unchanged.

    Returns:
        Seconds.

    Raises:
        ValueError: it is not a positive duration.
    """
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    parts = match.groups("0") if match else ("0",) * 4
    try:
        seconds = sum(float(part) * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=True))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ValueError("expected a duration such as 2h, 90m or 1h30m")
    return seconds


def parse_size(value: Any) -> Any:
    """Parses a size; 1 kB is 1000 bytes, 1 KiB is 1024.

    Args:
        value: a text; anything else is returned unchanged.

    Returns:
        Bytes.

    Raises:
        ValueError: it is not a size of at least one byte.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        if not _SIZE.fullmatch(text):
            raise ValueError
        size = int(_BYTES.validate_python(text + "B" if text[-1:] in "iI" else text))  # 1Gi, as Kubernetes writes it
    except (ValidationError, ValueError):
        size = 0
    if size < 1:
        raise ValueError("expected a size such as 4GB or 500MiB")
    return size


def format_duration(seconds: float) -> str:
    """Formats a duration: 42 s, 3 min, 2 h 10 min, 3 d 4 h."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = minutes // 60
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def format_size(size: float) -> str:
    """Formats a size in bytes: 512 B, 3.2 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
