"""Recordings that were rejected as too short, and how many a smaller minimum would keep."""

import re
from collections.abc import Sequence
from math import floor

from datasets.corpora.inventory import Rejection

_TOO_SHORT = re.compile(r"too short: (\d+\.\d{3}) s, at least ")  # as `datasets.audio.recordings` writes it


def short_recordings(rejected: Sequence[Rejection], min_seconds: float) -> str:
    """'3 recordings are shorter than --min-seconds 0.1; 0.05 would keep 2 of them, 0.02 all'; "" if there are none.

    Args:
        rejected: of the corpus.
        min_seconds: the minimum that was asked for.
    """
    seconds = sorted(float(match[1]) for entry in rejected if (match := _TOO_SHORT.match(entry.reason)))
    if not seconds:
        return ""
    half = _round_down(min_seconds / 2)
    least = _round_down(seconds[0] - 0.0005)  # reasons are rounded to milliseconds
    kept = sum(value - 0.0005 >= half for value in seconds)
    if len(seconds) == 1:
        return f"1 recording is shorter than --min-seconds {min_seconds:g}; {least:g} would keep it"
    smaller = f"{half:g} would keep {kept} of them, {least:g} all"
    if not 0 < kept < len(seconds):
        smaller = f"{least:g} would keep all"
    return f"{len(seconds)} recordings are shorter than --min-seconds {min_seconds:g}; {smaller}"


def _round_down(seconds: float) -> float:
    """To milliseconds, at least zero."""
    return max(0.0, floor(seconds * 1000 + 1e-6) / 1000)
