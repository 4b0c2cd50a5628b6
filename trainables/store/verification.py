"""Whether the files of a store are what was published: every stage, part and embedding against its checksum."""

import errno
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from datasets.utils.files import stream_digest
from datasets.utils.location import Found
from trainables.store.inventory import Holdings, each
from trainables.store.layout import description, part_file, predictions_file, stage_file, trailer

BLOCK = 1 << 20  # bytes that are read at a time

Result = TypeVar("Result")
Listener = Callable[[int], None]
"""Hears how many bytes more are checked."""


@dataclass(frozen=True)
class Damage:
    """A file that is not what was published.

    Attributes:
        name: of the file, relative to the store.
        reason: what was expected, and what was found.
        stages: addresses of the stages that cannot be used without the file.
    """

    name: str
    reason: str
    stages: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = f"; {len(self.stages)} of the stages need it" if self.name.startswith("parts/") else ""
        return f"{self.name}: {self.reason}{more}"


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a store.

    Attributes:
        damages: by name of the file.
        stages: how many were checked.
        parts: how many were checked.
        arrays: how many embeddings were checked.
        unsummed: embeddings without a checksum, of which the length alone was checked.
        size: bytes that were read.
    """

    damages: tuple[Damage, ...]
    stages: int
    parts: int
    arrays: int
    unsummed: int
    size: int


def verify(held: Holdings, listener: Listener = lambda size: None) -> Verdict:
    """Reads all of a store. Sweeps may run meanwhile: what is evicted under our eyes is no damage.

    Raises:
        OSError: a file is there and may not be read.
        EarshotError: the file system behind a URI does not answer, or refuses.
    """
    damages: list[Damage] = []
    referring: dict[str, list[str]] = defaultdict(list)
    for address, found in zip(held.described, each(held.place, lambda a: _stage(held, a), held.described), strict=True):
        described, damage = found
        if damage is not None:
            damages.append(damage)
        if described is not None:
            for digest in set(described["parts"].values()):
                referring[digest].append(address)
        listener(_size(held.described[address]) + _size(held.predictions.get(address)))

    def checked(digest: str) -> Damage | None:
        damage = _digest(held, part_file(digest), digest)
        listener(_size(held.parts.get(digest)))
        if damage is None:
            return None
        needed = tuple(address for address in referring[digest] if _is_there(held, address))
        if held.at(damage.name).size() is None and not needed:
            return None  # evicted with its stages, since they were listed
        return Damage(damage.name, damage.reason, needed)

    def embedding(found: Found) -> tuple[Damage | None, bool]:
        result = _array(held, found)
        listener(_size(found))
        return result

    parts = sorted({*held.parts, *referring})
    damages += [damage for damage in each(held.place, checked, parts) if damage is not None]
    arrays = list(each(held.place, embedding, held.arrays.values()))
    damages += [damage for damage, _ in arrays if damage is not None]
    return Verdict(
        tuple(sorted(damages, key=lambda damage: damage.name)),
        stages=len(held.described),
        parts=len(parts),
        arrays=len(arrays),
        unsummed=sum(not summed for _, summed in arrays),
        size=held.size,
    )


def remove(held: Holdings, damages: Sequence[Damage]) -> None:
    """Removes what is damaged, and the stages that cannot be used without it; the next sweep computes them again.

    Raises:
        OSError: a file cannot be removed.
        EarshotError: the file system behind a URI does not answer, or refuses.
    """
    for damage in damages:
        for address in damage.stages:
            held.at(stage_file(address)).remove()
            held.at(predictions_file(address)).remove()
        held.at(damage.name).remove()


def _stage(held: Holdings, address: str) -> tuple[dict[str, Any] | None, Damage | None]:
    """What a stage's description says, where it can be read, and what is wrong with its own files."""
    name = stage_file(address)
    found = _read(held, name, lambda file: file.read())
    if isinstance(found, Damage):
        return None, Damage(name, found.reason, (address,)) if _is_there(held, address) else None
    try:
        described = description(found, address)
    except ValueError:
        return None, Damage(name, "expected the description of this stage, found a damaged one", (address,))
    damage = _digest(held, predictions_file(address), described["predictions"])
    if damage is None or not _is_there(held, address):
        return described, None
    return described, Damage(damage.name, damage.reason, (address,))


def _digest(held: Holdings, name: str, expected: str) -> Damage | None:
    """What is wrong with a file of which the SHA-256 is known."""
    found = _read(held, name, stream_digest)
    if isinstance(found, Damage) or found == expected:
        return found if isinstance(found, Damage) else None
    return Damage(name, f"expected SHA-256 {expected[:12]}..., found {found[:12]}...")


def _array(held: Holdings, found: Found) -> tuple[Damage | None, bool]:
    """What is wrong with an embedding, and whether it has a checksum."""
    read = _read(held, found.name, lambda file: _array_reason(file, _size(found)))
    if isinstance(read, Damage):
        evicted = held.at(found.name).size() is None
        return None if evicted else read, True
    reason, summed = read
    return Damage(found.name, reason) if reason else None, summed


def _array_reason(file: Any, size: int) -> tuple[str, bool]:
    """What is wrong with an embedding's file, empty if nothing is, and whether it has a checksum."""
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = reader(file)
        if dtype.hasobject:
            raise ValueError("objects")
    except (ValueError, KeyError, EOFError):
        return "expected an array of NumPy, found a damaged header", True
    length = file.tell() + dtype.itemsize * math.prod(shape)
    if size not in (length, length + len(trailer(0))):
        return f"expected {length + len(trailer(0))} bytes, found {size}", True
    file.seek(0)
    checksum, left = 0, length
    while left and (block := file.read(min(BLOCK, left))):
        checksum = zlib.crc32(block, checksum)
        left -= len(block)
    end = file.read()
    if end and end != trailer(checksum):
        return "expected the contents that its checksum tells, found others", True
    return "", bool(end)


def _read(held: Holdings, name: str, read: Callable[[Any], Result]) -> Result | Damage:
    """What `read` makes of a file, or why it cannot be read."""
    place = held.at(name)
    try:
        # not mapped into memory: there a bad block of the disk would end this process
        with place.local.open("rb") if place.local is not None else place.open() as file:
            return read(file)
    except FileNotFoundError:
        return Damage(name, "expected a file, found none")
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return Damage(name, f"cannot be read ({error.strerror})")


def _is_there(held: Holdings, address: str) -> bool:
    return held.at(stage_file(address)).size() is not None


def _size(found: Found | None) -> int:
    return (found.size or 0) if found is not None else 0
