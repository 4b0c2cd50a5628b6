"""Arrays on disk by content address, and their rows as tensors.

    STORE/features/ab/ADDRESS.npy

Each file ends with a checksum of the bytes before it, behind the array, where NumPy does not read: `crc32 89abcdef` and
a line feed. It is computed while the array is written, which takes a quarter of a second per GB, and compared when a
process reads the file for the first time. Files of earlier versions that end without one are compared by length only.
"""

import io
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.store.layout import array_file, trailer
from trainables.store.lease import find_or_compute
from trainables.store.shared_files import MARK_SECONDS, Place, SharedFiles, mark_used

BLOCK = 1 << 20  # bytes read at a time
RESIDENT = 64 << 20  # bytes: arrays up to this size are kept on the device, larger ones are read batch by batch


class Rows(Protocol):
    """Rows of data that may be larger than memory, as float32 tensors on a device."""

    def __len__(self) -> int:
        """The number of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`[rows, ...]`."""

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        """The rows at these indices (int64 `[n]`), or of a slice: `[n, ...]`."""


class ArrayRows:
    """The rows of a memory-mapped array.

    Args:
        array: `[rows, ...]`.
        device: of the tensors.
    """

    def __init__(self, array: np.ndarray, device: torch.device | str) -> None:
        self._array = array
        self._device = torch.device(device)
        self._resident: Tensor | None = None
        self._marked = time.monotonic()

    def __len__(self) -> int:
        return len(self._array)

    @property
    def shape(self) -> tuple[int, ...]:
        """`[rows, ...]`."""
        return tuple(self._array.shape)

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        if isinstance(rows, slice):
            return torch.from_numpy(np.array(self._array[rows])).to(self._device).float()
        if self._array.nbytes <= RESIDENT:
            if self._resident is None:
                self._resident = torch.from_numpy(np.array(self._array)).to(self._device)
            return self._resident[rows.to(self._device)].float()
        self._mark_used()
        return torch.from_numpy(self._array[rows.cpu().numpy()]).to(self._device).float()

    def _mark_used(self) -> None:
        """Keeps eviction from removing a file that is read for hours: over NFS that would end the reader."""
        now = time.monotonic()
        if isinstance(self._array, np.memmap) and now - self._marked > MARK_SECONDS:
            self._marked = now
            mark_used(Path(str(self._array.filename)))


class ConcatRows:
    """The rows of several members, one after the other.

    Args:
        members: with rows of one shape.
    """

    def __init__(self, members: Sequence[Rows]) -> None:
        self._members = members
        self._starts = np.cumsum([0, *(len(member) for member in members)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """`[rows, ...]`."""
        return (len(self), *self._members[0].shape[1:])

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        wanted = np.arange(len(self))[rows] if isinstance(rows, slice) else rows.cpu().numpy()
        member = np.searchsorted(self._starts, wanted, side="right") - 1
        groups = [np.flatnonzero(member == index) for index in range(len(self._members))]
        blocks = [
            self._members[index][torch.from_numpy(wanted[group] - self._starts[index])]
            for index, group in enumerate(groups)
            if len(group)
        ]
        order = np.argsort(np.concatenate(groups), kind="stable")
        concatenated = torch.cat(blocks)
        return concatenated[torch.from_numpy(order).to(concatenated.device)]


class ArrayStore:
    """Arrays on disk by content address.

    Args:
        place: folder or URI, a folder is created when first needed; None computes all arrays in memory.
    """

    def __init__(self, place: Place | None) -> None:
        self.shared_files = None if place is None else SharedFiles(place)
        self._verified: set[tuple[int, int]] = set()  # device and inode of the files that this process has compared

    def has(self, address: str) -> bool:
        """Whether the array at `address` is published; its contents are not checked."""
        return self.shared_files is not None and self.shared_files.has(array_file(address))

    def get(
        self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]], *, shared: bool = False
    ) -> np.ndarray:
        """The array at `address`, memory-mapped; one process computes it while others that need it wait.

        It is written batch by batch, so it need not fit into memory. A file that cannot be read, or whose contents
        differ from its checksum, is computed again.

        Args:
            address: SHA-256 hex of everything that the array depends on.
            count: length of the array.
            batches: computes the array if it is not stored yet, `[clips, ...]` at a time.
            shared: whether machines that do not share the folder need the array too.
        """
        if self.shared_files is None:
            return np.concatenate(list(batches()))
        files, name = self.shared_files, array_file(address)

        def find() -> np.ndarray | None:
            path = files.fetch(name) if shared else files.path(name)
            array = self._open(path)
            if array is not None:
                files.mark_used(name)
            elif shared and path is not None:
                files.remove_local(name)  # damaged; if there was none, another process may have written it by now
            return array

        def compute() -> np.ndarray:
            with files.publish(name, shared=shared) as temporary:
                _write(temporary, count, batches())
            array = self._open(files.path(name))
            assert array is not None, name
            return array

        array = find()
        return array if array is not None else find_or_compute(files.local_lease(name), find, compute)[0]

    def _open(self, path: Path | None) -> np.memmap | None:
        """The array in a file, memory-mapped; None if there is none or it is damaged."""
        array = _memory_map(path)
        if array is None or path is None:
            return None
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if identity not in self._verified and not _is_intact(path, array):
                return None
        except FileNotFoundError:  # evicted
            return None
        self._verified.add(identity)
        return array


def _write(path: Path, count: int, batches: Iterator[np.ndarray]) -> None:
    """Writes batch by batch; not through a memory map, as a full disk would then kill the process."""
    done = checksum = 0
    with path.open("wb") as file:
        for batch in batches:
            content = np.ascontiguousarray(batch)
            if not done:
                shape = (count, *batch.shape[1:])
                descr = np.lib.format.dtype_to_descr(batch.dtype)
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(header, {"shape": shape, "fortran_order": False, "descr": descr})
                file.write(header.getvalue())
                checksum = zlib.crc32(header.getvalue())
            file.write(content.data)
            checksum = zlib.crc32(content.data, checksum)
            done += len(batch)
        assert done == count, f"{done} of {count} rows"
        file.write(trailer(checksum))


def _is_intact(path: Path, array: np.memmap) -> bool:
    """Whether the file of an array matches the checksum at its end, or ends without one, as those of earlier versions.

    Reads the file; not through the memory map, as a bad disk block would then kill the process.
    """
    checksum, remaining = 0, array.offset + array.nbytes
    with path.open("rb") as file:
        while remaining and (block := file.read(min(BLOCK, remaining))):
            checksum = zlib.crc32(block, checksum)
            remaining -= len(block)
        return file.read() in (b"", trailer(checksum))


def _memory_map(path: Path | None) -> np.memmap | None:
    if path is None:
        return None
    try:
        array: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return array
