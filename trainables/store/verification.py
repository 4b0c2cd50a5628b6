"""Verifies a store: every stage, part and embedding against its checksum."""

import errno
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from datasets.utils.checksum import KEY
from datasets.utils.files import stream_digest
from datasets.utils.location import FolderEntry
from datasets.utils.text import plural
from trainables.store.inventory import Inventory, map_files
from trainables.store.layout import parse_description, part_file, predictions_file, stage_file, trailer

BLOCK = 1 << 20  # bytes read at a time

Result = TypeVar("Result")
Progress = Callable[[int], None]
"""Receives the number of bytes verified so far."""


@dataclass(frozen=True)
class Damage:
    """A file that differs from what was published.

    Attributes:
        name: of the file, relative to the store.
        reason: what was expected, and what was found.
        stages: addresses of the stages that cannot be used without the file.
    """

    name: str
    reason: str
    stages: tuple[str, ...] = ()

    def __str__(self) -> str:
        needed = f"; needed by {plural(len(self.stages), 'stage')}" if self.name.startswith("parts/") else ""
        return f"{self.name}: {self.reason}{needed}"


@dataclass(frozen=True)
class Verification:
    """The outcome of verifying a store.

    Attributes:
        damages: sorted by name of the file.
        stages: number of verified stages.
        parts: number of verified parts.
        arrays: number of verified embeddings.
        unsummed: number of embeddings without a checksum, of which only the length was verified.
        unsummed_stages: number of stages whose description has no checksum, so that their notes were not verified.
        size: bytes read.
    """

    damages: tuple[Damage, ...]
    stages: int
    parts: int
    arrays: int
    unsummed: int
    unsummed_stages: int
    size: int


def verify(inventory: Inventory, progress: Progress = lambda size: None) -> Verification:
    """Reads a whole store. Sweeps may run at the same time: what they evict meanwhile is not reported as damage.

    Raises:
        OSError: a file exists and cannot be read.
        EarshotError: the file system behind a URI does not answer, or denies access.
    """
    damages: list[Damage] = []
    used_by: dict[str, list[str]] = defaultdict(list)
    done = unsummed_stages = 0
    addresses = list(inventory.descriptions)
    checked = map_files(inventory.place, lambda address: _verify_stage(inventory, address), addresses)
    for address, (description, damage) in zip(addresses, checked, strict=True):
        if damage is not None:
            damages.append(damage)
        if description is not None:
            unsummed_stages += KEY not in description
            for digest in set(description["parts"].values()):
                used_by[digest].append(address)
        done += _size(inventory.descriptions[address]) + _size(inventory.predictions.get(address))
        progress(done)

    parts = sorted({*inventory.parts, *used_by})
    part_damages = map_files(inventory.place, lambda digest: _verify_part(inventory, digest, used_by[digest]), parts)
    for digest, damage in zip(parts, part_damages, strict=True):
        if damage is not None:
            damages.append(damage)
        done += _size(inventory.parts.get(digest))
        progress(done)

    unsummed = 0
    arrays = list(inventory.arrays.values())
    array_damages = map_files(inventory.place, lambda file: _verify_array(inventory, file), arrays)
    for file, (damage, has_checksum) in zip(arrays, array_damages, strict=True):
        if damage is not None:
            damages.append(damage)
        unsummed += not has_checksum
        done += _size(file)
        progress(done)

    return Verification(
        tuple(sorted(damages, key=lambda damage: damage.name)),
        stages=len(inventory.descriptions),
        parts=len(parts),
        arrays=len(arrays),
        unsummed=unsummed,
        unsummed_stages=unsummed_stages,
        size=inventory.size,
    )


def remove_damaged(inventory: Inventory, damages: Sequence[Damage]) -> None:
    """Removes damaged files and the stages that cannot be used without them; the next sweep computes them again.

    Raises:
        OSError: a file cannot be removed.
        EarshotError: the file system behind a URI does not answer, or denies access.
    """
    for damage in damages:
        for address in damage.stages:
            inventory.at(stage_file(address)).remove()
            inventory.at(predictions_file(address)).remove()
        inventory.at(damage.name).remove()


def _verify_stage(inventory: Inventory, address: str) -> tuple[dict[str, Any] | None, Damage | None]:
    """Description of a stage, None if it cannot be read, and the damage to its description or predictions."""
    name = stage_file(address)
    content = _read(inventory, name, lambda file: file.read())
    if isinstance(content, Damage):
        return None, Damage(name, content.reason, (address,)) if _is_published(inventory, address) else None
    try:
        description = parse_description(content, address)
    except ValueError:
        return None, Damage(name, "expected the description of this stage, found a damaged one", (address,))
    damage = _verify_digest(inventory, predictions_file(address), description["predictions"])
    if damage is None or not _is_published(inventory, address):
        return description, None
    return description, Damage(damage.name, damage.reason, (address,))


def _verify_part(inventory: Inventory, digest: str, used_by: Sequence[str]) -> Damage | None:
    """The damage to a part, with those of the stages using it that are still published."""
    damage = _verify_digest(inventory, part_file(digest), digest)
    if damage is None:
        return None
    stages = tuple(address for address in used_by if _is_published(inventory, address))
    if inventory.at(damage.name).size() is None and not stages:
        return None  # evicted with its stages since they were listed
    return Damage(damage.name, damage.reason, stages)


def _verify_digest(inventory: Inventory, name: str, expected: str) -> Damage | None:
    """Compares a file with its SHA-256."""
    digest = _read(inventory, name, stream_digest)
    if isinstance(digest, Damage):
        return digest
    if digest == expected:
        return None
    return Damage(name, f"expected SHA-256 {expected[:12]}..., found {digest[:12]}...")


def _verify_array(inventory: Inventory, file: FolderEntry) -> tuple[Damage | None, bool]:
    """The damage to an embedding, and whether it has a checksum."""
    result = _read(inventory, file.name, lambda opened: _array_reason(opened, _size(file)))
    if isinstance(result, Damage):
        is_evicted = inventory.at(file.name).size() is None
        return None if is_evicted else result, True
    reason, has_checksum = result
    return Damage(file.name, reason) if reason else None, has_checksum


def _array_reason(file: Any, size: int) -> tuple[str, bool]:
    """Why an embedding's file is damaged, empty if it is not, and whether it has a checksum."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = reader(file)
        if dtype.hasobject:
            raise ValueError("objects")
    except (ValueError, KeyError, EOFError):
        return "expected a NumPy array, found a damaged header", True
    length = file.tell() + dtype.itemsize * math.prod(shape)
    if size not in (length, length + len(trailer(0))):
        return f"expected {length + len(trailer(0))} bytes, found {size}", True
    file.seek(0)
    checksum, remaining = 0, length
    while remaining and (block := file.read(min(BLOCK, remaining))):
        checksum = zlib.crc32(block, checksum)
        remaining -= len(block)
    end = file.read()
    if end and end != trailer(checksum):
        return "expected contents that match the checksum, found others", True
    return "", bool(end)


def _read(inventory: Inventory, name: str, read: Callable[[Any], Result]) -> Result | Damage:
    """The result of `read` for an open file, or why the file cannot be read."""
    place = inventory.at(name)
    try:
        # not memory-mapped: a bad disk block would then kill this process
        with place.local.open("rb") if place.local is not None else place.open() as file:
            return read(file)
    except FileNotFoundError:
        return Damage(name, "expected a file, found none")
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return Damage(name, f"cannot be read ({error.strerror})")


def _is_published(inventory: Inventory, address: str) -> bool:
    return inventory.at(stage_file(address)).size() is not None


def _size(file: FolderEntry | None) -> int:
    return (file.size or 0) if file is not None else 0
