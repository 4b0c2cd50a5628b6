"""Arrays on disk by content address, and their rows as tensors."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from datasets.files import written_aside

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
        return torch.from_numpy(self._array[rows.cpu().numpy()]).to(self._device).float()


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
        root: folder of the store, made when first needed; None keeps nothing (each array is computed in memory).
    """

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def get(self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]]) -> np.ndarray:
        """The array at `address`, memory-mapped; computed by one process, while others that want it wait.

        It is written batch by batch, so it need not fit into memory. A file that cannot be read is computed again.

        Args:
            address: SHA-256 hex of everything that the array depends on.
            count: length of the array.
            batches: makes the array where nobody has yet, `[clips, ...]` at a time.
        """
        if self.root is None:
            return np.concatenate(list(batches()))
        path = self.root / address[:2] / f"{address}.npy"
        array = _mapped(path)
        if array is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The lock is the operating system's: it goes when its owner dies, and the next one computes.
            with FileLock(path.with_suffix(".lock")):
                array = _mapped(path)
                if array is None:
                    self._write(path, count, batches())
                    array = _mapped(path)
        assert array is not None, path
        return array

    @staticmethod
    def _write(path: Path, count: int, batches: Iterator[np.ndarray]) -> None:
        with written_aside(path) as aside:
            array: np.memmap | None = None
            done = 0
            for batch in batches:
                if array is None:
                    shape = (count, *batch.shape[1:])
                    array = np.lib.format.open_memmap(aside, mode="w+", dtype=batch.dtype, shape=shape)
                array[done : done + len(batch)] = batch
                done += len(batch)
            assert array is not None and done == count, f"{done} of {count} rows"
            array.flush()


def _mapped(path: Path) -> np.ndarray | None:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return array
