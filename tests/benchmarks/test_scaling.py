"""The model of a large sweep, by hand-computed cases; and the measurement that feeds it, read from made-up events."""

from dataclasses import replace

import pytest

from benchmarks.scaling import POLL, Shape, main, simulate
from benchmarks.trials import between

PLAIN = Shape(
    "plain",
    slots=1,
    configurations=3,
    seeds=2,
    sessions=3,
    base_seconds=10,
    later_seconds=2,
    cached_seconds=0,
    between_seconds=0,
    driver_seconds=0,
)


def test_one_slot_computes_each_base_session_once() -> None:
    one = simulate(PLAIN)
    assert one.sessions == 2 + 6 * 2
    assert one.seconds == one.computed == 2 * 10 + 12 * 2
    assert one.waited == 0


def test_without_sharing_every_chain_is_whole() -> None:
    assert simulate(replace(PLAIN, shared_base=False)).seconds == 6 * 14


def test_a_slot_waits_for_a_base_session_that_another_computes() -> None:
    one = simulate(replace(PLAIN, slots=2, seeds=1, configurations=2))
    assert one.waited == 10 + POLL
    assert one.seconds == 10 + POLL + 4
    assert one.computed == 10 + 2 * 4


def test_more_slots_than_chains_change_nothing() -> None:
    assert simulate(replace(PLAIN, slots=6)) == simulate(replace(PLAIN, slots=60))


def test_the_driver_is_one_process() -> None:
    """Six chains of three sessions at once, with nothing to compute: the results stand in a line."""
    one = simulate(replace(PLAIN, slots=6, shared_base=False, base_seconds=0, later_seconds=0, driver_seconds=1))
    assert one.driver == one.seconds == 18


def test_it_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--slots", "8", "--driver", "0.001"]) == 0
    assert capsys.readouterr().out.count("\n") == 7


def test_time_beside_the_sessions() -> None:
    def event(name: str, second: int, **values: object) -> dict[str, object]:
        return {"event": name, "time": f"2026-01-01T00:00:{second:02d}.000+00:00", **values}

    found = [
        event("trial_started", 1),
        event("session", 4, seconds=2.0, found=False),
        event("session", 5, seconds=9.0, found=True),
        event("trial_ended", 5),
        event("trial_started", 6),
        event("session", 10, seconds=3.0, found=False),
        event("trial_ended", 11),
    ]
    assert between(found, slots=1) == (10, 5, 2.5)
