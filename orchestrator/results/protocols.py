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
_LONGEST_VALUE = 120  # characters of a value in an error message


def protocols_of(trials: Mapping[str, TrialRecord], beside: Iterable[TrialRecord] = ()) -> dict[str, str]:
    """Trial -> its protocol hash, or `UNKNOWN`.

    The hash of a record of an earlier version covers the fingerprint of the benchmark. It is replaced by that of the
    clips if another record has the same fingerprint and the digest of the clips.

    Args:
        trials: records by name, of one run.
        beside: records of other runs.
    """
    bases, digests = _base_classes(trials.values()), _digests((*trials.values(), *beside))
    return {name: _hash(record, bases, digests) for name, record in trials.items()}


def differing(first: TrialRecord, second: TrialRecord) -> list[tuple[str, Any, Any]]:
    """What differs between the protocols of two trials, one thing at least: (name, of the first, of the second)."""
    records = (first, second)
    bases, digests = _base_classes(records), _digests(records)
    contents = [_content(record, bases, digests) for record in records]
    if None not in contents:
        found = differences(*(content or {} for content in contents))
        return found or [("support draw", first.protocol_hash, second.protocol_hash)]  # the rule of another version
    one, other = (_recorded(record, digests) for record in records)
    return [(key, one[key], other[key]) for key in one if one[key] != other[key]] or [
        ("protocol_hash", first.protocol_hash, second.protocol_hash)
    ]


def same_protocol(first: TrialRecord, expected: str, second: TrialRecord, found: str) -> bool:
    """Whether two trials have one protocol.

    Args:
        first: a record.
        expected: its hash, or `UNKNOWN`: then all that a record says of benchmark and protocol has to be equal.
        second: another record.
        found: its hash.
    """
    if UNKNOWN in (expected, found):
        digests = _digests((first, second))
        return _recorded(first, digests) == _recorded(second, digests)
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
    return json.dumps([record.benchmark_fingerprint, record.planned_sessions, record.protocol], sort_keys=True)


def _digests(records: Iterable[TrialRecord]) -> dict[str, str]:
    """Fingerprint of a benchmark -> digest of its clips, where a record has both."""
    return {record.benchmark_fingerprint: record.benchmark_content for record in records if record.benchmark_content}


def _benchmark(record: TrialRecord, digests: Mapping[str, str]) -> str:
    """Digest of the clips, if any record has it; otherwise the fingerprint."""
    return digests.get(record.benchmark_fingerprint, record.benchmark_fingerprint)


def _recorded(record: TrialRecord, digests: Mapping[str, str]) -> dict[str, Any]:
    """All that a record says of benchmark and protocol."""
    return {
        "benchmark_fingerprint": _benchmark(record, digests),
        "planned_sessions": record.planned_sessions,
        "protocol": record.protocol,
    }


def _content(record: TrialRecord, bases: Mapping[str, int], digests: Mapping[str, str]) -> dict[str, Any] | None:
    """What the hash is computed from; None if the record does not hold it."""
    try:
        protocol = Protocol.model_validate(record.protocol)
    except ValueError:  # of a version with other fields
        return None
    base = bases.get(_rules(record), protocol.base)
    if base is None:
        return None
    return hashed(_benchmark(record, digests), protocol, base=base, sessions=record.planned_sessions)


def _hash(record: TrialRecord, bases: Mapping[str, int], digests: Mapping[str, str]) -> str:
    recorded = record.protocol_hash
    if recorded and (record.benchmark_content or record.benchmark_fingerprint not in digests):
        return recorded
    before = _computed(_content(record, bases, {}))
    if recorded and recorded != before:
        return recorded  # of a version with another draw
    return _computed(_content(record, bases, digests))


def _computed(content: dict[str, Any] | None) -> str:
    return UNKNOWN if content is None else json_digest(content)[:LENGTH]
