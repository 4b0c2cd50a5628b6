"""Finds the recording that a cell of a table names: a path, the end of a path, or either without its suffix."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

_OUTSIDE = re.compile(r"/|[A-Za-z]:")


class AmbiguousError(Exception):
    """Several recordings have the name; its argument is a list of them."""


class FileIndex:
    """The recordings of a source folder by name.

    Args:
        paths: relative POSIX paths.
        extension: appended to names that lack it, such as `.wav`; "": names may lack any suffix.
    """

    def __init__(self, paths: Iterable[str], extension: str = "") -> None:
        self._extension = extension if not extension or extension.startswith(".") else f".{extension}"
        self._paths = list(paths)
        self._exact = set(self._paths)
        self._ends: dict[int, dict[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        """The path of the recording that is called `name`; None if there is none.

        Raises:
            AmbiguousError: there are several.
            ValueError: the name leads outside of the source folder.
        """
        name = name.replace("\\", "/")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if _OUTSIDE.match(name) or ".." in parts or not parts:
            raise ValueError(name)
        name = "/".join(parts)
        if self._extension and not name.lower().endswith(self._extension.lower()):
            name += self._extension
        if name in self._exact:
            return name
        found = self._with_end(len(parts)).get(name, [])
        if len(found) > 1:
            raise AmbiguousError(sorted(found))
        return found[0] if found else None

    def _with_end(self, components: int) -> dict[str, list[str]]:
        """Paths by their last components, with and without suffix."""
        if components not in self._ends:
            ends: dict[str, list[str]] = {}
            for path in self._paths:
                parts = PurePosixPath(path).parts
                if len(parts) >= components:
                    end = "/".join(parts[-components:])
                    ends.setdefault(end, []).append(path)
                    ends.setdefault(end.removesuffix(PurePosixPath(path).suffix), []).append(path)
            self._ends[components] = ends
        return self._ends[components]
