"""What frozen networks make of clips, computed once and shared.

Everything that a frozen network says about a clip is stored under an address made from the network's weights, the front
end, the data and the clips; whoever asks next, in this trial or in another process, maps the file into memory. So a
chain's own memory does not grow with the number of clips. What the pretrained network says is shared by machines that
have no folder in common, too; what a chain's own networks say is computed again where its stages are loaded.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.networks.backbone import Backbone
from trainables.networks.frontend import FrontEnd
from trainables.store.arrays import ArrayRows, ArrayStore, Rows

BATCH = 32  # clips a forward pass: fixed, because the last bits of a float depend on it
TOKENS: type[np.floating] = np.float16  # how token maps are stored; what that changes is measured in docs/methods.md
SMALL = 1 << 20  # bytes: an array up to this size takes longer to open than to read, so it is held in memory
HELD = 64 << 20  # bytes of such arrays that are held, those that were read last


class Clips(Protocol):
    """Where waveforms come from: a prepared benchmark, or a recording to be classified."""

    @property
    def sample_rate(self) -> int:
        """Of every clip, in Hz."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex of what the clips are."""

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """`[clips, samples]`, float32 in [-1, 1]."""


class Features:
    """Waveforms, spectrograms and embeddings of clips.

    Clips are named by position in the benchmark's clip table. Groups of clips should be asked for as they come (the
    scored clips of a class, its support): a group is the unit of sharing.

    Args:
        clips: the waveforms.
        frontend: waveform to log-mel.
        backbone: the pretrained network P, frozen for ever; None for methods that need none.
        store: where what frozen networks say is kept.
        device: where networks run.
        precision: `float32` or `bf16` (autocast).
    """

    def __init__(
        self,
        clips: Clips,
        frontend: FrontEnd,
        backbone: Backbone | None,
        store: ArrayStore,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.clips = clips
        self.frontend = frontend
        self.store = store
        self.device = torch.device(device)
        self.precision = precision
        self._backbone = backbone.to(self.device) if backbone is not None else None
        self._data = clips.fingerprint
        self._held: OrderedDict[str, np.ndarray] = OrderedDict()
        self._held_bytes = 0

    @property
    def backbone(self) -> Backbone:
        """P, the pretrained network; frozen. Whoever trains copies it first."""
        assert self._backbone is not None, "the method says that it needs no backbone"
        return self._backbone

    def waves(self, positions: Sequence[int]) -> Tensor:
        """`[clips, samples]` in [-1, 1]."""
        return torch.from_numpy(self.clips.audio(positions))

    def inputs(self, positions: tuple[int, ...]) -> Rows:
        """Normalised log-mel, as rows of `[frames, 128]`: read from disk as batches ask for them."""

        def compute() -> Iterator[np.ndarray]:
            for batch in _batches(positions):
                yield self.frontend(self.waves(batch)).cpu().numpy()

        return self._stored("inputs", "", positions, compute, shared=True)

    def pooled(self, positions: tuple[int, ...]) -> Tensor:
        """mean over tokens of LN(P(x)): `[clips, dim]`, float32, on the device."""
        backbone = self.backbone
        return self.frozen("pooled", backbone.digest, positions, lambda x: backbone.pool(backbone(x)))[:]

    def tokens(self, digest: str, positions: tuple[int, ...], network: Callable[[Tensor], Tensor]) -> Rows:
        """Token maps of a frozen network, kept in 16 bits: rows of `[tokens, dim]`.

        Args:
            digest: SHA-256 of the network's weights.
            positions: the group of clips.
            network: `[clips, frames, 128]` to `[clips, tokens, dim]`.
        """
        return self.frozen("tokens", digest, positions, network, dtype=TOKENS)

    def frozen(
        self,
        kind: str,
        digest: str,
        positions: tuple[int, ...],
        network: Callable[[Tensor], Tensor],
        *,
        of: Callable[[], Rows] | None = None,
        dtype: type[np.floating] = np.float32,
    ) -> Rows:
        """What a frozen network says of a group of clips, computed by whoever asks first.

        Args:
            kind: names what is taken from the network (`tokens`, `pooled`).
            digest: of all weights between the spectrogram and the result.
            positions: the group of clips.
            network: `[clips, ...]` on the device to `[clips, ...]`.
            of: the rows that the network reads, asked for only where the result is not stored; spectrograms by default.
            dtype: how the result is stored.
        """

        kept = torch.from_numpy(np.empty(0, dtype)).dtype

        def compute() -> Iterator[np.ndarray]:
            source = of() if of else self.inputs(positions)
            with torch.inference_mode(), self.autocast():
                for rows in _batches(range(len(positions))):
                    # rounded before it leaves the device: half the transfer, a tenth of NumPy's time
                    yield network(source[slice(rows[0], rows[-1] + 1)]).to(kept).cpu().numpy()

        pretrained = self._backbone is not None and digest == self._backbone.digest
        return self._stored(f"{kind} {np.dtype(dtype)}", digest, positions, compute, shared=pretrained)

    def embed(self, network: Callable[[Tensor], Tensor], positions: tuple[int, ...]) -> Tensor:
        """What a network that is still to change says of clips, not stored: `[clips, ...]`, float32, on the device."""
        inputs = self.inputs(positions)
        with torch.inference_mode(), self.autocast():
            batches = [network(inputs[slice(b[0], b[-1] + 1)]).float() for b in _batches(range(len(positions)))]
        return torch.cat(batches)

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

        return self._stored(kind, "", positions, described, shared=True)[:]

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """The precision that networks run in."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            yield

    def _stored(
        self,
        kind: str,
        digest: str,
        positions: tuple[int, ...],
        compute: Callable[[], Iterator[np.ndarray]],
        *,
        shared: bool,
    ) -> Rows:
        depends_on = {
            "schema": 2,
            "kind": kind,
            "weights": digest,
            "frontend": str(self.frontend.spec),
            "data": self._data,
            "clips": positions,
            "precision": self.precision,
            "device": self.device.type,
        }
        address = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        return ArrayRows(self._array(address, len(positions), compute, shared), self.device)

    def _array(self, address: str, count: int, compute: Callable[[], Iterator[np.ndarray]], shared: bool) -> np.ndarray:
        """The array at `address`. A group has one for every session so far: opening them would outgrow reading them."""
        held = self._held.get(address)
        if held is not None:
            self._held.move_to_end(address)
            return held
        array = self.store.get(address, count, compute, shared=shared)
        if array.nbytes > SMALL:
            return array
        self._held[address] = array = np.array(array)
        self._held_bytes += array.nbytes
        while self._held_bytes > HELD:
            self._held_bytes -= self._held.popitem(last=False)[1].nbytes
        return array


def _batches(positions: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(positions), BATCH):
        yield positions[first : first + BATCH]
