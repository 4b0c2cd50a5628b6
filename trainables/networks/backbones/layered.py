"""Encoders of `transformers` that offer a choice of layer: `--layer N|last|mean`.

`--layer N` is the output of block N (`hidden_states[N]` of transformers) without a final norm; the blocks above it are
not run. `--layer mean` is the mean over all blocks' outputs.
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.backbone import TokenBackbone
from trainables.networks.specs import Layer


class LayeredBackbone(TokenBackbone):
    """An encoder whose embedding is the mean over tokens of one of its layers, or of all.

    Args:
        model: of `transformers`; its blocks above `layer` are removed.
        layer: whose output is the embedding.

    Attributes:
        count_key: of the number of blocks in the model's configuration.

    Raises:
        EarshotError: there is no such layer.
    """

    count_key = "num_hidden_layers"

    def __init__(self, model: Any, layer: Layer) -> None:
        super().__init__()
        self.model = model
        self.layer = layer
        self.provides = frozenset({"embed", "tune"} if layer == "mean" else {"embed", "tune", "tokens"})
        self._normed = not isinstance(layer, int)
        self._block_class = type(self.encoder.layers[0])
        if isinstance(layer, int):
            if not 1 <= layer <= self.depth:
                raise EarshotError(f"--layer {layer}: expected 1 to {self.depth}, last or mean")
            self._keep_blocks(layer)
            setattr(model.config, self.count_key, layer)

    @property
    def encoder(self) -> Any:
        """The part of the model that has the blocks, as `layers`."""
        return self.model.encoder

    @property
    @abstractmethod
    def final_norm(self) -> nn.Module:
        """What follows the last block of the model."""

    @property
    def depth(self) -> int:
        return len(self.encoder.layers)

    @property
    def norm(self) -> nn.Module:
        return self.final_norm if self._normed else nn.Identity()

    def embed(self, inputs: Tensor) -> Tensor:
        if self.layer != "mean":
            return super().embed(inputs)
        hidden, pooled = self.patches(inputs), []
        for index in range(self.depth):
            hidden = self.block(index, hidden)
            pooled.append((self.norm(hidden) if index == self.depth - 1 else hidden).mean(dim=1))
        return torch.stack(pooled).mean(dim=0)

    def last_block_state(self) -> dict[str, Tensor]:
        return dict(self.encoder.layers[-1].state_dict())

    def drop_last_block(self) -> None:
        self._keep_blocks(self.depth - 1)
        self._normed = False

    def saved_state(self) -> dict[str, Tensor]:
        return dict(self.model.state_dict())

    def _keep_blocks(self, count: int) -> None:
        self.encoder.layers = nn.ModuleList(self.encoder.layers[:count])
