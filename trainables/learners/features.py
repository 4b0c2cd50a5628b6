"""Outputs of frozen networks on clips, computed once and shared.

The output of a frozen network is stored under an address made from the network's weights, the front end, the data and
the clips. This trial and any other process that needs it later maps the file into memory, so a chain's memory does not
grow with the number of clips. Outputs of the pretrained network are also exchanged between machines without a common
folder; outputs of networks that a chain has trained are computed again where its stages are loaded.

Spectrograms are larger than clips, embeddings and token maps. They are stored where they are read again: by training,
and by networks that change from session to session. A frozen network reads a clip once, so its spectrograms are
computed from the waveforms, batch by batch, and not stored (docs/performance.md).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainables.networks.backbones.backbone import Backbone, TokenBackbone, WaveTransform
from trainables.store.arrays import ArrayRows, ArrayStore, ConcatRows, Rows
from trainables.store.layout import feature_address

BATCH = 32  # clips a forward pass: fixed, because the last bits of a float depend on it
TOKENS: type[np.floating] = np.float16  # how token maps are stored; the effect is measured in docs/methods.md
SMALL = 1 << 20  # bytes: an array up to this size takes longer to open than to read, so it is cached in memory
CACHED = 64 << 20  # bytes of such arrays in memory; the least recently used are dropped
CACHED_INPUTS = 16 << 20  # bytes: the inputs of a group up to this size are cached, too: several networks read them


class Clips(Protocol):
    """Source of waveforms: a prepared benchmark, or a recording to be classified."""

    @property
    def sample_rate(self) -> int:
        """Of every clip, in Hz."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex of the clips' contents."""

    @property
    def class_names(self) -> Sequence[str] | Mapping[int, str]:
        """By label: of the benchmark, or of the classes to be learned. Untrusted text."""

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """`[clips, samples]`, float32 in [-1, 1]."""


@dataclass(frozen=True)
class FeatureRequest:
    """An array about a group of clips: where the store has it, and how it is computed.

    Attributes:
        address: SHA-256 hex of everything that the array depends on.
        clips: number of clips: the length of the array.
        batches: computes the array, `[clips, ...]`, batch by batch.
        shared: whether machines without a common folder exchange it.
    """

    address: str
    clips: int
    batches: Callable[[], Iterator[np.ndarray]]
    shared: bool


class Features:
    """Waveforms, spectrograms and embeddings of clips.

    Clips are identified by their position in the benchmark's clip table. A group of clips (the scored clips of a class,
    the support of a session) is the unit of sharing and should be requested as a whole.

    Args:
        clips: the waveforms.
        frontend: waveform to inputs: that of the backbone.
        backbone: the pretrained network P, always frozen; None for methods that need none.
        store: for the outputs of frozen networks.
        device: for networks.
        precision: `float32` or `bf16` (autocast).
        code: SHA-256 of the code of a method from outside, on which arrays that it defines depend; empty for others.
    """

    def __init__(
        self,
        clips: Clips,
        frontend: WaveTransform,
        backbone: Backbone | None,
        store: ArrayStore,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        code: str = "",
    ) -> None:
        self.clips = clips
        self.frontend = frontend
        self.store = store
        self.device = torch.device(device)
        self.precision = precision
        self._code = code
        self._backbone = backbone.to(self.device) if backbone is not None else None
        self._data = clips.fingerprint
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cache_bytes = 0

    @property
    def backbone(self) -> Backbone:
        """P, the pretrained network; frozen. Copy it before training."""
        assert self._backbone is not None, "the method declares that it needs no backbone"
        return self._backbone

    @property
    def token_backbone(self) -> TokenBackbone:
        """P of a method that declares that it needs token maps."""
        assert isinstance(self._backbone, TokenBackbone), "the method does not declare that it needs token maps"
        return self._backbone

    def waves(self, positions: Sequence[int]) -> Tensor:
        """`[clips, samples]` in [-1, 1]."""
        return torch.from_numpy(self.clips.audio(positions))

    def inputs(self, positions: tuple[int, ...]) -> Rows:
        """What the backbone reads, as rows of one clip each: read from disk as batches ask for them."""
        return self.get(self.inputs_request(positions))

    def inputs_of_groups(self, groups: Sequence[tuple[int, ...]]) -> Rows:
        """`inputs` of several groups of clips, one after the other."""
        return ConcatRows([self.inputs(group) for group in groups])

    def inputs_request(self, positions: tuple[int, ...]) -> FeatureRequest:
        """The request of `inputs`."""

        def compute() -> Iterator[np.ndarray]:
            for batch in _batches(positions):
                yield self.frontend(self.waves(batch)).cpu().numpy()

        return self._request("inputs", "", positions, compute, shared=True)

    def pooled(self, positions: tuple[int, ...]) -> Tensor:
        """mean over tokens of LN(P(x)): `[clips, dim]`, float32, on the device."""
        return self.frozen("pooled", self.backbone.digest, positions, self.backbone.embed)[:]

    def pooled_request(self, positions: tuple[int, ...]) -> FeatureRequest:
        """The request of `pooled`."""
        return self.frozen_request("pooled", self.backbone.digest, positions, self.backbone.embed)

    def tokens(self, digest: str, positions: tuple[int, ...], network: Callable[[Tensor], Tensor]) -> Rows:
        """Token maps of a frozen network, stored in 16 bits: rows of `[tokens, dim]`.

        Args:
            digest: SHA-256 of the network's weights.
            positions: the group of clips.
            network: `[clips, ...]` to `[clips, tokens, dim]`.
        """
        return self.frozen("tokens", digest, positions, network, dtype=TOKENS)

    @staticmethod
    def tokens_digest(digest: str) -> str:
        """Digest of token maps as they are stored: the network's digest and the type of its rounded outputs."""
        return f"{digest} {np.dtype(TOKENS)}"

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
        """The output of a frozen network for a group of clips, computed by the first process that asks for it.

        Args:
            kind: names the output (`tokens`, `pooled`).
            digest: of all weights between the inputs and the output.
            positions: the group of clips.
            network: `[clips, ...]` on the device to `[clips, ...]`.
            of: the rows that the network reads, called only where the output is not stored; by default the inputs,
                which are not stored for it.
            dtype: of the stored output.
        """
        return self.get(self.frozen_request(kind, digest, positions, network, of=of, dtype=dtype))

    def frozen_request(
        self,
        kind: str,
        digest: str,
        positions: tuple[int, ...],
        network: Callable[[Tensor], Tensor],
        *,
        of: Callable[[], Rows] | None = None,
        dtype: type[np.floating] = np.float32,
    ) -> FeatureRequest:
        """The request of `frozen`."""
        rounded = torch.from_numpy(np.empty(0, dtype)).dtype

        def compute() -> Iterator[np.ndarray]:
            for batch in row_batches(of()) if of else self.input_batches(positions):
                with torch.inference_mode(), self.autocast():
                    # rounded before it leaves the device: half the transfer, a tenth of NumPy's time
                    output = network(batch).to(rounded).cpu().numpy()
                yield output

        pretrained = self._backbone is not None and digest == self._backbone.digest
        return self._request(f"{kind} {np.dtype(dtype)}", digest, positions, compute, shared=pretrained)

    def embed(self, network: Callable[[Tensor], Tensor], positions: tuple[int, ...]) -> Tensor:
        """The output of a network that will still change, not stored: `[clips, ...]`, float32, on the device."""
        inputs = self.inputs(positions)  # computed in full precision
        with torch.inference_mode(), self.autocast():
            batches = [network(batch).float() for batch in row_batches(inputs)]
        return torch.cat(batches)

    def describe(self, kind: str, positions: tuple[int, ...], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """A description of the waveforms that uses no network: `[clips, ...]`, float32.

        Args:
            kind: names the description and all its settings.
            positions: the group of clips.
            compute: `[clips, samples]` to `[clips, ...]`.
        """
        return self.get(self.description_request(kind, positions, compute))[:]

    def description_request(
        self, kind: str, positions: tuple[int, ...], compute: Callable[[Tensor], Tensor]
    ) -> FeatureRequest:
        """The request of `describe`."""

        def batches() -> Iterator[np.ndarray]:
            for batch in _batches(positions):
                yield compute(self.waves(batch)).numpy()

        return self._request(kind, "", positions, batches, shared=True)

    def has(self, request: FeatureRequest) -> bool:
        """Whether the store has the array; its contents are not verified."""
        return self.store.has(request.address)

    def get(self, request: FeatureRequest) -> Rows:
        """The array of a request, computed where the store does not have it."""
        return ArrayRows(self._array(request), self.device)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """The precision of networks."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            yield

    def _request(
        self,
        kind: str,
        digest: str,
        positions: tuple[int, ...],
        batches: Callable[[], Iterator[np.ndarray]],
        *,
        shared: bool,
    ) -> FeatureRequest:
        address = feature_address(
            kind,
            weights=digest,
            frontend=str(self.frontend.spec),
            data=self._data,
            clips=positions,
            precision=self.precision,
            device=self.device.type,
            code="" if self._is_common(kind, digest) else self._code,
        )
        return FeatureRequest(address, len(positions), batches, shared)

    def _is_common(self, kind: str, digest: str) -> bool:
        """Whether an array is the same for every method: the inputs, or the embeddings of the backbone."""
        embeddings = self._backbone is not None and digest == self._backbone.digest and kind.startswith("pooled ")
        return embeddings or kind == "inputs"

    def _array(self, request: FeatureRequest) -> np.ndarray:
        """The array of a request, from memory if it is small: a group of clips has one array for every session so far,
        and opening them would take longer than reading them."""
        cached = self._cached(request)
        if cached is not None:
            return cached
        array = self.store.get(request.address, request.clips, request.batches, shared=request.shared)
        if array.nbytes > SMALL:
            return array
        array = np.array(array)
        self._cache_in_memory(request, array)
        return array

    def input_batches(self, positions: tuple[int, ...]) -> Iterator[Tensor]:
        """The rows of `inputs`, `BATCH` at a time: from memory or the store if they are there, else computed."""
        request = self.inputs_request(positions)
        if self._cached(request) is not None or self.has(request):
            yield from row_batches(self.get(request))
            return
        computed: list[np.ndarray] = []
        for batch in request.batches():
            if batch[0].nbytes * len(positions) <= CACHED_INPUTS:
                computed.append(batch)
            yield torch.from_numpy(batch).to(self.device).float()
        if computed:
            self._cache_in_memory(request, np.concatenate(computed))

    def _cached(self, request: FeatureRequest) -> np.ndarray | None:
        array = self._cache.get(request.address)
        if array is not None:
            self._cache.move_to_end(request.address)
        return array

    def _cache_in_memory(self, request: FeatureRequest, array: np.ndarray) -> None:
        self._cache[request.address] = array
        self._cache_bytes += array.nbytes
        while self._cache_bytes > CACHED:
            self._cache_bytes -= self._cache.popitem(last=False)[1].nbytes


def row_batches(rows: Rows) -> Iterator[Tensor]:
    """All rows, `BATCH` at a time."""
    for batch in _batches(range(len(rows))):
        yield rows[slice(batch[0], batch[-1] + 1)]


def _batches(positions: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(positions), BATCH):
        yield positions[first : first + BATCH]
