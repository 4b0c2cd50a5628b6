"""The protocol hashes of trials, and whether trials of several runs may be in one table.

Records of schema version 1 have no hash: it is computed from what they hold, which lacks the number of base classes
before the first session of any of their chains is finished.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.benchmark.protocol import Protocol
from datasets.benchmark.protocol_hash import LENGTH, differences, hashed
from datasets.utils.checksum import json_digest
from datasets.utils.errors import EarshotError
from trainables.records import TrialRecord

UNKNOWN = "unknown"
"""Instead of the hash of a record that does not hold enough to compute it."""
MIXED = "or show them together with --mixed"
RECORDED = ("benchmark_fingerprint", "planned_sessions", "protocol")
"""Fields of a record that the hash depends on."""
_LONGEST_VALUE = 120  # characters of a value in an error message


def protocols_of(trials: Mapping[str, TrialRecord]) -> dict[str, str]:
    """Trial -> its protocol hash, or `UNKNOWN`.

    Args:
        trials: records by name, of one run.
    """
    bases = _base_classes(trials.values())
    return {name: record.protocol_hash or _computed(record, bases) for name, record in trials.items()}


def differing(first: TrialRecord, second: TrialRecord) -> list[tuple[str, Any, Any]]:
    """What differs between the protocols of two trials, one thing at least: (name, of the first, of the second)."""
    bases = _base_classes((first, second))
    contents = [_content(record, bases) for record in (first, second)]
    if None not in contents:
        found = differences(*(content or {} for content in contents))
        return found or [("support draw", first.protocol_hash, second.protocol_hash)]  # the rule of another version
    return [
        (key, getattr(first, key), getattr(second, key))
        for key in RECORDED
        if getattr(first, key) != getattr(second, key)
    ] or [("protocol_hash", first.protocol_hash, second.protocol_hash)]


def same_protocol(first: TrialRecord, expected: str, second: TrialRecord, found: str) -> bool:
    """Whether two trials have one protocol.

    Args:
        first: a record.
        expected: its hash, or `UNKNOWN`: then all that a record says of benchmark and protocol has to be equal.
        second: another record.
        found: its hash.
    """
    if UNKNOWN in (expected, found):
        return all(getattr(first, key) == getattr(second, key) for key in RECORDED)
    return expected == found


def check_one_protocol(trials: Sequence[tuple[TrialRecord, str, Path]]) -> None:
    """Raises unless all trials have one protocol hash; the error says what differs, in which runs.

    Args:
        trials: record, protocol hash and folder of the run of each trial.

    Raises:
        EarshotError: the hashes of two trials differ.
    """
    first, expected, here = trials[0]
    for record, found, there in trials[1:]:
        if same_protocol(first, expected, record, found):
            continue
        (key, one, other), *more = differing(first, record)
        also = f"; also different: {', '.join(name for name, *_ in more)}" if more else ""
        raise EarshotError(
            f"{', '.join(dict.fromkeys(str(run) for *_, run in trials))}: {key}: expected the same for all trials, "
            f"found {_short(one)} in {first.trial} and {_short(other)} in {record.trial}{also} (protocol {expected} of "
            f"{here}, {found} of {there}); keep each benchmark and protocol in its own run folder, {MIXED}"
        )


def _base_classes(records: Iterable[TrialRecord]) -> dict[str, int]:
    """Number of base classes, of the protocols of which a chain has finished its base session."""
    return {_rules(record): len(record.sessions[0].classes) for record in records if record.sessions}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _rules(record: TrialRecord) -> str:
    return json.dumps([record.benchmark_digest, record.planned_sessions, record.protocol], sort_keys=True)


def _content(record: TrialRecord, bases: Mapping[str, int]) -> dict[str, Any] | None:
    """What the hash is computed from; None if the record does not hold it."""
    try:
        protocol = Protocol.model_validate(record.protocol)
    except ValueError:  # of a version with other fields
        return None
    base = bases.get(_rules(record), protocol.base)
    if base is None:
        return None
    return hashed(record.benchmark_digest, protocol, base=base, sessions=record.planned_sessions)


def _computed(record: TrialRecord, bases: Mapping[str, int]) -> str:
    content = _content(record, bases)
    return UNKNOWN if content is None else json_digest(content)[:LENGTH]
