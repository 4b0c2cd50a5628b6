"""Makes room in a store: what was not used for longest goes first, and what the dead have left goes in any case.

Sweeps may run meanwhile. What they use was marked as used a short while ago (`shared_files`) and stays; what
they ask for after it went is computed again. A stage's description goes before its parts, so whatever interrupts this
leaves no stage without its parts, only parts without a stage, which the next call removes.
"""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Found, Location
from trainables.store.inventory import Holdings, StageFiles, copy_of, each, holdings
from trainables.store.layout import stage_file
from trainables.store.lease import Lease
from trainables.store.shared_files import Place

GRACE = 3600.0  # seconds: what was written or marked as used this recently stays; several times depot.MARK
SILENCE = 3600.0  # seconds after which nobody goes on writing a file aside, and an owner that has not beaten is dead


@dataclass(frozen=True)
class Room:
    """What making room did, or would do.

    Attributes:
        place: of the store, or of this machine's copy.
        before: bytes that it held.
        after: bytes that it holds now.
        stages: addresses of the stages that went.
        arrays: addresses of the embeddings that went.
        parts: how many parts went, with their stages or because no stage had them.
        leftovers: how many files of the dead went: asides, leases, predictions without a stage.
        over: bytes over the limit that stay, because they were used a short while ago.
    """

    place: Location
    before: int
    after: int
    stages: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    parts: int = 0
    leftovers: int = 0
    over: int = 0


def evict(
    place: Place,
    max_bytes: int | None = None,
    *,
    unused_for: float | None = None,
    grace: float = GRACE,
    dry_run: bool = False,
    thorough: bool = False,
) -> tuple[Room, ...]:
    """Makes room in a store, and in this machine's copy where the store is behind a URI.

    A store that fits is listed and not read, unless `thorough` or `unused_for` want it.

    Args:
        place: of the store.
        max_bytes: the store and the copy are to hold; None for no limit.
        unused_for: seconds after which a stage or an embedding goes, whether or not there is room.
        grace: seconds within which nothing goes that was written or used; shorter than an hour only where nothing runs.
        dry_run: tells what would go.
        thorough: looks for parts and predictions without a stage in a store that fits, too.

    Raises:
        OSError: a file cannot be read or removed.
        EarshotError: the file system behind a URI does not answer, or refuses.
    """
    shared = holdings(Location.of(place))
    copy = copy_of(shared.place)
    made = []
    for held in (shared, copy):
        if held is not None and (held.size or held.leases or held.folders):
            now = time.time() if dry_run else _now(held.place)
            made.append(_Upkeep(held, now, grace, dry_run).make_room(max_bytes, unused_for, thorough))
    return tuple(made)


def chosen(
    stages: Collection[StageFiles],
    parts: dict[str, Found],
    arrays: dict[str, Found],
    *,
    excess: int,
    stale: float,
    young: float,
    live: Collection[str] = (),
) -> tuple[list[StageFiles], list[Found]]:
    """What goes: least recently used first, until enough is free. A stage is used when a later one of its chain is.

    Args:
        stages: all that there are.
        parts: by digest; those that no stage has go in any case.
        arrays: by address.
        excess: bytes to free.
        stale: what was not used since then goes however much is free (seconds since 1970).
        young: what was used since then stays.
        live: names of files that somebody computes; they stay, too.

    Returns:
        Stages and files of embeddings.
    """
    references = Counter(digest for stage in stages for digest in stage.parts)

    def freed(digests: Iterable[str]) -> int:
        found = [parts[digest] for digest in digests if not references[digest] and digest in parts]
        return _bytes(part for part in found if part.modified <= young)

    excess -= freed(parts)
    used = _last_use(stages)
    items: dict[str, StageFiles | Found] = {stage_file(stage.address): stage for stage in stages}
    queue = [(used[stage.address], -stage.session, stage_file(stage.address)) for stage in stages]
    for array in arrays.values():
        items[array.name] = array
        queue.append((array.modified, 1, array.name))
    going: list[StageFiles] = []
    leaving: list[Found] = []
    for when, _, name in sorted(queue):
        if when > young or (excess <= 0 and when > stale):
            break
        item = items[name]
        if name in live:
            continue
        if isinstance(item, Found):
            leaving.append(item)
            excess -= item.size or 0
        else:
            going.append(item)
            references.subtract(item.parts)
            excess -= item.size + freed(item.parts)
    return going, leaving


class _Upkeep:
    """One round of it in one place."""

    def __init__(self, held: Holdings, now: float, grace: float, dry_run: bool) -> None:
        self.held = held
        self.now = now
        self.young = now - grace
        self.silent = now - SILENCE
        self.dry_run = dry_run

    def make_room(self, limit: int | None, unused_for: float | None, thorough: bool) -> Room:
        held, before = self.held, self.held.size
        live, leftovers = self._leases()
        gone = self._discard([found for name, found in held.asides.items() if self._is_left(name, found, live)])
        leftovers += len(gone)
        if (limit is None or before - _bytes(gone) <= limit) and not thorough and unused_for is None:
            return Room(held.place, before, before - _bytes(gone), leftovers=leftovers)

        stages = held.stages()
        gone += (lost := self._discard(self._lost(live)))
        going, leaving = chosen(
            stages,
            held.parts,
            held.arrays,
            excess=before - _bytes(gone) - limit if limit is not None else 0,
            stale=self.now - unused_for if unused_for is not None else 0,
            young=self.young,
            live=live,
        )
        descriptions = self._discard([held.described[stage.address] for stage in going])
        went = {found.name for found in descriptions}
        evicted = [stage.address for stage in going if stage_file(stage.address) in went]
        gone += descriptions
        gone += self._discard([held.predictions[address] for address in evicted if address in held.predictions])
        parts = self._discard(self._unreferenced([stage for stage in stages if stage_file(stage.address) not in went]))
        arrays = self._discard(leaving)
        gone += parts + arrays
        self._remove_folders(gone)
        after = before - _bytes(gone)
        return Room(
            held.place,
            before,
            after,
            stages=tuple(evicted),
            arrays=tuple(found.name.rpartition("/")[2].removesuffix(".npy") for found in arrays),
            parts=len(parts),
            leftovers=leftovers + len(lost),
            over=max(0, after - limit) if limit is not None else 0,
        )

    def _leases(self) -> tuple[set[str], int]:
        """Names of files that somebody computes; how many leases of the dead went."""
        live: set[str] = set()
        dead = 0
        for name, found in self.held.leases.items():
            lease = Lease(self.held.at(found.name))
            if lease.is_abandoned():
                if not self.dry_run and lease.take():
                    lease.release()
                dead += 1
            elif found.modified > self.silent or lease.is_held_here() or not self._discard([found]):
                live.add(name)
            else:
                dead += 1
        return live, dead

    def _is_left(self, name: str, found: Found, live: Collection[str]) -> bool:
        """Whether a file aside is one that nobody writes any more."""
        folder, _, file = name.rpartition("/")
        computed = {f"{folder}/{file[1:].rsplit('.', 2)[0]}", f"{folder}/stage.json"}
        return found.modified <= self.silent and computed.isdisjoint(live)

    def _lost(self, live: Collection[str]) -> list[Found]:
        """Predictions of stages that were never published, or that are evicted by half."""
        held = self.held
        lost = [address for address in held.predictions if address not in held.described]
        found = [held.predictions[address] for address in lost if stage_file(address) not in live]
        return [one for one in found if one.modified <= self.young]

    def _unreferenced(self, stages: Sequence[StageFiles]) -> list[Found]:
        """Parts that no stage has, nor one that is being published."""
        referenced = {digest for stage in stages for digest in stage.parts}
        lost = [part for digest, part in self.held.parts.items() if digest not in referenced]
        return [part for part in lost if part.modified <= self.young]

    def _discard(self, files: Iterable[Found]) -> list[Found]:
        """Removes files that were not used since they were listed; those that went."""
        held = self.held
        if self.dry_run:
            return list(files)
        files = list(files)
        went = each(held.place, lambda found: held.at(found.name).discard(found.modified), files)
        return [found for found, goes in zip(files, went, strict=True) if goes]

    def _remove_folders(self, gone: Iterable[Found]) -> None:
        """Removes folders of stages that are empty by now, and those of computations that failed long ago.

        The folders above have two digits as names, so there are never many; they stay.
        """
        held = self.held
        used = {*held.described, *held.predictions}
        folders = {found.name for a, found in held.folders.items() if a not in used and found.modified <= self.silent}
        folders |= {found.name.rpartition("/")[0] for found in gone if found.name.startswith("stages/")}
        if not self.dry_run:
            list(each(held.place, lambda name: held.at(name).remove_folder(), sorted(folders)))


def _last_use(stages: Collection[StageFiles]) -> dict[str, float]:
    """When each stage, or one that goes on from it, was used."""
    used = {stage.address: stage.used for stage in stages}
    for stage in sorted(stages, key=lambda one: -one.session):
        if stage.parent in used:
            used[stage.parent] = max(used[stage.parent], used[stage.address])
    return used


def _bytes(files: Iterable[Found]) -> int:
    return sum(found.size or 0 for found in files)


def _now(place: Location) -> float:
    """The time by the clock that dates the files, which is not always ours."""
    probe = place / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    probe.write(b"")
    try:
        return probe.modified() or time.time()
    finally:
        probe.remove()
