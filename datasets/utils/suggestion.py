"""Suggestions for misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_LISTED = 20  # names in "expected one of ..."


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'?" if a known name is similar, else a list of the known names.

    Args:
        name: the misspelt name; if a dotted name is similar to none, its last part is compared. The dashes of options
            are not compared: every two options have them in common.
        known: the names to choose from.
    """
    names = list(known)
    if not names:
        return "there are none"
    by_lower_case = {known_name.casefold().lstrip("-"): known_name for known_name in names}
    plain = name.casefold().lstrip("-")
    for wanted in dict.fromkeys((plain, plain.rsplit(".", 1)[-1])):
        if close := get_close_matches(wanted, by_lower_case, n=1):
            return f"did you mean '{by_lower_case[close[0]]}'?"
    return f"expected one of {', '.join(names[:MAX_LISTED])}" + (", ..." if len(names) > MAX_LISTED else "")
