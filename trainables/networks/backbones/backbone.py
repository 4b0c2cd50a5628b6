"""The interface of a backbone: what methods ask of an encoder, of whatever family.

    capability   it gives                                              needed, for example, by
    embed        embed(inputs): [clips, dim]                           simplecil
    tune         gradients through embed                               finetune, icarl, der
    tokens       patches, blocks, norm: token maps [clips, tokens, dim]   ede, memo, mar, adapters
    spectrogram  inputs are [clips, frames, bins], which can be flipped   pass, cec
    text         text.embed(texts): [texts, dim], comparable with embed   clap-text

A backbone owns its front end: `frontend(waves)` gives the inputs of all its functions, `[clips, ...]`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from trainables.networks.specs import Capability
from trainables.networks.weights import Initialisation, initialise

Adapter = Callable[[Tensor], Tensor]


class WaveTransform(Protocol):
    """A front end: waveforms to the inputs of a network.

    Attributes:
        spec: its settings; `str(spec)` is part of the address of everything that is computed from its outputs.
        sample_rate: of the clips, Hz.
    """

    @property
    def spec(self) -> object: ...

    @property
    def sample_rate(self) -> int: ...

    def __call__(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` in [-1, 1] to `[clips, ...]`."""


class TextTower(Protocol):
    """An encoder of texts into the space of a backbone's embeddings.

    Attributes:
        digest: SHA-256 of all that its embeddings depend on.
    """

    @property
    def digest(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Texts to `[texts, dim]`, of length 1, on the CPU."""


class Backbone(nn.Module, ABC):
    """An encoder of clips of one length and rate.

    Attributes:
        family: its file in this room.
        provides: its capabilities.
        digest: SHA-256 of weights, architecture and options; independent of the clips' length.
        dim: size of the embedding, and width of a token.
        frontend: waveforms to inputs.
        factory: what an export needs to restore it; empty where the family restores it alone.
        trust_remote_code: the revision of the code that came with it, if it has run.
        sample_rate: the sample rate that the encoder was made for, Hz; None where any is.
        text: its text tower; None where it has none, and in exports.
    """

    family: ClassVar[str]

    digest: str
    dim: int
    frontend: WaveTransform
    provides: frozenset[Capability]
    factory: str = ""
    trust_remote_code: str | None = None
    sample_rate: int | None = None
    text: TextTower | None = None

    @property
    def facts(self) -> dict[str, str | int | None]:
        """What a run records of it."""
        return {"family": self.family, "dim": self.dim, "sample_rate": self.sample_rate, "digest": self.digest}

    @property
    @abstractmethod
    def architecture(self) -> bytes:
        """What changes the output but not the parameters; part of every digest of these weights."""

    @abstractmethod
    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings: `[clips, ...]` to `[clips, dim]`."""

    @abstractmethod
    def save_config(self, folder: Path) -> None:
        """Writes `config.json`, from which the family restores the network."""

    @abstractmethod
    def saved_state(self) -> dict[str, Tensor]:
        """The weights that belong to `save_config`."""


class TokenBackbone(Backbone):
    """An encoder that consists of blocks of one class on token maps.

    Attributes:
        special_tokens: number of tokens in front that are no patches.
    """

    special_tokens: ClassVar[int] = 0

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of blocks."""

    @property
    @abstractmethod
    def norm(self) -> nn.Module:
        """The norm after the last block; an identity where the family has none."""

    @abstractmethod
    def patches(self, inputs: Tensor) -> Tensor:
        """Tokens with their positions, before the first block: `[clips, ...]` to `[clips, tokens, dim]`."""

    @abstractmethod
    def block(self, index: int, hidden: Tensor, adapter: Adapter | None = None) -> Tensor:
        """One block: `[clips, tokens, dim]` to the same.

        Args:
            index: of the block.
            hidden: the token map.
            adapter: `[..., dim]` to the same; added in parallel with the MLP, of whose residual branch it reads.
        """

    @abstractmethod
    def new_part(
        self, generator: torch.Generator | None = None, initialisation: Initialisation = "vit"
    ) -> "SpecialisedPart":
        """A specialised part of this backbone's width; weights are uninitialised without a generator."""

    @abstractmethod
    def last_block_state(self) -> dict[str, Tensor]:
        """State of the last block, as a state of the block of a specialised part."""

    @abstractmethod
    def drop_last_block(self) -> None:
        """Removes the last block and the final norm, in place."""

    def blocks(self, hidden: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Blocks `first` (inclusive) to `last` (exclusive): `[clips, tokens, dim]` to the same."""
        for index in range(*slice(first, last).indices(self.depth)):
            hidden = self.block(index, hidden)
        return hidden

    def forward(self, inputs: Tensor) -> Tensor:
        """Token maps, before the final norm: `[clips, ...]` to `[clips, tokens, dim]`."""
        return self.blocks(self.patches(inputs))

    def pool(self, tokens: Tensor) -> Tensor:
        """Final norm, then the mean over all tokens: `[clips, tokens, dim]` to `[clips, dim]`."""
        pooled: Tensor = self.norm(tokens).mean(dim=1)
        return pooled

    def embed(self, inputs: Tensor) -> Tensor:
        """mean over tokens of norm(x): `[clips, ...]` to `[clips, dim]`."""
        return self.pool(self(inputs))


class SpecialisedPart(nn.Module):
    """S_t of EDE: one block of the backbone's family, a LayerNorm and the mean over all tokens.

    Args:
        new_block: makes the block; called on the meta device.
        dim: width of a token.
        eps: of the LayerNorm.
        generator: draws the weights; uninitialised without one.
        initialisation: how it draws them; see `initialise`.
    """

    def __init__(
        self,
        new_block: Callable[[], nn.Module],
        dim: int,
        eps: float,
        generator: torch.Generator | None = None,
        initialisation: Initialisation = "vit",
    ) -> None:
        super().__init__()
        with torch.device("meta"):  # allocated below: no draw from the global generator
            self.block = new_block()
            self.norm: nn.Module = nn.LayerNorm(dim, eps=eps)
        self.to_empty(device="cpu")
        if generator is not None:
            initialise(self, generator, initialisation)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[clips, tokens, dim]` to `[clips, dim]`."""
        hidden: Tensor = self.norm(run_block(self.block, tokens))
        return hidden.mean(dim=1)


def run_block(block: nn.Module, hidden: Tensor, **more: Tensor) -> Tensor:
    """A block of `transformers` without an attention mask; some classes return more than the token map."""
    output = block(hidden, None, **more)
    tokens: Tensor = output[0] if isinstance(output, tuple) else output
    return tokens
