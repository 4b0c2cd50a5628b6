"""Digests of class orders and draws: what changes them, and values that must stay."""

import numpy as np

from datasets.benchmark.chain_digests import class_order_digest, draw_digest
from datasets.benchmark.clips import ClipTable
from datasets.benchmark.protocol import Protocol, make_sessions

LABELS = np.repeat(np.arange(6, dtype=np.int32), 12)
SPLITS = np.array((["train"] * 8 + ["val"] * 2 + ["test"] * 2) * 6)
TABLE = ClipTable(tuple(f"clip-{i:02d}" for i in range(72)), LABELS, SPLITS, tuple("abcdef"))


def digests(order: int, support: int, **rules: object) -> tuple[str, str]:
    """Of the class order and of the draw."""
    protocol = Protocol.model_validate({"base": 2, "way": 2, "shot": 3, "class_order": "seeded", **rules})
    sessions = make_sessions(protocol, TABLE, order_seed=order, support_seed=support)
    classes = [(session.labels, [clips.label for clips in session.leaving]) for session in sessions]
    return class_order_digest(classes), draw_digest(sessions, TABLE.clip_ids)


def test_each_covers_its_own_seed() -> None:
    first, other_order, other_support = digests(0, 0), digests(1, 0), digests(0, 1)
    assert first[0] != other_order[0] and first[1] == other_order[1]
    assert first[0] == other_support[0] and first[1] != other_support[1]
    assert digests(0, 0) == first


def test_classes_that_leave_and_more_clips_count() -> None:
    assert digests(0, 0, leave=1, sessions=3)[0] != digests(0, 0)[0]
    assert digests(0, 0, shot=4)[1] != digests(0, 0)[1] != digests(0, 0, validation=1)[1]


def test_the_digests_of_a_chain_stay() -> None:
    assert class_order_digest([((0, 1), ()), ((2,), (0,))]) == "5fed2f647a70b951"
    fixed = make_sessions(
        Protocol(base=2, way=2, shot=1, sessions=2, validation=1), TABLE, order_seed=0, support_seed=0
    )
    assert draw_digest(fixed, TABLE.clip_ids) == "c4bcc1b3f3769561"
