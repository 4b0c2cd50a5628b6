"""Leases between real processes: one holds, the others wait, and a crashed owner blocks nobody."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.utils.location import Location
from tests.support.object_store import empty_bucket
from tests.support.processes import wait_for
from trainables.store.lease import Lease, find_or_compute

HOLD = """
import sys
from datasets.utils.location import Location
from trainables.store.lease import Lease
lease = Lease(Location.of(sys.argv[1]), float(sys.argv[2]))
assert lease.take()
print("held", flush=True)
for line in sys.stdin:
    lease.renew()
    print("renewed", flush=True)
"""
"""A process that holds a lease, and renews it once for each line of its input."""


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location.of(tmp_path / "deep" / "x.lease")


@pytest.fixture
def bucket() -> Iterator[str]:
    with empty_bucket("leases") as uri:
        yield uri


def start_owner(place: Location, seconds: float) -> subprocess.Popen[str]:
    """Starts a process that holds the lease until it is killed."""
    command = [sys.executable, "-c", HOLD, place.address, str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def move_to_another_machine(place: Location) -> None:
    """Makes the lease look like that of another machine."""
    content = json.loads(place.read_bytes())
    place.write(json.dumps({**content, "host": "another"}).encode())


def test_one_owner_at_a_time_and_no_file_remains(place: Location) -> None:
    first, second = Lease(place), Lease(place)
    assert first.take() and not second.take()
    assert second.is_held_here()
    first.release()
    assert place.size() is None and not list(Path(place.address).parent.iterdir())
    assert second.take()
    first.release()  # no longer its own
    assert place.size() is not None
    second.release()


def test_the_lease_of_a_killed_owner_on_this_machine_is_taken_at_once(place: Location) -> None:
    process = start_owner(place, 600)
    lease = Lease(place, 600, now=Clock())
    assert not lease.take()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not lease.is_held_here()
    assert lease.take()
    lease.release()


def test_an_owner_that_exited_but_was_not_reaped_counts_as_exited(place: Location) -> None:
    """As in containers whose first process does not reap orphans."""
    process = start_owner(place, 600)
    lease = Lease(place, 600, now=Clock())
    process.send_signal(signal.SIGKILL)
    try:
        wait_for(lambda: os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT), 20)  # it stays a zombie
        assert lease.is_abandoned() and lease.take()
    finally:
        process.wait()
    lease.release()


def test_a_lease_that_is_not_renewed_expires(place: Location) -> None:
    """The owner was on another machine, so only the missing renewals show that it has exited."""
    process = start_owner(place, 600)
    process.kill()
    process.wait()
    move_to_another_machine(place)
    clock = Clock()
    lease = Lease(place, 60, now=clock)
    assert not lease.take()
    clock.seconds = 59
    assert not lease.take()
    clock.seconds = 60
    assert lease.take()
    lease.release()


def test_a_lease_that_is_renewed_does_not_expire(place: Location) -> None:
    owner = Lease(place, 600)
    assert owner.take()
    move_to_another_machine(place)
    clock = Clock()
    lease = Lease(place, 60, now=clock)
    for _ in range(12):
        assert not lease.take()
        owner.renew()
        clock.seconds += 59
    owner.release()
    assert lease.take()
    lease.release()


def test_a_thread_renews_all_leases_of_a_process(place: Location, tmp_path: Path) -> None:
    leases = [Lease(place, 0.04), Lease(Location.of(tmp_path / "y.lease"), 0.04)]
    for lease in leases:
        assert lease.take()
    wait_for(lambda: all((lease.holder() or {}).get("beat", 0) >= 2 for lease in leases), 20)
    for lease in leases:
        lease.release()


def test_a_machine_of_the_same_name_is_another_machine(place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes are not those of this machine, so its lease expires by missing renewals alone."""
    process = start_owner(place, 600)
    here = json.loads(place.read_bytes())["host"]
    process.kill()
    process.wait()
    name, boot, namespace = here.split(" ")
    monkeypatch.setattr("trainables.store.lease._host", lambda: f"{name} {boot[::-1]} {namespace}")
    clock = Clock()
    lease = Lease(place, 60, now=clock)
    assert not lease.is_held_here() and not lease.is_abandoned() and not lease.take()
    clock.seconds = 60
    assert lease.take()
    lease.release()


def test_a_stopped_owner_that_resumes_does_not_take_its_lease_back(place: Location) -> None:
    process = start_owner(place, 600)
    assert process.stdin is not None and process.stdout is not None
    process.send_signal(signal.SIGSTOP)
    clock = Clock()
    lease = Lease(place, 60, now=clock)
    try:
        assert not lease.take()
        clock.seconds = 60
        assert lease.take()
        process.send_signal(signal.SIGCONT)
        process.stdin.write("renew\n")
        process.stdin.flush()
        assert process.stdout.readline() == "renewed\n"
        assert (lease.holder() or {})["process"][0] == os.getpid()
    finally:
        process.kill()
        process.wait()
    lease.release()
    assert place.size() is None


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[1]", b'{"host": 3, "process": "../../etc"}'])
def test_a_damaged_lease_expires(place: Location, content: bytes) -> None:
    place.write(content)
    clock = Clock()
    lease = Lease(place, 60, now=clock)
    assert not lease.take()
    clock.seconds = 60
    assert lease.take()
    lease.release()


def test_of_many_threads_one_computes(place: Location) -> None:
    stored: list[int] = []
    computed: list[int] = []
    answers: list[tuple[int, bool]] = []
    looked: set[threading.Thread] = set()
    all_have_looked = threading.Barrier(8)

    def find() -> int | None:
        if threading.current_thread() not in looked:
            looked.add(threading.current_thread())
            all_have_looked.wait(20)
        return stored[0] if stored else None

    def compute() -> int:
        computed.append(1)
        stored.append(7)
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
    def no_links(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    first, second = Lease(place), Lease(place)
    assert first.take() and not second.take()
    first.release()
    assert second.take()
    second.release()


def test_a_failed_computation_releases_the_lease(place: Location) -> None:
    def fail() -> int:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        find_or_compute(Lease(place), lambda: None, fail)
    assert place.size() is None


def test_leases_on_an_object_store(bucket: str) -> None:
    place = Location.of(f"{bucket}/store/x.lease")
    clock = Clock()
    first, second = Lease(place, 600), Lease(place, 60, now=clock)
    assert first.take() and not second.take()
    move_to_another_machine(place)
    first.renew()
    assert (second.holder() or {})["beat"] >= 1
    clock.seconds = 60
    assert not second.take()  # renewed since the first attempt
    clock.seconds = 120
    assert second.take()
    content = second.holder()
    first.renew()
    assert second.holder() == content  # no longer the first one's
    second.release()
    first.release()
    assert second.holder() is None

    taken: list[bool] = []
    threads = [threading.Thread(target=lambda: taken.append(Lease(place, 60).take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1
