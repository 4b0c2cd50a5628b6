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

    def get(self, address: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The array at `address`, memory-mapped; computed by one process, while others that want it wait.

        Args:
            address: SHA-256 hex of everything that the array depends on.
            compute: makes the array where nobody has yet.
        """
        path = self.root / address[:2] / f"{address}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # The lock is the operating system's: it goes when its owner dies, and the next one computes.
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    array = compute()
                    with written_aside(path, flush=False) as aside, aside.open("wb") as file:
                        np.save(file, array, allow_pickle=False)
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return found


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
        return self.frontend(self.waves(positions)).to(self.device)

    def pooled(self, positions: tuple[int, ...]) -> Tensor:
        """mean over tokens of LN(P(x)): `[clips, dim]`, float32, on the device."""
        backbone = self.backbone
        array = self._stored("pooled", backbone.digest, positions, lambda x: backbone.pool(backbone(x)))
        return torch.from_numpy(np.array(array)).to(self.device)

    def tokens(self, network: Backbone, digest: str, positions: tuple[int, ...]) -> np.ndarray:
        """Token maps of a frozen network: `[clips, tokens, dim]`, float32, memory-mapped.

        Args:
            network: any frozen copy of the backbone.
            digest: SHA-256 of its weights.
            positions: the group of clips.
        """
        return self._stored("tokens", digest, positions, network)

    def own(self, kind: str, positions: tuple[int, ...], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """A method's own description of the waveforms, without any network: `[clips, ...]`, float32.

        Args:
            kind: names the description with all its settings.
            positions: the group of clips.
            compute: `[clips, samples]` to `[clips, ...]`.
        """
        address = self._address(kind, "", positions)
        array = self.store.get(address, lambda: compute(self.waves(positions)).numpy())
        return torch.from_numpy(np.array(array))

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """The precision that networks run in."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            yield

    def _stored(
        self, kind: str, digest: str, positions: tuple[int, ...], network: Callable[[Tensor], Tensor]
    ) -> np.ndarray:
        def compute() -> np.ndarray:
            with torch.inference_mode(), self.autocast():
                batches = [
                    network(self.inputs(positions[first : first + BATCH])).float().cpu().numpy()
                    for first in range(0, len(positions), BATCH)
                ]
            return np.concatenate(batches)

        return self.store.get(self._address(kind, digest, positions), compute)

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
