"""The protocol hash: eight characters that two runs share if their scores may be in one table.

It is computed from the rules of a chain and the clips that they are applied to:

    benchmark            digest of the prepared clips
    classes              base classes, new and leaving classes of a session, number of sessions
    clips                support clips of a class, validation clips, exemplars
    class order          'fixed', 'seeded', or the labels in order
    support draw         the rule by which a seed chooses clips

Rules, not draws: the hash contains neither seeds nor drawn clips, and neither method nor backbone. So runs with other
or more seeds have the same hash, and chains of equal seeds in them have the same classes and support clips. Settings
that are left to their defaults count as these: `ffcac-25` and `free` with the same numbers are one protocol, and the
base classes that a benchmark defines are the same as that number in `--base`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from datasets.benchmark.protocol import Protocol
from datasets.utils.checksum import json_digest

DRAW = 1
"""Version of the rules by which seeds choose clips, class orders and leaving classes: to be raised with any change of
`make_sessions` that makes other sessions of the same benchmark, protocol and seeds."""
LENGTH = 8
PATTERN = f"^[0-9a-f]{{{LENGTH}}}$"

_NAMES = {
    "benchmark": "benchmark_fingerprint",
    "sessions": "planned_sessions",
    "order": "class order",
    "draw": "support draw",
}


def protocol_hash(benchmark: str, protocol: Protocol | Mapping[str, Any], *, base: int, sessions: int) -> str:
    """The hash of a protocol on a benchmark.

    Args:
        benchmark: digest of its clips; see `Manifest.content_digest`.
        protocol: the rules, or their fields as a record has them.
        base: classes of the base session.
        sessions: sessions of a complete chain.

    Returns:
        `LENGTH` hexadecimal digits.

    Raises:
        ValueError: `protocol` has fields or values of another version.
    """
    return json_digest(hashed(benchmark, protocol, base=base, sessions=sessions))[:LENGTH]


def hashed(benchmark: str, protocol: Protocol | Mapping[str, Any], *, base: int, sessions: int) -> dict[str, Any]:
    """What a hash is computed from, in JSON types; see `protocol_hash`."""
    try:
        rules = protocol if isinstance(protocol, Protocol) else Protocol.model_validate(dict(protocol))
    except ValidationError as error:
        raise ValueError(str(error)) from None
    order: Any = rules.class_order
    if isinstance(order, tuple):
        order = "fixed" if order == tuple(range(len(order))) else list(order)
    return {
        "benchmark": benchmark,
        "sessions": sessions,
        "base": base,
        "way": rules.way,
        "shot": rules.shot,
        "base_shot": rules.shot if rules.base_shot is None else rules.base_shot,
        "leave": rules.leave,
        "validation": rules.validation,
        "exemplars": rules.exemplars,
        "order": order,
        "draw": DRAW,
    }


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What differs between the contents of two hashes.

    Args:
        first: from `hashed`.
        second: from `hashed`.

    Returns:
        (name, value of the first, value of the second); names as in a record, such as 'protocol.shot'.
    """
    return [
        (_NAMES.get(key, f"protocol.{key}"), value, second[key]) for key, value in first.items() if value != second[key]
    ]
