"""A sweep that is larger than any cluster at hand, simulated: when does it end, who waits, is the driver in the way?

    python -m benchmarks.scaling                       10,000 chains on 100 nodes, in several shapes

A discrete-event model of `orchestrator.tuning.trials` and `trainables.chain`. Chains are handed out configuration by
configuration, each with all its seeds, to whichever slot is free. A session that is finished is found; one that another
slot computes is waited for; any other is computed. Every session's result passes the driver, which is one process, and
the chain's next session begins after that. Nothing dies, and storage answers in constant time. What the driver takes
for a result, and a slot from one chain to the next, is by default what `benchmarks.trials` measured on two cores.
"""

import argparse
import heapq
from dataclasses import dataclass, replace

from orchestrator.reporting.markdown import table

POLL = 0.5  # seconds: mean time until a waiting slot looks again (trainables.store.lease.PAUSES)


@dataclass(frozen=True)
class Shape:
    """A sweep and what its parts take.

    Attributes:
        name: for the table.
        slots: trials at a time.
        configurations: that are tried.
        seeds: of each.
        sessions: of a chain.
        base_seconds: of the base session.
        later_seconds: of each later session.
        shared_base: whether all configurations have one base session per seed; else each has its own.
        found_seconds: to find a finished session.
        between_seconds: of a slot from one chain to the next.
        driver_seconds: of the driver for one result.
    """

    name: str
    slots: int = 400
    configurations: int = 1000
    seeds: int = 10
    sessions: int = 5
    base_seconds: float = 300.0
    later_seconds: float = 30.0
    shared_base: bool = True
    found_seconds: float = 0.02
    between_seconds: float = 0.12
    driver_seconds: float = 0.02


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        seconds: until the last chain ends.
        computed: seconds of slots in sessions that were computed.
        waited: seconds of slots that waited for a session which another slot computed.
        driver: seconds that the driver was busy.
        sessions: that were computed.
    """

    seconds: float
    computed: float
    waited: float
    driver: float
    sessions: int


def simulate(shape: Shape) -> Outcome:
    """Runs a sweep in the model."""
    jobs = ((c, s) for c in range(shape.configurations) for s in range(shape.seeds))
    ends: dict[tuple[int, int, int], float] = {}  # when a session is finished, by its address
    computed = waited = driver_free = driver_busy = last = 0.0
    sessions = 0
    slots = [(0.0, slot, -1, (0, 0)) for slot in range(shape.slots)]  # (time, slot, session that is over, chain)
    while slots:
        now, slot, over, job = heapq.heappop(slots)
        if over >= 0:  # its result passes the driver
            driver_free = max(driver_free, now) + shape.driver_seconds
            driver_busy += shape.driver_seconds
            now = driver_free
            last = max(last, now)
        if over in (-1, shape.sessions - 1):
            following = next(jobs, None)
            if following is None:
                continue
            job, over = following, -1
            now += shape.between_seconds
        session = over + 1
        address = (-1 if session == 0 and shape.shared_base else job[0], job[1], session)
        if address not in ends:
            seconds = shape.base_seconds if session == 0 else shape.later_seconds
            ends[address] = now + seconds
            computed += seconds
            sessions += 1
            now += seconds
        elif ends[address] > now:
            waited += ends[address] + POLL - now
            now = ends[address] + POLL
        else:
            now += shape.found_seconds
        heapq.heappush(slots, (now, slot, session, job))
    return Outcome(last, computed, waited, driver_busy, sessions)


def main(arguments: list[str] | None = None) -> int:
    """`python -m benchmarks.scaling`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, default=400, help="nodes x trials on each")
    parser.add_argument("--driver", type=float, default=Shape.driver_seconds, help="seconds of the driver for a result")
    parser.add_argument("--between", type=float, default=Shape.between_seconds, help="seconds from a chain to the next")
    given = parser.parse_args(arguments)
    usual = Shape("usual", given.slots, driver_seconds=given.driver, between_seconds=given.between)
    shapes = [
        replace(usual, name="base 300 s, later 30 s, one base session per seed"),
        replace(usual, name="the same, 100 seeds", configurations=100, seeds=100),
        replace(usual, name="the same, every configuration its own base session", shared_base=False),
        replace(usual, name="base 30 s, later 3 s", base_seconds=30, later_seconds=3),
        replace(usual, name="base 3 s, later 0.3 s", base_seconds=3, later_seconds=0.3),
    ]
    rows = []
    for shape in shapes:
        one = simulate(shape)
        room = one.seconds * shape.slots
        apart = shape.configurations * shape.seeds * (shape.base_seconds + shape.later_seconds * (shape.sessions - 1))
        rows.append(
            [
                shape.name,
                f"{one.seconds / 3600:.2f}",
                one.sessions,
                f"{100 * one.computed / room:.0f}",
                f"{100 * one.waited / room:.1f}",
                f"{100 * one.driver / one.seconds:.0f}",
                f"{one.sessions / one.seconds:.1f}",
                f"{apart / one.computed:.1f}",
            ]
        )
    header = ["10,000 chains of 5 sessions", ">hours", ">sessions computed", ">slots computing %", ">slots waiting %"]
    print(table([*header, ">driver busy %", ">sessions/s", ">x fewer compute seconds"], rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
