"""What a misspelt name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 20  # names that are listed; of more only the nearest is told


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?" where something known is close, else all that is known.

    Args:
        name: what was found; of a dotted one the last part.
        known: what there is.
    """
    names = list(known)
    close = get_close_matches(name.rsplit(".", 1)[-1].lower(), names, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"expected one of {', '.join(names[:SHOWN])}" + (", ..." if len(names) > SHOWN else "")
