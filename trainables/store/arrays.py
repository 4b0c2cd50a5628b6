"""Arrays on disk by content address, and their rows as tensors.

    STORE/features/ab/ADDRESS.npy

Behind the array, where NumPy does not look, its file ends with a checksum of what comes before: `crc32 89abcdef` and a
line feed. It is written as the array is, so it is there whenever the array is, and costs a quarter of a second a GB.
"""

import io
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.store.layout import array_file, trailer
from trainables.store.lease import find_or_compute
from trainables.store.shared_files import MARK, Place, SharedFiles, mark

RESIDENT = 64 << 20  # bytes: rows of an array up to this size stay on the device, larger ones are read batch by batch


class Rows:
    """The rows of an array that may be larger than memory.

    `rows[batch]` gives the rows that a batch names, as float32 on the device; `rows[:]` gives all of them.

    Args:
        array: `[rows, ...]`, memory-mapped.
        device: where the rows are wanted.
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
        self._mark()
        return torch.from_numpy(self._array[rows.cpu().numpy()]).to(self._device).float()

    def _mark(self) -> None:
        """Whoever makes room must not take a file away that is read for hours: over NFS that would end the reader."""
        now = time.monotonic()
        if isinstance(self._array, np.memmap) and now - self._marked > MARK:
            self._marked = now
            mark(Path(str(self._array.filename)))


class Joined(Rows):
    """The rows of several arrays, one after the other.

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
        found = [
            self._members[index][torch.from_numpy(wanted[group] - self._starts[index])]
            for index, group in enumerate(groups)
            if len(group)
        ]
        back = np.argsort(np.concatenate(groups), kind="stable")
        together = torch.cat(found)
        return together[torch.from_numpy(back).to(together.device)]


class ArrayStore:
    """Arrays on disk by content address.

    Args:
        place: folder or URI, a folder is made when first needed; None keeps nothing (each array is computed in memory).
    """

    def __init__(self, place: Place | None) -> None:
        self.depot = None if place is None else SharedFiles(place)

    def has(self, address: str) -> bool:
        """Whether the array at `address` is there for all, without a look at its contents."""
        return self.depot is not None and self.depot.has(array_file(address))

    def get(
        self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]], *, shared: bool = False
    ) -> np.ndarray:
        """The array at `address`, memory-mapped; computed by one process, while others that want it wait.

        It is written batch by batch, so it need not fit into memory. A file that cannot be read is computed again.

        Args:
            address: SHA-256 hex of everything that the array depends on.
            count: length of the array.
            batches: makes the array where nobody has yet, `[clips, ...]` at a time.
            shared: whether machines that do not share the folder should have it too.
        """
        if self.depot is None:
            return np.concatenate(list(batches()))
        depot, name = self.depot, array_file(address)

        def find() -> np.ndarray | None:
            path = depot.fetch(name) if shared else depot.path(name)
            array = _mapped(path)
            if array is not None:
                depot.mark(name)
            elif shared and path is not None:
                depot.forget(name)  # it is damaged; where there was none, another process may have made it by now
            return array

        def compute() -> np.ndarray:
            with depot.published(name, shared=shared) as aside:
                _write(aside, count, batches())
            array = _mapped(depot.path(name))
            assert array is not None, name
            return array

        array = find()
        return array if array is not None else find_or_compute(depot.lease_here(name), find, compute)[0]


def _write(path: Path, count: int, batches: Iterator[np.ndarray]) -> None:
    """Writes batch by batch; not through a map, as a full disk would then kill the process instead of raising."""
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


def _mapped(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return array
