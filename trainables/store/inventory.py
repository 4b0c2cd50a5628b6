"""What a store holds: its stages with their parts, its embeddings, and what the dead have left.

Only names that a store gives are taken for its own; whatever else lies there is counted and never touched.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Found, Location
from datasets.utils.text import printable
from trainables.store.layout import (
    FEATURES,
    description,
    embedding_file,
    part_file,
    predictions_file,
    stage_file,
)
from trainables.store.lease import SUFFIX
from trainables.store.shared_files import SharedFiles

REQUESTS = 16  # files that are asked for at a time behind a URI

_DIGEST = re.compile("[0-9a-f]{64}")
_FOLDER = re.compile(r"stages/[0-9a-f]{2}/([0-9a-f]{64})")
_ASIDE = re.compile(rf"(?:(?:stages|parts|{FEATURES})/(?:.*/)?)?\.[^/]*{re.escape(TEMPORARY_SUFFIX)}")
_LEASE = re.compile(rf"((?:stages|{FEATURES})/.*[^/]){re.escape(SUFFIX)}")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class StageFiles:
    """A stage as files.

    Attributes:
        address: of the stage.
        used: when it was published or last used, in seconds since 1970.
        size: bytes of its description and predictions, without parts.
        parts: digests of its parts; none where the description is damaged.
        depends_on: everything that determines it; empty where the description is damaged.
        seconds: that computing it took.
    """

    address: str
    used: float
    size: int
    parts: tuple[str, ...] = ()
    depends_on: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def method(self) -> str:
        """Its method, for people; '?' where the description does not say."""
        return printable(str(self.depends_on.get("method", "?")))

    @property
    def session(self) -> int:
        """Its session; -1 where the description does not say."""
        found = self.depends_on.get("session")
        return found if isinstance(found, int) else -1

    @property
    def parent(self) -> str | None:
        """The address of the stage before it."""
        found = self.depends_on.get("parent")
        return found if isinstance(found, str) else None

    @property
    def data(self) -> str:
        """Fingerprint of the benchmark, for people; '?' where the description does not say."""
        return printable(str(self.depends_on.get("data", "?")))


@dataclass
class Holdings:
    """The files of a store by what they are; names are relative to the store.

    Attributes:
        place: of the store.
        features: of its embeddings.
        described: files named stage.json, by the address of the stage.
        predictions: by the address of the stage.
        folders: of stages, by address.
        parts: by digest.
        arrays: embeddings, by address.
        asides: files that are or were being written, by name.
        leases: by the name of the file that they guard.
        others: files that no store makes.
    """

    place: Location
    features: Location
    described: dict[str, Found] = field(default_factory=dict)
    predictions: dict[str, Found] = field(default_factory=dict)
    folders: dict[str, Found] = field(default_factory=dict)
    parts: dict[str, Found] = field(default_factory=dict)
    arrays: dict[str, Found] = field(default_factory=dict)
    asides: dict[str, Found] = field(default_factory=dict)
    leases: dict[str, Found] = field(default_factory=dict)
    others: list[Found] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files that the store has made."""
        kinds = (self.described, self.predictions, self.parts, self.arrays, self.asides)
        return sum(found.size or 0 for kind in kinds for found in kind.values())

    def at(self, name: str) -> Location:
        """Where a file of the store lies."""
        head, _, rest = name.partition("/")
        return self.features / rest if head == FEATURES else self.place / name

    def stages(self) -> list[StageFiles]:
        """The stages, by address; reads the description of each.

        Raises:
            OSError: a description is there and cannot be read.
            EarshotError: the file system behind a URI does not answer, or refuses.
        """
        found = each(self.place, self._stage, sorted(self.described))
        return [stage for stage in found if stage is not None]

    def _stage(self, address: str) -> StageFiles | None:
        file, predictions = self.described[address], self.predictions.get(address)
        size = (file.size or 0) + ((predictions.size or 0) if predictions else 0)
        try:
            described = description(self.at(stage_file(address)).read_bytes(), address)
        except FileNotFoundError:  # removed since it was listed
            return None
        except ValueError:
            return StageFiles(address, file.modified, size)
        parts = tuple(dict.fromkeys(described["parts"].values()))
        return StageFiles(address, file.modified, size, parts, described["depends_on"], float(described["seconds"]))

    def _sort_in(self, found: Found) -> None:
        name = found.name
        if found.size is None:
            if folder := _FOLDER.fullmatch(name):
                self.folders[folder[1]] = found
        elif _ASIDE.fullmatch(name):
            self.asides[name] = found
        elif lease := _LEASE.fullmatch(name):
            self.leases[lease[1]] = found
        else:
            digest = _DIGEST.search(name)
            kinds = (
                (stage_file, self.described),
                (predictions_file, self.predictions),
                (part_file, self.parts),
                (embedding_file, self.arrays),
            )
            for named, kind in kinds:
                if digest is not None and name == named(digest[0]):
                    kind[digest[0]] = found
                    return
            self.others.append(found)


def holdings(place: Location, features: Location | None = None) -> Holdings:
    """What lies in a store, without a look into its files.

    Args:
        place: of the store.
        features: of its embeddings, where that is not the folder `features` in it.

    Raises:
        OSError: a folder cannot be read.
        EarshotError: the file system behind a URI does not answer, or refuses.
    """
    held = Holdings(place, features or place / FEATURES)
    for found in place.walk():
        held._sort_in(found)
    for found in features.walk() if features is not None else ():
        held._sort_in(Found(f"{FEATURES}/{found.name}", found.size, found.modified))
    return held


def copy_of(place: Location) -> Holdings | None:
    """What lies in this machine's copy of a store behind a URI; None where the store is a folder."""
    stages, arrays = SharedFiles(place), SharedFiles(place / FEATURES)
    if not stages.is_copied:
        return None
    return holdings(Location.of(stages.folder), Location.of(arrays.folder))


def each(place: Location, action: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Does something to each item, in order; many at a time where every one is a request to a server."""
    if place.local is not None:
        yield from map(action, items)
        return
    with ThreadPoolExecutor(REQUESTS) as pool:
        yield from pool.map(action, items)
