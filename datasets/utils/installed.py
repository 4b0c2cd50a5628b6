"""Methods, corpora, backbones and search spaces that other installed distributions add, by entry points.

A distribution names them in its `pyproject.toml`:

    [project.entry-points."earshot.methods"]
    mine = "mypackage.methods:MyLearner"

Names are read from the metadata of the distributions; none of their code is imported here.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from datasets.utils.errors import EarshotError
from datasets.utils.own_code import CodeKind, absolute_code, find_code, is_code
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable

Kind = Literal["method", "corpus", "backbone", "search space"]
GROUPS: dict[Kind, str] = {
    "method": "earshot.methods",
    "corpus": "earshot.corpora",
    "backbone": "earshot.backbones",
    "search space": "earshot.search_spaces",
}
"""The group of entry points of each kind."""


@dataclass(frozen=True)
class Installed:
    """What an installed distribution adds.

    Attributes:
        kind: what it is.
        name: by which it is used.
        code: `package.module:name`.
        distribution: that adds it.
        other: another distribution that adds one of the same name; empty if none does.
    """

    kind: Kind
    name: str
    code: str
    distribution: str
    other: str = ""

    def check_name(self, shipped: Iterable[str]) -> None:
        """Checks that nothing else has this name.

        Args:
            shipped: names of Earshot's own.

        Raises:
            EarshotError: something has.
        """
        named = f"{self.kind} '{printable(self.name)}'"
        if self.name in shipped:
            raise EarshotError(
                f"{named}: Earshot has one of this name, and the installed distribution {self.distribution} adds "
                f"another ({printable(self.code)}); uninstall it, or rename its entry point"
            )
        if self.other:
            raise EarshotError(
                f"{named}: the installed distributions {self.distribution} and {self.other} both add one of this name; "
                "uninstall one of them"
            )

    def failed(self, error: EarshotError) -> EarshotError:
        """The error of one that cannot be used, with the name of its distribution."""
        return EarshotError(f"{error} (entry point '{printable(self.name)}' of the distribution {self.distribution})")


def installed(kind: Kind) -> dict[str, Installed]:
    """What installed distributions add, by name, in alphabetical order."""
    from importlib.metadata import entry_points  # reads the metadata of all installed distributions

    found: dict[str, Installed] = {}
    for point in sorted(entry_points(group=GROUPS[kind])):
        distribution = printable(point.dist.name) if point.dist is not None else "unknown"
        first = found.setdefault(point.name, Installed(kind, point.name, "".join(point.value.split()), distribution))
        if first.distribution != distribution:
            found[point.name] = replace(first, other=distribution)
    return found


def given_code(kind: CodeKind, text: str, shipped: Collection[str]) -> str:
    """The code of something that is not shipped, without importing it.

    Args:
        kind: what it is.
        text: as the user has given it: code (`datasets.utils.own_code`), or the name of an entry point.
        shipped: names of Earshot's own.

    Raises:
        EarshotError: there is no such name, file or module, or an entry point's name is taken.
    """
    if is_code(text):
        code = absolute_code(text)
        find_code(code, kind)
        return code
    others = installed(kind)
    if text not in others:
        raise EarshotError(f"{kind} '{printable(text)}': not known; {suggestion(text, [*shipped, *others])}")
    others[text].check_name(shipped)
    with naming_distribution(kind, others[text].code):
        find_code(others[text].code, kind)
    return others[text].code


def check_names(kind: Kind, used: Iterable[str], shipped: Collection[str]) -> None:
    """Checks that nothing that is installed has the name of one of Earshot's own that is used.

    Raises:
        EarshotError: something has; names both.
    """
    names = set(used) & set(shipped)
    for name, entry in installed(kind).items() if names else ():
        if name in names:
            entry.check_name(shipped)


@contextmanager
def naming_distribution(kind: Kind, code: str) -> Iterator[None]:
    """Errors of code that an entry point names also name its distribution."""
    try:
        yield
    except EarshotError as error:
        adding = next((entry for entry in installed(kind).values() if entry.code == code), None)
        raise error if adding is None else adding.failed(error) from None
