"""What frozen networks make of clips, computed once and shared.

Everything that a frozen network says about a clip is stored under an address made from the network's weights, the front
end, the data and the clips; whoever asks next, in this trial or in another process, maps the file into memory.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from datasets.files import written_aside
from datasets.shards import Shards
from trainables.backbone import Backbone
from trainables.frontend import FrontEnd

BATCH = 32  # clips a forward pass: fixed, because the last bits of a float depend on it


class ArrayStore:
    """Arrays on disk by content address.

    Args:
        root: folder of the store; made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]]) -> np.ndarray:
        """The array at `address`, memory-mapped; computed by one process, while others that want it wait.

        It is written batch by batch, so it need not fit into memory. A file that cannot be read is computed again.

        Args:
            address: SHA-256 hex of everything that the array depends on.
            count: length of the array.
            batches: makes the array where nobody has yet, `[clips, ...]` at a time.
        """
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


class Features:
    """Waveforms, spectrograms and embeddings of the clips of one benchmark.

    Clips are named by position in the benchmark's clip table. Groups of clips should be asked for as they come (the
    scored clips of a class, its support): a group is the unit of sharing.

    Args:
        shards: the benchmark.
        frontend: waveform to log-mel.
        backbone: the pretrained network P, frozen for ever; None for methods that need none.
        store: where what frozen networks say is kept.
        device: where networks run.
    """

    def __init__(
        self,
        shards: Shards,
        frontend: FrontEnd,
        backbone: Backbone | None,
        store: ArrayStore,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.shards = shards
        self.frontend = frontend
        self.store = store
        self.device = torch.device(device)
        self.precision = precision
        self._backbone = backbone.to(self.device) if backbone is not None else None

    @property
    def backbone(self) -> Backbone:
        """P, the pretrained network; frozen."""
        assert self._backbone is not None, "the method says that it needs no backbone"
        return self._backbone

    def waves(self, positions: Sequence[int]) -> Tensor:
        """`[clips, samples]` in [-1, 1]."""
        return torch.from_numpy(self.shards.audio(positions))

    def inputs(self, positions: Sequence[int]) -> Tensor:
        """Normalised log-mel: `[clips, frames, 128]` on the device."""
        batches = [self.frontend(self.waves(batch)).to(self.device) for batch in _batches(positions)]
        return torch.cat(batches)

    def pooled(self, positions: tuple[int, ...]) -> Tensor:
        """mean over tokens of LN(P(x)): `[clips, dim]`, float32, on the device."""
        backbone = self.backbone
        array = self.frozen("pooled", backbone.digest, positions, lambda x: backbone.pool(backbone(x)))
        return torch.from_numpy(np.array(array)).to(self.device)

    def frozen(
        self, kind: str, digest: str, positions: tuple[int, ...], network: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        """What a frozen network says of a group of clips: `[clips, ...]`, float32, memory-mapped.

        Args:
            kind: names what is taken from the network (`tokens`, `pooled`).
            digest: SHA-256 of the network's weights.
            positions: the group of clips.
            network: `[clips, frames, 128]` on the device to `[clips, ...]`.
        """

        def compute() -> Iterator[np.ndarray]:
            with torch.inference_mode(), self.autocast():
                for batch in _batches(positions):
                    yield network(self.inputs(batch)).float().cpu().numpy()

        return self.store.get(self._address(kind, digest, positions), len(positions), compute)

    def own(self, kind: str, positions: tuple[int, ...], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """A method's own description of the waveforms, without any network: `[clips, ...]`, float32.

        Args:
            kind: names the description with all its settings.
            positions: the group of clips.
            compute: `[clips, samples]` to `[clips, ...]`.
        """

        def described() -> Iterator[np.ndarray]:
            for batch in _batches(positions):
                yield compute(self.waves(batch)).numpy()

        array = self.store.get(self._address(kind, "", positions), len(positions), described)
        return torch.from_numpy(np.array(array))

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """The precision that networks run in."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            yield

    def _address(self, kind: str, digest: str, positions: tuple[int, ...]) -> str:
        depends_on = {
            "schema": 1,
            "kind": kind,
            "weights": digest,
            "frontend": str(self.frontend.spec),
            "data": self.shards.manifest.fingerprint,
            "clips": positions,
            "precision": self.precision,
            "device": self.device.type,
        }
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def _batches(positions: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(positions), BATCH):
        yield positions[first : first + BATCH]
