"""What a misspelt name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 20  # names that are listed; of more only the nearest is told


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?" where something known is close, else all that is known.

    Args:
        name: what was found; of a dotted one the last part, where the whole is like nothing.
        known: what there is.
    """
    names = list(known)
    if not names:
        return "there are none"
    plain = {one.casefold(): one for one in names}
    for wanted in dict.fromkeys((name.casefold(), name.casefold().rsplit(".", 1)[-1])):
        if close := get_close_matches(wanted, plain, n=1):
            return f"did you mean '{plain[close[0]]}'?"
    return f"expected one of {', '.join(names[:SHOWN])}" + (", ..." if len(names) > SHOWN else "")
