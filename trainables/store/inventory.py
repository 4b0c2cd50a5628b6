"""Lists the files of a store: stages and their parts, embeddings, leases and temporary files.

Only file names that the store itself creates are recognised; all other files are counted and never touched.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import FolderEntry, Location
from datasets.utils.text import printable
from trainables.store.layout import (
    FEATURES,
    embedding_file,
    parse_description,
    part_file,
    predictions_file,
    stage_file,
)
from trainables.store.lease import SUFFIX
from trainables.store.shared_files import SharedFiles

CONCURRENT_REQUESTS = 16  # to a server behind a URI

_DIGEST = re.compile("[0-9a-f]{64}")
_STAGE_FOLDER = re.compile(r"stages/[0-9a-f]{2}/([0-9a-f]{64})")
_TEMPORARY = re.compile(rf"(?:(?:stages|parts|{FEATURES})/(?:.*/)?)?\.[^/]*{re.escape(TEMPORARY_SUFFIX)}")
_LEASE = re.compile(rf"((?:stages|{FEATURES})/.*[^/]){re.escape(SUFFIX)}")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class StageFiles:
    """The files of a stage.

    Attributes:
        address: of the stage.
        last_used: when it was published or last used, in seconds since 1970.
        size: bytes of its description and predictions, without parts.
        parts: digests of its parts; empty if the description is damaged.
        depends_on: everything that determines it; empty if the description is damaged.
        seconds: computing time.
    """

    address: str
    last_used: float
    size: int
    parts: tuple[str, ...] = ()
    depends_on: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def method(self) -> str:
        """Printable name of its method; '?' if unknown."""
        return printable(str(self.depends_on.get("method", "?")))

    @property
    def session(self) -> int:
        """Index of its session; -1 if unknown."""
        session = self.depends_on.get("session")
        return session if isinstance(session, int) else -1

    @property
    def parent(self) -> str | None:
        """The address of the previous stage of its chain."""
        parent = self.depends_on.get("parent")
        return parent if isinstance(parent, str) else None

    @property
    def data(self) -> str:
        """Printable fingerprint of the benchmark; '?' if unknown."""
        return printable(str(self.depends_on.get("data", "?")))


@dataclass
class Inventory:
    """The files of a store by kind; names are relative to the store.

    Attributes:
        place: of the store.
        features: folder of its embeddings.
        descriptions: files named stage.json, by the address of the stage.
        predictions: by the address of the stage.
        stage_folders: by the address of the stage.
        parts: by digest.
        arrays: embeddings, by address.
        temporary: files that are or were being written, by name.
        leases: by the name of the file that they guard.
        foreign: files that were not created by a store.
    """

    place: Location
    features: Location
    descriptions: dict[str, FolderEntry] = field(default_factory=dict)
    predictions: dict[str, FolderEntry] = field(default_factory=dict)
    stage_folders: dict[str, FolderEntry] = field(default_factory=dict)
    parts: dict[str, FolderEntry] = field(default_factory=dict)
    arrays: dict[str, FolderEntry] = field(default_factory=dict)
    temporary: dict[str, FolderEntry] = field(default_factory=dict)
    leases: dict[str, FolderEntry] = field(default_factory=dict)
    foreign: list[FolderEntry] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files that the store has created, without leases."""
        kinds = (self.descriptions, self.predictions, self.parts, self.arrays, self.temporary)
        return sum(file.size or 0 for kind in kinds for file in kind.values())

    def at(self, name: str) -> Location:
        """The location of a file of the store."""
        head, _, rest = name.partition("/")
        return self.features / rest if head == FEATURES else self.place / name

    def stages(self) -> list[StageFiles]:
        """The stages, sorted by address; reads the description of each.

        Raises:
            OSError: a description exists and cannot be read.
            EarshotError: the file system behind a URI does not answer, or denies access.
        """
        stages = map_files(self.place, self._stage, sorted(self.descriptions))
        return [stage for stage in stages if stage is not None]

    def _stage(self, address: str) -> StageFiles | None:
        file, predictions = self.descriptions[address], self.predictions.get(address)
        size = (file.size or 0) + ((predictions.size or 0) if predictions else 0)
        try:
            description = parse_description(self.at(stage_file(address)).read_bytes(), address)
        except FileNotFoundError:  # removed since it was listed
            return None
        except ValueError:
            return StageFiles(address, file.modified, size)
        parts = tuple(dict.fromkeys(description["parts"].values()))
        seconds = float(description["seconds"])
        return StageFiles(address, file.modified, size, parts, description["depends_on"], seconds)

    def _add(self, file: FolderEntry) -> None:
        name = file.name
        if file.size is None:
            if folder := _STAGE_FOLDER.fullmatch(name):
                self.stage_folders[folder[1]] = file
        elif _TEMPORARY.fullmatch(name):
            self.temporary[name] = file
        elif lease := _LEASE.fullmatch(name):
            self.leases[lease[1]] = file
        else:
            digest = _DIGEST.search(name)
            kinds = (
                (stage_file, self.descriptions),
                (predictions_file, self.predictions),
                (part_file, self.parts),
                (embedding_file, self.arrays),
            )
            for name_of, kind in kinds:
                if digest is not None and name == name_of(digest[0]):
                    kind[digest[0]] = file
                    return
            self.foreign.append(file)


def list_store(place: Location, features: Location | None = None) -> Inventory:
    """Lists the files of a store without reading them.

    Args:
        place: of the store.
        features: folder of its embeddings, unless that is the folder `features` in it.

    Raises:
        OSError: a folder cannot be read.
        EarshotError: the file system behind a URI does not answer, or denies access.
    """
    inventory = Inventory(place, features or place / FEATURES)
    for file in place.walk():
        inventory._add(file)
    for file in features.walk() if features is not None else ():
        inventory._add(FolderEntry(f"{FEATURES}/{file.name}", file.size, file.modified))
    return inventory


def list_local_copy(place: Location) -> Inventory | None:
    """Lists this machine's copy of a store behind a URI; None if the store is a folder."""
    stages, arrays = SharedFiles(place), SharedFiles(place / FEATURES)
    if not stages.is_copied:
        return None
    return list_store(Location.of(stages.folder), Location.of(arrays.folder))


def map_files(place: Location, action: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Applies a function to each item, in order; concurrently if `place` is behind a URI."""
    if place.local is not None:
        yield from map(action, items)
        return
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        yield from pool.map(action, items)
