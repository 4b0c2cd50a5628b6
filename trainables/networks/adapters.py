"""AdaptFormer adapters (Chen et al. 2022, arXiv 2205.13535), for the adaptation to the first session or to each.

An adapter is a bottleneck in parallel with the MLP of a transformer block:

    x' = x + attention(LN(x))
    y  = x' + MLP(LN(x')) + s up(ReLU(down(x')))

The up-projection is initialised to zero, so an adapted network initially equals the original one, bit for bit. As in
the releases of AdaptFormer, RanPAC and PILOT, `down` has no LayerNorm before it; unlike there, the adapter has no
dropout (theirs: 0.1).
"""

import hashlib
import math

import torch
from torch import Tensor, nn

from trainables.networks.backbones.backbone import TokenBackbone
from trainables.networks.classifier import frozen
from trainables.networks.heads import scaled_cosines
from trainables.networks.weights import weights_digest

SCALE = 0.1  # s of the paper


class Adapter(nn.Module):
    """s up(ReLU(down(x))).

    Args:
        dim: width of a token.
        bottleneck: width of the adapter.
        generator: draws the down-projection, uniform in +- 1 / sqrt(dim); all other weights are zero.
    """

    def __init__(self, dim: int, bottleneck: int, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.utils.skip_init(nn.Linear, dim, bottleneck)
        self.up = nn.utils.skip_init(nn.Linear, bottleneck, dim)
        bound = 1 / math.sqrt(dim)
        with torch.no_grad():
            self.down.weight.uniform_(-bound, bound, generator=generator)
            for parameter in (self.down.bias, self.up.weight, self.up.bias):
                parameter.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """`[..., dim]` to the same."""
        added: Tensor = self.up(nn.functional.relu(self.down(hidden)))
        return SCALE * added


class AdaptedBackbone(nn.Module):
    """A frozen backbone with an adapter in every block. Its state and parameters are those of the adapters only.

    Args:
        backbone: P; frozen in place, not copied.
        bottleneck: width of the adapters.
        generator: draws their weights.
    """

    def __init__(self, backbone: TokenBackbone, bottleneck: int, generator: torch.Generator) -> None:
        super().__init__()
        self._backbone = (frozen(backbone),)  # a tuple, so that torch does not register it as a submodule
        adapters = [Adapter(backbone.dim, bottleneck, generator) for _ in range(backbone.depth)]
        self.adapters = nn.ModuleList(adapters).to(next(backbone.parameters()).device)

    @property
    def backbone(self) -> TokenBackbone:
        """The frozen backbone P."""
        return self._backbone[0]

    @property
    def digest(self) -> str:
        """SHA-256 of P, of the adapters and of their scale."""
        return hashlib.sha256(f"{self.backbone.digest} {weights_digest(self)} {SCALE}".encode()).hexdigest()

    def forward(self, inputs: Tensor) -> Tensor:
        """Token maps, before the final norm: `[clips, ...]` to `[clips, tokens, dim]`."""
        hidden = self.backbone.patches(inputs)
        for index, adapter in enumerate(self.adapters):
            hidden = self.backbone.block(index, hidden, adapter)
        return hidden

    def embed(self, inputs: Tensor) -> Tensor:
        """mean over tokens of norm(x): `[clips, ...]` to `[clips, dim]`."""
        return self.backbone.pool(self(inputs))


def restored_adapters(backbone: TokenBackbone, state: dict[str, Tensor]) -> AdaptedBackbone:
    """Restores a frozen adapted network from its `state_dict()`."""
    network = AdaptedBackbone(backbone, len(state["adapters.0.down.bias"]), torch.Generator())
    network.load_state_dict(state)
    return frozen(network)


class CosineHead(nn.Module):
    """sigma cos(e, w_c) with a learned sigma that starts at 1 (Hou et al., CVPR 2019).

    Args:
        dim: size of the embedding.
        classes: number of classes.
        generator: draws w, uniform in +- 1 / sqrt(dim).
    """

    def __init__(self, dim: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(dim)
        self.weight = nn.Parameter(torch.empty(classes, dim).uniform_(-bound, bound, generator=generator))
        self.sigma = nn.Parameter(torch.ones(()))

    def forward(self, embeddings: Tensor) -> Tensor:
        """`[clips, dim]` to `[clips, classes]`."""
        return self.sigma * scaled_cosines(embeddings, self.weight, 1.0)
