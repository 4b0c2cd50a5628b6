"""LRU eviction for a store; also removes files left behind by crashed processes.

Sweeps may run at the same time. Files that they use were marked as used recently (`shared_files`) and are spared; what
they request after it was evicted is computed again. A stage's description is removed before its parts, so an
interruption never leaves a stage without its parts, only parts without a stage, which the next call removes.
"""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import FolderEntry, Location
from trainables.store.inventory import Inventory, StageFiles, list_local_copy, list_store, map_files
from trainables.store.layout import stage_file
from trainables.store.lease import Lease
from trainables.store.shared_files import Place

KEEP_USED_SECONDS = 3600.0  # files written or marked as used within this time stay; several times MARK_SECONDS
STALE_SECONDS = 3600.0  # temporary files and leases that were not written for so long belong to crashed processes


@dataclass(frozen=True)
class Eviction:
    """The outcome of an eviction, or of a dry run.

    Attributes:
        place: of the store, or of this machine's copy.
        size_before: bytes before.
        size_after: bytes after.
        stages: addresses of the evicted stages.
        arrays: addresses of the evicted embeddings.
        parts: number of removed parts, evicted with their stages or unreferenced.
        leftovers: number of removed files of crashed processes: temporary files, leases, predictions without a stage.
        excess: bytes over the limit that stay, because they were used recently.
    """

    place: Location
    size_before: int
    size_after: int
    stages: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    parts: int = 0
    leftovers: int = 0
    excess: int = 0


def evict(
    place: Place,
    max_bytes: int | None = None,
    *,
    unused_for: float | None = None,
    keep_used: float = KEEP_USED_SECONDS,
    dry_run: bool = False,
    full_scan: bool = False,
) -> tuple[Eviction, ...]:
    """Evicts from a store, and from this machine's copy if the store is behind a URI.

    The descriptions of a store within its limit are not read, unless `full_scan` or `unused_for` requires it.

    Args:
        place: of the store.
        max_bytes: size limit of the store and of the copy; None for no limit.
        unused_for: seconds after which stages and embeddings are evicted even if the store is within its limit.
        keep_used: files written or used within so many seconds stay; less than an hour only while nothing runs.
        dry_run: removes nothing.
        full_scan: also looks for unreferenced parts and predictions in a store within its limit.

    Returns:
        One outcome each for the store and the copy; none for an empty one.

    Raises:
        OSError: a file cannot be read or removed.
        EarshotError: the file system behind a URI does not answer, or denies access.
    """
    shared = list_store(Location.of(place))
    evictions = []
    for inventory in (shared, list_local_copy(shared.place)):
        if inventory is not None and (inventory.size or inventory.leases or inventory.stage_folders):
            now = time.time() if dry_run else _storage_time(inventory.place)
            evictions.append(_Evictor(inventory, now, keep_used, dry_run).run(max_bytes, unused_for, full_scan))
    return tuple(evictions)


def select_for_eviction(
    stages: Collection[StageFiles],
    parts: dict[str, FolderEntry],
    arrays: dict[str, FolderEntry],
    *,
    excess: int,
    unused_since: float,
    used_since: float,
    locked: Collection[str] = (),
) -> tuple[list[StageFiles], list[FolderEntry]]:
    """Selects the least recently used stages and embeddings. Using a stage also counts as using its ancestors.

    Args:
        stages: all stages.
        parts: by digest; unreferenced ones are removed in any case.
        arrays: by address.
        excess: bytes to free.
        unused_since: items not used since then are selected whatever the excess (seconds since 1970).
        used_since: items used since then are not selected.
        locked: names of files that are being computed; not selected either.

    Returns:
        Stages, and files of embeddings.
    """
    usage = _PartUsage(parts, stages, used_since)
    excess -= usage.freed(parts)
    evicted_stages: list[StageFiles] = []
    evicted_arrays: list[FolderEntry] = []
    for last_used, name, item in _least_recently_used(stages, arrays):
        if last_used > used_since or (excess <= 0 and last_used > unused_since):
            break
        if name in locked:
            continue
        if isinstance(item, FolderEntry):
            evicted_arrays.append(item)
            excess -= item.size or 0
        else:
            evicted_stages.append(item)
            excess -= item.size + usage.remove(item)
    return evicted_stages, evicted_arrays


class _PartUsage:
    """Counts the stages that refer to each part."""

    def __init__(self, parts: dict[str, FolderEntry], stages: Iterable[StageFiles], used_since: float) -> None:
        self._parts = parts
        self._used_since = used_since
        self._references = Counter(digest for stage in stages for digest in stage.parts)

    def remove(self, stage: StageFiles) -> int:
        """Removes a stage; returns the bytes of the parts that no other stage refers to."""
        self._references.subtract(stage.parts)
        return self.freed(stage.parts)

    def freed(self, digests: Iterable[str]) -> int:
        """Bytes of those parts that no stage refers to and that were not used recently."""
        unreferenced = [self._parts[d] for d in digests if not self._references[d] and d in self._parts]
        return _bytes(part for part in unreferenced if part.modified <= self._used_since)


def _least_recently_used(
    stages: Collection[StageFiles], arrays: dict[str, FolderEntry]
) -> list[tuple[float, str, StageFiles | FolderEntry]]:
    """Time of last use, name, and item; later sessions of a chain before earlier ones."""
    last_use = _last_use(stages)
    queue: list[tuple[float, int, str, StageFiles | FolderEntry]] = [
        (last_use[stage.address], -stage.session, stage_file(stage.address), stage) for stage in stages
    ]
    queue += [(array.modified, 1, array.name, array) for array in arrays.values()]
    queue.sort(key=lambda entry: entry[:3])
    return [(last_used, name, item) for last_used, _, name, item in queue]


def _last_use(stages: Collection[StageFiles]) -> dict[str, float]:
    """When each stage or one of its descendants was last used, by address."""
    last_use = {stage.address: stage.last_used for stage in stages}
    for stage in sorted(stages, key=lambda stage: -stage.session):
        if stage.parent in last_use:
            last_use[stage.parent] = max(last_use[stage.parent], last_use[stage.address])
    return last_use


class _Evictor:
    """Evicts from one place."""

    def __init__(self, inventory: Inventory, now: float, keep_used: float, dry_run: bool) -> None:
        self.inventory = inventory
        self.now = now
        self.used_since = now - keep_used
        self.stale_since = now - STALE_SECONDS
        self.dry_run = dry_run

    def run(self, limit: int | None, unused_for: float | None, full_scan: bool) -> Eviction:
        inventory, before = self.inventory, self.inventory.size
        locked, leftovers = self._check_leases()
        temporary = [file for name, file in inventory.temporary.items() if self._is_stale(name, file, locked)]
        removed = self._remove(temporary)
        leftovers += len(removed)
        if (limit is None or before - _bytes(removed) <= limit) and not full_scan and unused_for is None:
            return Eviction(inventory.place, before, before - _bytes(removed), leftovers=leftovers)

        stages = inventory.stages()
        orphans = self._remove(self._orphaned_predictions(locked))
        removed += orphans
        selected_stages, selected_arrays = select_for_eviction(
            stages,
            inventory.parts,
            inventory.arrays,
            excess=before - _bytes(removed) - limit if limit is not None else 0,
            unused_since=self.now - unused_for if unused_for is not None else 0,
            used_since=self.used_since,
            locked=locked,
        )
        evicted, files = self._remove_stages(selected_stages)
        parts = self._remove(self._unreferenced([stage for stage in stages if stage.address not in evicted]))
        arrays = self._remove(selected_arrays)
        removed += files + parts + arrays
        self._remove_folders(removed)
        after = before - _bytes(removed)
        return Eviction(
            inventory.place,
            before,
            after,
            stages=tuple(evicted),
            arrays=tuple(file.name.rpartition("/")[2].removesuffix(".npy") for file in arrays),
            parts=len(parts),
            leftovers=leftovers + len(orphans),
            excess=max(0, after - limit) if limit is not None else 0,
        )

    def _check_leases(self) -> tuple[set[str], int]:
        """Names of files that are being computed, and the number of removed leases of crashed processes."""
        locked: set[str] = set()
        removed = 0
        for name, file in self.inventory.leases.items():
            lease = Lease(self.inventory.at(file.name))
            if lease.is_abandoned():
                if not self.dry_run and lease.take():
                    lease.release()
                removed += 1
            elif file.modified > self.stale_since or lease.is_held_here() or not self._remove([file]):
                locked.add(name)
            else:
                removed += 1
        return locked, removed

    def _is_stale(self, name: str, file: FolderEntry, locked: Collection[str]) -> bool:
        """Whether a temporary file is no longer being written."""
        folder, _, base = name.rpartition("/")
        targets = {f"{folder}/{base[1:].rsplit('.', 2)[0]}", f"{folder}/stage.json"}
        return file.modified <= self.stale_since and targets.isdisjoint(locked)

    def _orphaned_predictions(self, locked: Collection[str]) -> list[FolderEntry]:
        """Predictions of stages that were never published, or whose eviction was interrupted."""
        inventory = self.inventory
        orphaned = [address for address in inventory.predictions if address not in inventory.descriptions]
        files = [inventory.predictions[address] for address in orphaned if stage_file(address) not in locked]
        return [file for file in files if file.modified <= self.used_since]

    def _remove_stages(self, selected: Sequence[StageFiles]) -> tuple[list[str], list[FolderEntry]]:
        """Removes descriptions, then predictions; returns the addresses of the removed stages, and the files."""
        inventory = self.inventory
        descriptions = self._remove([inventory.descriptions[stage.address] for stage in selected])
        names = {file.name for file in descriptions}
        evicted = [stage.address for stage in selected if stage_file(stage.address) in names]
        predictions = [inventory.predictions[address] for address in evicted if address in inventory.predictions]
        return evicted, descriptions + self._remove(predictions)

    def _unreferenced(self, stages: Sequence[StageFiles]) -> list[FolderEntry]:
        """Parts that no stage refers to, without those of a stage that is being published."""
        referenced = {digest for stage in stages for digest in stage.parts}
        parts = [part for digest, part in self.inventory.parts.items() if digest not in referenced]
        return [part for part in parts if part.modified <= self.used_since]

    def _remove(self, files: Iterable[FolderEntry]) -> list[FolderEntry]:
        """Removes files that were not used since they were listed; returns the removed ones."""
        inventory, files = self.inventory, list(files)
        if self.dry_run:
            return files
        removed = map_files(inventory.place, lambda file: inventory.at(file.name).discard(file.modified), files)
        return [file for file, is_removed in zip(files, removed, strict=True) if is_removed]

    def _remove_folders(self, removed: Iterable[FolderEntry]) -> None:
        """Removes folders of stages that are empty now, and stale ones of failed computations.

        The folders above them are named by two digits, so there are never many; they stay.
        """
        inventory = self.inventory
        in_use = {*inventory.descriptions, *inventory.predictions}
        unused = [folder for address, folder in inventory.stage_folders.items() if address not in in_use]
        folders = {folder.name for folder in unused if folder.modified <= self.stale_since}
        folders |= {file.name.rpartition("/")[0] for file in removed if file.name.startswith("stages/")}
        if not self.dry_run:
            list(map_files(inventory.place, lambda name: inventory.at(name).remove_folder(), sorted(folders)))


def _bytes(files: Iterable[FolderEntry]) -> int:
    return sum(file.size or 0 for file in files)


def _storage_time(place: Location) -> float:
    """The time by the clock of the storage, which may differ from ours."""
    probe = place / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    probe.write(b"")
    try:
        return probe.modified() or time.time()
    finally:
        probe.remove()
