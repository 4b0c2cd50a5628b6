"""Text for messages: plurals, untrusted text made printable, paths relative to the current folder."""

from collections.abc import Sequence
from pathlib import Path


def one_line(text: object) -> str:
    """Replaces line breaks and runs of spaces by one space."""
    return " ".join(str(text).split())


def plural(count: int, noun: str) -> str:
    """'1 chain', '3 chains'."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def first_few(texts: Sequence[str], limit: int = 5) -> str:
    """'a, b and 3 more': the first texts, and how many are not shown."""
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def printable(text: str) -> str:
    """Escapes control characters, and bytes that are not UTF-8, in untrusted text."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    byte = ord(char) - 0xDC00  # how os.fsdecode represents a byte that is not UTF-8
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else char.encode("unicode_escape").decode()


def typed_path(path: Path) -> str:
    """A path as the user would type it: relative to the current folder if it lies inside."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def is_uri(place: object) -> bool:
    """Whether a place is a URI, not a path; `Path` would turn its `//` into `/`."""
    return isinstance(place, str) and "://" in place
