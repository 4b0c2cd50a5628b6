"""Text without folders of this machine: what a shared file may say of a path is its last component."""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_HUB_ID = re.compile(r"[A-Za-z0-9][\w-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_FILE = re.compile(r"\.(py|pth|pt|ckpt|bin|safetensors)(:[\w.]+)?$")
_PATH = re.compile(r"/|~|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\|[A-Za-z][A-Za-z0-9+.-]*://")


def portable(value: Any) -> Any:
    """A JSON value in which every text that begins like a path or a URI is only its last component.

    Args:
        value: dictionaries, lists, tuples, text, numbers, nested in any way.
    """
    if isinstance(value, dict):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item) for item in value]
    return last_component(value) if isinstance(value, str) and _PATH.match(value) else value


def portable_name(name: str) -> str:
    """The name of a method or a backbone: `owner/name` of the hub as it is, of any other path the last component."""
    return name if _HUB_ID.fullmatch(name) and not _FILE.search(name) else last_component(name)


def last_component(path: str) -> str:
    """The last component of a path or a URI, without a query: it might hold credentials."""
    without_query = path.partition("?")[0] if "://" in path else path
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(without_query).name or "~"
