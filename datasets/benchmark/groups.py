"""Groups of recordings that must be in one split, named by the paths of the recordings.

Files of one speaker, session, site or longer recording resemble each other. If some are in train and others in test, a
test measures in part how well a method recognizes the recording. A group is a text that such files have in common:

    {speaker}_{take}    fields of the file name; `{take}` and `*` match what is no part of the group
    2                   the second folder of the path
    stem                what is left of the name without take letters and numbers: 1-1000-A.wav, 1-1000-B.wav
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from datasets.utils.posix_path import last_components, suffix

STEM = "stem"
"""Files whose names share a stem are a group."""
TAKE = "take"
"""Field of a pattern that is no part of the group."""

_FIELD = re.compile(r"\{([^{}]*)\}|\*")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]+$")
_TAKE = re.compile(
    r"(?:[-_. ]+(?:[a-z]|(?:(?:take|part|seg|segment|chunk|slice|clip|copy|rep)[-_. ]?)?\d{1,3})| ?\(\d{1,3}\))$", re.I
)
_DATE = re.compile(r"(?:19|20)\d\d([-_. ])\d\d\1\d\d$")
_IDENTIFIER = re.compile(r"[^\W\d_]|\d{3}")
"""A stem needs a letter or a number of three digits: 03-01-05-02 is a code, of which no part is known to be a take."""


class Pattern:
    """A pattern over the last components of a path, such as `{speaker}_{take}` or `{site}/*_{take}.wav`.

    Each field matches as much text as possible inside one component, `*` as little as possible. A suffix may be left
    out.

    Args:
        text: the pattern; it has as many slashes as it needs components.

    Raises:
        ValueError: the text is no pattern, or no field of it is part of a group.
    """

    def __init__(self, text: str) -> None:
        expression, last, self.fields = "", 0, list[str]()
        for match in _FIELD.finditer(text):
            expression += re.escape(text[last : match.start()]) + self._expression(match[1])
            last = match.end()
        rest = text[last:]
        if not self.fields or any(char in re.sub(_FIELD, "", text) for char in "{}"):
            raise ValueError("expected a pattern with fields in braces, such as {speaker}_{take}")
        self._regex = re.compile(expression + re.escape(rest))
        self._components = text.count("/") + 1
        self._with_suffix = _SUFFIX.search(rest) is not None

    def _expression(self, field: str | None) -> str:
        if field is None:
            return "[^/]*?"
        if not field.isidentifier() or field in self.fields:
            raise ValueError("expected fields with different names of letters, such as {speaker}_{take}")
        self.fields.append(field)
        return f"(?P<{field}>[^/]+)"

    def match(self, path: str) -> dict[str, str] | None:
        """The text of each field in a POSIX path; None if the path does not match."""
        place = path if self._with_suffix else _without_suffix(path)
        match = self._regex.fullmatch(last_components(place, self._components))
        return match.groupdict() if match else None


def group_by(text: str) -> Callable[[str], str | None]:
    """How a path becomes the name of its group, given a pattern or a level of the path.

    Args:
        text: a pattern (see `Pattern`), whose fields other than `{take}` are the group; or a number: 1 is the first
            folder of the path, 2 the second.

    Returns:
        A function of a relative POSIX path; None if the path has no such level or does not match.

    Raises:
        ValueError: the text is neither.
    """
    if text.isdecimal() and int(text) >= 1:
        level = int(text)
        return lambda path: _folder(path, level)
    pattern = Pattern(text)
    fields = [field for field in pattern.fields if field != TAKE]
    if not fields:
        raise ValueError("expected a field other than {take}: it is what the files of a group share")

    def group(path: str) -> str | None:
        found = pattern.match(path)
        return None if found is None else "/".join(found[field] for field in fields)

    return group


def stems(path: str) -> tuple[str, ...]:
    """The path without its suffix, then also without the last take letter or number, without the last two, ...

    `dog/1-1000-A.wav` -> `dog/1-1000-A`, `dog/1-1000`. A take is a single letter, a number of at most three digits, or
    such a number after a word such as `take`; days and months of a date are none.
    """
    folder, name = _split(_without_suffix(path))
    found = [name]
    while match := _TAKE.search(found[-1]):
        shorter = found[-1][: match.start()]
        if _DATE.search(found[-1]) or not _IDENTIFIER.search(shorter):
            break
        found.append(shorter)
    return tuple(folder + name for name in found)


def stem(path: str) -> str | None:
    """The path without its suffix and all take letters and numbers at its end; None if its name has none."""
    found = stems(path)
    return found[-1] if len(found) > 1 else None


def shared_stems(
    paths: Sequence[str], accept: Callable[[Mapping[str, str]], bool] | None = None
) -> dict[str, str] | None:
    """Guesses the groups of the files of one class from names that share a stem.

    Takes as many take letters and numbers off the names as still leave acceptable groups.

    Args:
        paths: of one class.
        accept: whether groups, by path, are acceptable (default: at least three, none with more than half the files).

    Returns:
        The stem of each path; None if no two files share one, or no groups are acceptable.
    """
    accept = accept or _are_many
    by_path = {path: stems(path) for path in paths}
    for count in range(max(map(len, by_path.values()), default=1) - 1, 0, -1):
        groups = {path: found[min(count, len(found) - 1)] for path, found in by_path.items()}
        if len(set(groups.values())) < len(groups) and accept(groups):
            return groups
    return None


def _are_many(groups: Mapping[str, str]) -> bool:
    sizes = Counter(groups.values())
    return len(sizes) >= 3 and 2 * max(sizes.values()) <= len(groups)


def _folder(path: str, level: int) -> str | None:
    parts = path.split("/")
    return parts[level - 1] if level < len(parts) else None


def _without_suffix(path: str) -> str:
    return path.removesuffix(suffix(path))


def _split(path: str) -> tuple[str, str]:
    folder, slash, name = path.rpartition("/")
    return folder + slash, name
