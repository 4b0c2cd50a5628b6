"""Leases between real processes: one holds, the others wait, the dead hold nothing up."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.utils.location import Location
from tests.support.object_store import empty_bucket
from trainables.store.lease import Lease, find_or_compute

HOLD = """
import sys, time
from datasets.utils.location import Location
from trainables.store.lease import Lease
lease = Lease(Location.of(sys.argv[1]), float(sys.argv[2]))
assert lease.take()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location.of(tmp_path / "deep" / "x.lease")


@pytest.fixture
def bucket() -> Iterator[str]:
    with empty_bucket("leases") as uri:
        yield uri


def holder(place: Location, seconds: float) -> subprocess.Popen[str]:
    """A process that holds the lease until it is killed."""
    arguments = [sys.executable, "-c", HOLD, place.address, str(seconds)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def elsewhere(place: Location) -> None:
    """Makes the lease look like that of another machine."""
    content = json.loads(place.read_bytes())
    place.write(json.dumps({**content, "host": "another"}).encode())


def test_one_at_a_time_and_nothing_is_left(place: Location) -> None:
    first, second = Lease(place), Lease(place)
    assert first.take() and not second.take()
    assert second.is_held_here()
    first.release()
    assert place.size() is None and not list(Path(place.address).parent.iterdir())
    assert second.take()
    first.release()  # it is not the first's any more
    assert place.size() is not None
    second.release()


def test_a_killed_owner_of_this_machine_holds_nothing_up(place: Location) -> None:
    process = holder(place, 600)
    lease = Lease(place, 600)
    assert not lease.take()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not lease.is_held_here()
    assert lease.take()
    lease.release()


def test_a_beat_that_stands_still_is_waited_out(place: Location) -> None:
    """The owner is on another machine, as far as one can tell, and says nothing any more."""
    process = holder(place, 600)
    process.kill()
    process.wait()
    elsewhere(place)
    lease = Lease(place, 0.3)
    assert not lease.take()
    time.sleep(0.1)
    assert not lease.take()
    time.sleep(0.3)
    assert lease.take()
    lease.release()


def test_a_beat_that_goes_on_is_respected(place: Location) -> None:
    first = Lease(place, 0.4)
    assert first.take()
    elsewhere(place)
    second = Lease(place, 0.4)
    for _ in range(12):
        assert not second.take()
        time.sleep(0.1)
    first.release()
    assert second.take()
    second.release()


def test_a_stopped_owner_that_wakes_up_does_not_take_it_back(place: Location) -> None:
    process = holder(place, 0.4)
    process.send_signal(signal.SIGSTOP)
    second = Lease(place, 0.4)
    try:
        end = time.monotonic() + 20
        while not second.take():
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert (second.holder() or {})["process"][0] == os.getpid()
    finally:
        process.kill()
        process.wait()
    second.release()
    assert place.size() is None


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[1]", b'{"host": 3, "process": "../../etc"}'])
def test_a_damaged_lease_is_waited_out(place: Location, content: bytes) -> None:
    place.write(content)
    lease = Lease(place, 0.2)
    assert not lease.take()
    time.sleep(0.25)
    assert lease.take()
    lease.release()


def test_many_want_it_and_one_computes(place: Location) -> None:
    results: list[int] = []
    computed: list[int] = []
    answers: list[tuple[int, bool]] = []

    def find() -> int | None:
        return results[0] if results else None

    def compute() -> int:
        computed.append(1)
        time.sleep(0.2)
        results.append(7)
        return 7

    threads = [
        threading.Thread(target=lambda: answers.append(find_or_compute(Lease(place), find, compute))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(computed) == 1
    assert sorted(answers) == [(7, False), *[(7, True)] * 7]
    assert not list(Path(place.address).parent.iterdir())


def test_a_file_system_without_links(place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(os, "link", refused)
    first, second = Lease(place), Lease(place)
    assert first.take() and not second.take()
    first.release()
    assert second.take()
    second.release()


def test_a_computation_that_fails_frees_the_lease(place: Location) -> None:
    def fails() -> int:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        find_or_compute(Lease(place), lambda: None, fails)
    assert place.size() is None


def test_on_an_object_store(bucket: str) -> None:
    place = Location.of(f"{bucket}/store/x.lease")
    first, second = Lease(place, 0.4), Lease(place, 0.4)
    assert first.take() and not second.take()
    elsewhere(place)
    first.beat()
    assert (second.holder() or {})["beat"] >= 1
    first.release()
    assert second.holder() is None and second.take()
    second.release()

    taken: list[bool] = []
    threads = [threading.Thread(target=lambda: taken.append(Lease(place, 60).take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1
