"""DER: dynamically expandable representation (Yan et al. CVPR 2021, arXiv 2103.16788).

    F_0 .. F_t  one whole backbone per session, F_0 a copy of P, F_t of F_{t-1}; frozen after its own session
    e(x)        = [ F_0(x) ; ... ; F_t(x) ], each the mean over tokens of LN
    head        = linear over e(x), over all classes seen so far

Session t trains F_t, the head and an auxiliary head, new classes + 1 outputs on F_t(x) alone, that tells each new class
from the others and from all old ones together ("expandable representation learning" of the paper):

    L = CE(head(e(x)), y) + alpha_aux CE(auxiliary(F_t(x)), max(0, y - known + 1)),    y = 0, 1, .. in class order

and then scales the new classes' weights to the old ones' mean norm (weight align, Zhao et al. 2020, arXiv 1911.07053).

What follows PyCIL and LAMDA-PILOT rather than the paper: no channel masks, so nothing is pruned and the network grows
by a whole backbone a session; weight align instead of the second stage, which trains a new head on balanced clips.
PILOT has weight align commented out (`incremental_weight_align: false`).

The default lengths were chosen where a class has hundreds of clips; with 5 shots an epoch is one or two steps.

F_i(x) is computed once per group of clips for every frozen i; an epoch runs F_t alone.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.learners.expanding import Expanding, ExpandingTraining
from trainables.networks.backbone import Backbone
from trainables.networks.classifier import trainable
from trainables.networks.heads import align_weights
from trainables.store.arrays import Rows


class DERSettings(ExpandingTraining):
    """Settings of DER; the defaults are those of LAMDA-PILOT for a pretrained transformer."""

    batch_size: int = Field(32, ge=1)
    base_epochs: int = Field(10, ge=0, description="PyCIL trains a ResNet from scratch for 200")
    base_milestones: tuple[int, ...] = Field((60, 120, 170), description="epochs at which lr falls to a tenth")
    base_weight_decay: float = Field(5e-4, ge=0)
    incremental_epochs: int = Field(10, ge=0, description="PyCIL trains a ResNet for 170")
    incremental_milestones: tuple[int, ...] = Field((80, 120, 150), description="epochs at which lr falls to a tenth")
    incremental_weight_align: bool = Field(
        True, description="scale new classes' weights to the old ones' mean norm: PyCIL does, LAMDA-PILOT does not"
    )


class Extractor(nn.Module):
    """F_t: a whole backbone, its final LayerNorm and the mean over all tokens.

    Args:
        backbone: copied.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = trainable(backbone)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[clips, frames, 128]` to `[clips, dim]`."""
        return self.backbone.pool(self.backbone(inputs))


class DER(Expanding):
    """A new backbone per session over the frozen old ones, a head over all of them."""

    name = "der"
    version = 1
    summary = "a whole new backbone a session beside the frozen old ones, weight align"
    paper = "Yan et al. CVPR 2021, arXiv 2103.16788"
    Settings = DERSettings
    heads = ("linear", "nme")

    def _base_network(self, generator: torch.Generator) -> nn.Module:
        return Extractor(self.features.backbone)

    def _freeze_base(self, network: nn.Module) -> None:
        self._keep(network)

    def _empty_part(self) -> nn.Module:
        return Extractor(self.features.backbone)

    def _reads(self, positions: tuple[int, ...]) -> Rows:
        """Spectrograms."""
        return self.features.inputs(positions)

    def _below(self) -> str:
        """Nothing but the architecture, which is P's."""
        return self.features.backbone.digest

    def _finish(self, head: nn.Linear, known: int) -> None:
        if self.settings.incremental_weight_align:
            align_weights(head, known)
