"""Finds the recording that a cell of a table names: a path, the end of a path, or either without its suffix."""

import re
import unicodedata
from collections.abc import Iterable

from datasets.utils.posix_path import last_components, suffix

_OUTSIDE = re.compile(r"/|[A-Za-z]:")


def _forms(name: str) -> tuple[str, ...]:
    """The name as it is, composed and decomposed."""
    if name.isascii():
        return (name,)
    return name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


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
        self._ends: dict[int, dict[str, str | list[str]]] = {}

    def find(self, name: str) -> str | None:
        """The path of the recording that is called `name`; None if there is none.

        Raises:
            AmbiguousError: there are several.
            ValueError: the name leads outside of the source folder.
        """
        if name in self._exact and name.lower().endswith(self._extension.lower()):
            return name  # the usual case, without what follows
        name = name.replace("\\", "/")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if _OUTSIDE.match(name) or ".." in parts or not parts:
            raise ValueError(name)
        name = "/".join(parts)
        if self._extension and not name.lower().endswith(self._extension.lower()):
            name += self._extension
        if name in self._exact:
            return name
        ends = self._with_end(len(parts))
        # names that a Mac has written are decomposed: e and an accent, where the table has one character
        found = next((ends[form] for form in _forms(name) if form in ends), None)
        if isinstance(found, list):
            raise AmbiguousError(sorted(found))
        return found

    def _with_end(self, components: int) -> dict[str, str | list[str]]:
        """Paths by their last components, with and without suffix; a list where there are several."""
        if components not in self._ends:
            ends: dict[str, str | list[str]] = {}
            for path in self._paths:
                if path.count("/") + 1 >= components:
                    end = last_components(path, components)
                    for key in {end, end.removesuffix(suffix(end))}:
                        known = ends.setdefault(key, path)
                        if isinstance(known, list):
                            known.append(path)
                        elif known != path:
                            ends[key] = [known, path]
            self._ends[components] = ends
        return self._ends[components]
