"""The class of a recording from its path: a level of its folders, or a field of its name."""

from datasets.benchmark.groups import TAKE, Pattern

LABEL = "label"
GROUP_FIELDS = ("speaker", "singer", "subject", "actor", "site", "session", "recording", "group")
"""Fields of a pattern that are groups of recordings, not their class."""
LAST = "last"


class FileLabels:
    """Reads class and group from POSIX paths.

    Args:
        text: a level of the path (1: the first folder; `last`: the one that has the file), or a `Pattern`. Its class is
            the field `label`, or the only field that is neither `take` nor one of `GROUP_FIELDS`.

    Raises:
        ValueError: the text is neither, or leaves open which field is the class.
    """

    def __init__(self, text: str) -> None:
        self._level: int | None = None
        self._fields: list[str] = []
        if text == LAST or (text.isdecimal() and int(text) >= 1):
            self._level = -1 if text == LAST else int(text)
            return
        self._pattern = Pattern(text)
        fields = self._pattern.fields
        self._fields = [field for field in fields if field in GROUP_FIELDS]
        others = [field for field in fields if field not in (*GROUP_FIELDS, TAKE)]
        if LABEL not in others and len(others) != 1:
            found = ", ".join(others) or "none"
            raise ValueError(f"expected one field that is the class, such as {{label}}, found {found}")
        self._label = LABEL if LABEL in others else others[0]

    @property
    def has_groups(self) -> bool:
        """Whether the pattern has fields that are groups."""
        return bool(self._fields)

    def label(self, path: str) -> str | None:
        """The class; None if the path has no such level or does not match the pattern."""
        if self._level is not None:
            folders = path.split("/")[:-1]
            if self._level < 0:
                return folders[-1] if folders else None
            return folders[self._level - 1] if self._level <= len(folders) else None
        found = self._pattern.match(path)
        return None if found is None else found[self._label]

    def group(self, path: str) -> str | None:
        """The fields that are groups, joined by `/`; None if there are none, or the path does not match."""
        found = self._pattern.match(path) if self._fields else None
        return None if found is None else "/".join(found[field] for field in self._fields)
