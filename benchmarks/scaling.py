"""Simulates sweeps larger than any available cluster: duration, waiting slots, load of the driver.

    python -m benchmarks.scaling                       10,000 chains on 100 nodes, in several shapes

A discrete-event model of `orchestrator.tuning.trials` and `trainables.chain`. Chains are assigned to free slots
configuration by configuration, each with all its seeds. A finished session is read from the store; a slot waits for a
session that another one computes; any other session is computed. The driver is a single process: it handles the result
of every session before the chain's next session starts. Nothing crashes, and storage answers in constant time. The
driver's time per result and a slot's time between chains are by default those that `benchmarks.trials` measured on two
cores.
"""

import argparse
import heapq
from dataclasses import dataclass, replace

from orchestrator.reporting.markdown import table

POLL = 0.5  # seconds: mean time until a waiting slot looks again (trainables.store.lease.POLL_SECONDS)


@dataclass(frozen=True)
class Shape:
    """The size of a sweep, and the times of its parts.

    Attributes:
        name: first cell of its row.
        slots: number of concurrent trials.
        configurations: number of configurations.
        seeds: number of seeds of each configuration.
        sessions: number of sessions of a chain.
        base_seconds: to compute the base session.
        later_seconds: to compute each later session.
        shared_base: whether all configurations share one base session per seed.
        cached_seconds: to read a finished session.
        between_seconds: of a slot between two chains.
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
    cached_seconds: float = 0.02
    between_seconds: float = 0.12
    driver_seconds: float = 0.02


@dataclass(frozen=True)
class Outcome:
    """The result of a simulation.

    Attributes:
        seconds: until the last chain ends.
        computed: seconds that slots spent computing.
        waited: seconds that slots waited for sessions that other slots computed.
        driver: seconds that the driver was busy.
        sessions: number of computed sessions.
    """

    seconds: float
    computed: float
    waited: float
    driver: float
    sessions: int


def simulate(shape: Shape) -> Outcome:
    """Simulates a sweep."""
    jobs = ((c, s) for c in range(shape.configurations) for s in range(shape.seeds))
    ends: dict[tuple[int, int, int], float] = {}  # when each session is finished, by its address
    computed = waited = driver_free = driver_busy = last = 0.0
    sessions = 0
    slots = [(0.0, slot, -1, (0, 0)) for slot in range(shape.slots)]  # (time, slot, last finished session, chain)
    while slots:
        now, slot, finished, job = heapq.heappop(slots)
        if finished >= 0:  # the driver handles its result
            driver_free = max(driver_free, now) + shape.driver_seconds
            driver_busy += shape.driver_seconds
            now = driver_free
            last = max(last, now)
        if finished in (-1, shape.sessions - 1):
            following = next(jobs, None)
            if following is None:
                continue
            job, finished = following, -1
            now += shape.between_seconds
        session = finished + 1
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
            now += shape.cached_seconds
        heapq.heappush(slots, (now, slot, session, job))
    return Outcome(last, computed, waited, driver_busy, sessions)


def main(arguments: list[str] | None = None) -> int:
    """`python -m benchmarks.scaling`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, default=400, help="nodes x trials on each")
    parser.add_argument("--driver", type=float, default=Shape.driver_seconds, help="seconds of the driver per result")
    parser.add_argument(
        "--between", type=float, default=Shape.between_seconds, help="seconds between two chains of a slot"
    )
    options = parser.parse_args(arguments)
    default = Shape("default", options.slots, driver_seconds=options.driver, between_seconds=options.between)
    shapes = [
        replace(default, name="base 300 s, later 30 s, one base session per seed"),
        replace(default, name="the same, 100 seeds", configurations=100, seeds=100),
        replace(default, name="the same, every configuration its own base session", shared_base=False),
        replace(default, name="base 30 s, later 3 s", base_seconds=30, later_seconds=3),
        replace(default, name="base 3 s, later 0.3 s", base_seconds=3, later_seconds=0.3),
    ]
    rows = []
    for shape in shapes:
        outcome = simulate(shape)
        slot_seconds = outcome.seconds * shape.slots
        unshared = (
            shape.configurations * shape.seeds * (shape.base_seconds + shape.later_seconds * (shape.sessions - 1))
        )
        rows.append(
            [
                shape.name,
                f"{outcome.seconds / 3600:.2f}",
                outcome.sessions,
                f"{100 * outcome.computed / slot_seconds:.0f}",
                f"{100 * outcome.waited / slot_seconds:.1f}",
                f"{100 * outcome.driver / outcome.seconds:.0f}",
                f"{outcome.sessions / outcome.seconds:.1f}",
                f"{unshared / outcome.computed:.1f}",
            ]
        )
    header = ["10,000 chains of 5 sessions", ">hours", ">sessions computed", ">slots computing %", ">slots waiting %"]
    print(table([*header, ">driver busy %", ">sessions/s", ">x fewer compute seconds"], rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
