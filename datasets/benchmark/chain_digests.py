"""Digests of what the seeds of a chain drew: its class order, and its support and validation clips.

Two chains with equal digests learned the same classes in the same order from the same clips, whatever their seeds are
called. The protocol hash says that two chains follow the same rules; these say that the rules drew the same.
"""

from collections.abc import Iterable, Sequence

from datasets.benchmark.protocol import Session
from datasets.utils.checksum import json_digest

LENGTH = 16
PATTERN = f"^[0-9a-f]{{{LENGTH}}}$"


def class_order_digest(sessions: Iterable[tuple[Sequence[int], Sequence[int]]]) -> str:
    """The digest of the labels that come and leave in each session of a complete chain.

    Args:
        sessions: (new labels, labels that leave) of each session, in order.

    Returns:
        `LENGTH` hexadecimal digits.
    """
    return json_digest([[list(new), list(left)] for new, left in sessions])[:LENGTH]


def draw_digest(sessions: Iterable[Session], clip_ids: Sequence[str]) -> str:
    """The digest of the support and validation clips of every class, whatever the order of the classes is.

    Args:
        sessions: of a complete chain.
        clip_ids: by position in the benchmark's table of clips.

    Returns:
        `LENGTH` hexadecimal digits.
    """
    drawn = [
        [clips.label, [clip_ids[p] for p in clips.support], [clip_ids[p] for p in clips.validation]]
        for session in sessions
        for clips in session.classes
    ]
    return json_digest(sorted(drawn))[:LENGTH]
