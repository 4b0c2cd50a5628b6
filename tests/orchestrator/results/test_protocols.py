"""Protocol hashes of trials: stored, computed from records without one, unknown."""

from pathlib import Path

import pytest

from datasets.benchmark.protocol_hash import protocol_hash
from datasets.utils.errors import EarshotError
from orchestrator.results.protocols import UNKNOWN, check_one_protocol, differing, protocols_of, same_protocol
from orchestrator.results.run import Run
from orchestrator.statistics.comparison import compared_methods
from tests.support.run_folders import WriteTrial

HIGH = [[0.9], [0.9, 0.7]]


def test_records_without_a_hash_get_that_of_their_protocol(tmp_path: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-00000001", 0, HIGH)
    assert record.protocol_hash is None
    expected = protocol_hash(record.benchmark_fingerprint, record.protocol, base=2, sessions=2)
    write_trial("ede-00000001", 1, [], planned=2)  # its base classes are known from the other chain
    write_trial("ede-00000001", 2, HIGH, protocol_hash=expected)
    run = Run.load(tmp_path / "run")
    assert set(run.protocols.values()) == {expected} and not run.has_several_protocols
    assert "protocol" in run.chains and set(run.sessions["protocol"]) == {expected}


def test_the_hash_is_unknown_where_the_record_holds_too_little(tmp_path: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-00000001", 0, HIGH, protocol={"name": "old", "shots": 5})
    assert protocols_of({record.trial: record}) == {record.trial: UNKNOWN}
    unfinished = write_trial("ede-00000001", 1, [], planned=2)
    assert protocols_of({unfinished.trial: unfinished}) == {unfinished.trial: UNKNOWN}
    run = Run.load(tmp_path / "run")
    assert run.protocol_hashes == (UNKNOWN,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark_fingerprint": "0" * 64}, "benchmark_fingerprint: expected the same for all trials, found 'f+'"),
        ({"protocol": {"name": "x", "way": 2, "exemplars": 1}}, "protocol.exemplars: .* found None in .* and 1 in"),
        ({"protocol": {"name": "x", "way": 2, "class_order": "seeded"}}, "class order: .* found 'fixed' in"),
        ({"protocol_hash": "0a1b2c3d"}, "support draw: .* found None in .* and '0a1b2c3d' in"),
    ],
)
def test_the_error_says_what_differs_and_names_both_runs(
    write_trial: WriteTrial, changes: dict[str, object], message: str
) -> None:
    records = [write_trial("ede-00000001", 0, HIGH), write_trial("ede-00000001", 1, HIGH, **changes)]
    places = [Path("runs/one"), Path("runs/other")]
    trials = [(r, protocols_of({r.trial: r})[r.trial], place) for r, place in zip(records, places, strict=True)]
    pattern = f"^runs/one, runs/other: {message}.*protocol .{{8}} of runs/one, .{{8}} of runs/other.*--mixed$"
    with pytest.raises(EarshotError, match=pattern):
        check_one_protocol(trials)
    check_one_protocol([trials[0], trials[0]])


def test_unknown_hashes_are_equal_only_if_the_records_agree(write_trial: WriteTrial) -> None:
    """Of a version with other fields: nothing but what the records say is known."""
    old = {"protocol": {"name": "old", "shots": 5}}
    records = [
        write_trial("ede-00000001", 0, HIGH, **old),
        write_trial("ede-00000001", 1, HIGH, **old),
        write_trial("ede-00000001", 2, HIGH, benchmark_fingerprint="0" * 64, **old),
    ]
    same, again, other = ((record, UNKNOWN, Path("runs/one")) for record in records)
    check_one_protocol([same, again])
    with pytest.raises(EarshotError, match="benchmark_fingerprint: expected the same for all trials"):
        check_one_protocol([same, other])


def test_records_before_and_after_the_digest_of_the_clips_have_one_hash(
    tmp_path: Path, write_trial_to: WriteTrial
) -> None:
    """The benchmark was prepared by an earlier version, and its shards were copied with `prepare --force` since."""
    protocol = {"name": "ffcac-25", "way": 2, "shot": 5}
    old, new = (protocol_hash(digest * 64, protocol, base=2, sessions=2) for digest in "fc")
    before, after = tmp_path / "before", tmp_path / "after"
    write_trial_to(before, "ede-00000001", 0, HIGH, protocol_hash=old)
    write_trial_to(before, "ede-00000001", 1, HIGH)  # of schema version 1, without a hash
    write_trial_to(after, "ede-00000001", 2, HIGH, protocol_hash=new, benchmark_content="c" * 64)
    write_trial_to(after, "icarl-00000002", 0, HIGH, protocol_hash=new, benchmark_content="c" * 64)
    assert Run.load(before).protocol_hashes == (old,)
    merged = Run.merged([Run.load(before), Run.load(after)])
    assert merged.protocol_hashes == (new,) and len(merged.configurations()) == 2
    compared = compared_methods([Run.load(before), Run.load(after)], ["ede", "icarl"])
    assert {method.protocol for method in compared} == {new}
    write_trial_to(before, "ede-00000001", 3, HIGH, protocol_hash=new, benchmark_content="c" * 64)  # resumed
    assert Run.load(before).protocol_hashes == (new,)


def test_a_record_of_another_draw_keeps_its_hash(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    write_trial_to(tmp_path, "ede-00000001", 0, HIGH, protocol_hash="0a1b2c3d")
    new = write_trial_to(tmp_path, "ede-00000001", 1, HIGH, benchmark_content="c" * 64)
    computed = protocol_hash("c" * 64, new.protocol, base=2, sessions=2)
    assert Run.load(tmp_path).protocol_hashes == tuple(sorted(("0a1b2c3d", computed)))


def test_the_same_clips_are_no_difference(write_trial: WriteTrial) -> None:
    """Of two laboratories, whose benchmarks have other files."""
    fields = {"benchmark_content": "c" * 64}
    first = write_trial("ede-00000001", 0, HIGH, **fields)
    second = write_trial("ede-00000001", 1, HIGH, benchmark_fingerprint="0" * 64, **fields)
    more = write_trial("ede-00000001", 2, HIGH, protocol={"name": "x", "way": 2, "shot": 5, "exemplars": 1}, **fields)
    hashes = protocols_of({record.trial: record for record in (first, second, more)})
    assert hashes[first.trial] == hashes[second.trial] != hashes[more.trial]
    assert [name for name, *_ in differing(second, more)] == ["protocol.exemplars"]
    old = {"protocol": {"name": "old", "shots": 5}}
    one, other = (
        write_trial("ede-00000001", seed, HIGH, benchmark_fingerprint=f"{seed}" * 64, **fields, **old)
        for seed in (3, 4)
    )
    assert same_protocol(one, UNKNOWN, other, UNKNOWN)
