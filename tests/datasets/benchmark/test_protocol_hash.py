"""The protocol hash: what it depends on, and that the draws that it stands for do not change."""

from typing import Any

import numpy as np
import pytest

from datasets.benchmark.clips import ClipTable
from datasets.benchmark.protocol import Protocol, make_sessions
from datasets.benchmark.protocol_hash import DRAW, differences, hashed, protocol_hash

FINGERPRINT = "f" * 64


def of(fingerprint: str = FINGERPRINT, base: int = 5, sessions: int = 5, **fields: Any) -> str:
    return protocol_hash(fingerprint, Protocol(**{"base": 5, **fields}), base=base, sessions=sessions)


def test_the_hash_is_stable() -> None:
    """Stored results hold it: a change of this value makes every earlier run incomparable."""
    assert of() == "5f6cee82"


def test_defaults_and_names_do_not_count() -> None:
    same = [
        of(name="ffcac-25", sessions=5),
        of(base_shot=5),
        of(class_order=tuple(range(25))),
        protocol_hash(FINGERPRINT, {"way": 5}, base=5, sessions=5),  # the benchmark's base classes
        protocol_hash(FINGERPRINT, Protocol(base=5).model_dump(mode="json"), base=5, sessions=5),
    ]
    assert set(same) == {of()}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"fingerprint": "0" * 64}, "benchmark_fingerprint"),
        ({"sessions": 4}, "planned_sessions"),
        ({"base": 6}, "protocol.base"),
        ({"way": 4}, "protocol.way"),
        ({"shot": 1, "base_shot": 5}, "protocol.shot"),
        ({"base_shot": "all"}, "protocol.base_shot"),
        ({"leave": 2}, "protocol.leave"),
        ({"validation": 10}, "protocol.validation"),
        ({"exemplars": 0}, "protocol.exemplars"),
        ({"class_order": "seeded"}, "class order"),
        ({"class_order": (1, 0, 2, 3, 4)}, "class order"),
    ],
)
def test_every_rule_counts(changes: dict[str, Any], name: str) -> None:
    assert of(**changes) != of()
    fields = {key: value for key, value in changes.items() if key not in ("fingerprint", "base", "sessions")}
    place = {"base": changes.get("base", 5), "sessions": changes.get("sessions", 5)}
    other = hashed(changes.get("fingerprint", FINGERPRINT), Protocol(base=5, **fields), **place)
    (found,) = differences(hashed(FINGERPRINT, Protocol(base=5), base=5, sessions=5), other)
    assert found[0] == name and found[1] != found[2]


def test_fields_of_another_version_are_an_error() -> None:
    with pytest.raises(ValueError, match="shots"):
        protocol_hash(FINGERPRINT, {"shots": 5}, base=5, sessions=5)


def test_the_draws_of_this_version() -> None:
    """If these change, raise `DRAW`: otherwise runs with other support clips would have the same hash."""
    labels = np.repeat(np.arange(8, dtype=np.int32), 12)
    splits = np.array((["train"] * 9 + ["val", "test", "test"]) * 8)
    clips = ClipTable(tuple(f"{i:03d}" for i in range(96)), labels, splits, tuple("abcdefgh"))
    protocol = Protocol(base=4, way=2, shot=2, leave=2, class_order="seeded", validation=1)
    sessions = make_sessions(protocol, clips, order_seed=1, support_seed=2)
    drawn = [[session.labels, session.support, [gone.label for gone in session.leaving]] for session in sessions]
    assert (DRAW, drawn) == (
        1,
        [
            [(5, 4, 2, 6), (60, 68, 48, 56, 24, 32, 72, 80), []],
            [(7, 3), (84, 92, 36, 44), []],
            [(), (), [6, 3]],
            [(1, 0), (12, 20, 0, 8), []],
            [(), (), [5, 0]],
        ],
    )
