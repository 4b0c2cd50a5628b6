"""MEMO: memory-efficient expandable model (Zhou et al. ICLR 2023, arXiv 2205.13218).

    G           all blocks but the last of a copy of P, shared: trained in the base session, then frozen
    S_0 .. S_t  one specialised part per session: one transformer block on G's token map, LayerNorm, mean over tokens
    e(x)        = [ S_0(G(x)) ; ... ; S_t(G(x)) ]

All else is DER's: the auxiliary head on the new part, the loss (`trainables/learners/expanding.py`), weight align,
exemplars. Shallow blocks differ little between sessions, the paper finds, so only the last one is worth a copy:
with AST-base a session adds 7 million values, not 86.

As in LAMDA-PILOT, S_t starts as a copy of S_{t-1} and G is frozen after the base session (PyCIL trains it on).
S_0 starts as P's last block; PILOT means to do so too, but its loader leaves the block random (`base_block: random`).
PILOT has weight align commented out (`incremental_weight_align: false`).

G(x) is computed once per group of clips and base session, S_i(G(x)) once per group and part.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from trainables.learners.expanding import ExpandingOnShared
from trainables.methods.der import DERSettings
from trainables.networks.backbone import Backbone, SpecialisedPart
from trainables.networks.classifier import trainable
from trainables.networks.heads import align_weights


class MEMOSettings(DERSettings):
    """Settings of MEMO; the defaults are those of LAMDA-PILOT for a ViT, but for `base_block` and weight align."""

    base_block: Literal["pretrained", "random"] = Field(
        "pretrained",
        description="what S_0's block starts as: P's last block, or random weights as PILOT's loader has it",
    )
    incremental_epochs: int = Field(20, ge=0, description="PyCIL trains a ResNet for 170")


class MEMO(ExpandingOnShared):
    """A new last block per session on shared frozen blocks, a head over all of them."""

    name = "memo"
    version = 1
    summary = "shared early blocks, one specialised last block a session, weight align"
    paper = "Zhou et al. ICLR 2023, arXiv 2205.13218"
    Settings = MEMOSettings
    heads = ("linear", "nme")

    def _new_shared(self) -> Backbone:
        return shared_blocks(self.features.backbone)

    def _first_part(self, generator: torch.Generator) -> SpecialisedPart:
        """P's last block, or a random one, with P's final LayerNorm."""
        backbone = self.features.backbone
        part = backbone.new_part(generator)
        part.norm.load_state_dict(backbone.ast.layernorm.state_dict())
        if self.settings.base_block == "pretrained":
            part.block.load_state_dict(backbone.ast.layers[-1].state_dict())
        return part

    def _finish(self, head: nn.Linear, known: int) -> None:
        if self.settings.incremental_weight_align:
            align_weights(head, known)


def shared_blocks(backbone: Backbone) -> Backbone:
    """A copy of a backbone without its last block and its final LayerNorm, to be trained."""
    shared = trainable(backbone)
    del shared.ast.layers[-1]
    shared.ast.layernorm = nn.Identity()
    return shared
