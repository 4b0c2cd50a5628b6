"""A stack of frozen parts: the network of a method that grows by one part per session (EDE, DER, MEMO)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainables.learners.features import Features
from trainables.networks.backbones.backbone import TokenBackbone
from trainables.networks.classifier import count_values, frozen
from trainables.networks.weights import weights_digest
from trainables.store.arrays import ConcatRows, Rows
from trainables.store.state import State

Group = tuple[int, ...]


class PartStack:
    """Frozen parts S_0 .. S_t, one per session, and their outputs side by side.

        e(x) = [ S_0(z) ; ... ; S_t(z) ]        z = G(x), the token map of shared blocks G; without them z = x

    The output of a part is computed once per group of clips and stored under the digest of all weights between the
    spectrogram and the output.

    Args:
        features: of the clips.
        new_part: creates a part whose weights `load` then replaces.
        new_shared: creates shared blocks whose weights `load` then replaces; None for parts that read spectrograms.

    Attributes:
        parts: S_0 .. S_t.
        digests: of all weights between the spectrogram and the output of each part.
        shared: G, frozen; None before the base session, and for parts that read spectrograms.
    """

    def __init__(
        self,
        features: Features,
        new_part: Callable[[], nn.Module],
        new_shared: Callable[[], TokenBackbone] | None = None,
    ) -> None:
        self.parts: list[nn.Module] = []
        self.digests: list[str] = []
        self.shared: TokenBackbone | None = None
        self._features = features
        self._new_part = new_part
        self._new_shared = new_shared
        self._shared_digest = ""

    @property
    def reads_inputs(self) -> bool:
        """Whether parts read spectrograms, those of every session the same ones, and not the maps of shared blocks."""
        return self._new_shared is None

    def set_shared(self, shared: TokenBackbone) -> None:
        """Freezes the shared blocks, which all parts read from now on."""
        self.shared = frozen(shared)
        self._shared_digest = weights_digest(shared)

    def append(self, part: nn.Module) -> None:
        """Freezes a part and adds it to the stack."""
        if self.shared is not None:
            below = self._features.tokens_digest(self._shared_digest)
        else:
            below = self._features.backbone.digest  # of the architecture: a part starts as a copy of P
        self.parts.append(frozen(part))
        self.digests.append(f"{below} {weights_digest(part)}")

    def inputs(self, groups: Sequence[Group]) -> Rows:
        """What a part reads of groups of clips: G(x), rows of `[tokens, dim]` in 16 bits, or spectrograms."""
        return ConcatRows([self._inputs(group) for group in groups])

    def embed(self, positions: Group) -> Tensor:
        """e(x) of a group of clips: `[clips, dim (t + 1)]`."""
        outputs = [
            self._features.frozen("part", digest, positions, part, of=partial(self._inputs, positions))[:]
            for part, digest in zip(self.parts, self.digests, strict=True)
        ]
        return torch.cat(outputs, dim=1)

    def embed_groups(self, groups: Sequence[Group]) -> Tensor:
        """e(x) of several groups of clips, one after the other: `[clips, dim (t + 1)]`."""
        return torch.cat([self.embed(group) for group in groups])

    def count_values(self) -> int:
        """Number of values of all parts and of the shared blocks."""
        return count_values(*self.parts, *([self.shared] if self.shared is not None else []))

    def state(self) -> State:
        """The stack as parts of a state, all of them settled, and notes."""
        tensors = {f"part-{index}": dict(part.state_dict()) for index, part in enumerate(self.parts)}
        notes: dict[str, Any] = {"digests": list(self.digests)}
        if self.shared is not None:
            tensors["shared"] = dict(self.shared.state_dict())
            notes["shared_digest"] = self._shared_digest
        return State(tensors, notes, frozenset(tensors))

    def load(self, state: State) -> None:
        """Restores the stack from a state that contains `state()`."""
        if self._new_shared is not None:
            shared = self._new_shared()
            shared.load_state_dict(state.parts["shared"])
            self.shared = frozen(shared)
            self._shared_digest = state.notes["shared_digest"]
        self.digests = list(state.notes["digests"])
        self.parts = []
        for index in range(len(self.digests)):
            part = self._new_part()
            part.load_state_dict(state.parts[f"part-{index}"])
            self.parts.append(frozen(part.to(self._features.device)))

    def _inputs(self, positions: Group) -> Rows:
        if self.shared is not None:
            return self._features.tokens(self._shared_digest, positions, self.shared)
        return self._features.inputs(positions)
