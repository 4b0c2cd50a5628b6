"""MEMO: memory-efficient expandable model (Zhou et al. ICLR 2023, arXiv 2205.13218).

    G           all blocks but the last of a copy of P, shared: trained in the base session, then frozen
    S_0 .. S_t  one specialised part per session: one transformer block on G's token map, LayerNorm, mean over tokens
    e(x)        = [ S_0(G(x)) ; ... ; S_t(G(x)) ]
    head        = linear over e(x), over all classes seen so far

Session 0 trains G, S_0 and the head with cross-entropy. Session t trains S_t, a copy of S_{t-1}, the head and a
temporary auxiliary head on S_t(G(x)) alone, as DER trains its new backbone, and then aligns the weights of the head:

    L = CE(head(e(x)), y) + alpha_aux CE(auxiliary(S_t(G(x))), max(0, y - known + 1)),    y = 0, 1, .. in class order

The paper finds that shallow blocks differ little between sessions, so only the last one is worth a copy: with AST-base
a session adds 7 million values, not 86.

As in LAMDA-PILOT, S_t starts as a copy of S_{t-1} and G is frozen after the base session (PyCIL trains it further).
S_0 starts as P's last block; PILOT intends the same, but its loader leaves the block random (`base_block: random`).
In PILOT weight align is commented out (`incremental_weight_align: false`).

G(x) is computed once per group of clips and base session, S_i(G(x)) once per group and part.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.expanding import ExpandingLearner
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.part_stack import PartStack
from trainables.learners.training import session_name, train
from trainables.methods.der import DERSettings
from trainables.networks.backbones.backbone import SpecialisedPart, TokenBackbone
from trainables.networks.classifier import frozen, trainable
from trainables.networks.heads import align_weights, linear_head


class MEMOSettings(DERSettings):
    """Settings of MEMO; the defaults are those of LAMDA-PILOT for a ViT, except `base_block` and weight align."""

    base_block: Literal["pretrained", "random"] = Field(
        "pretrained",
        description="initial weights of S_0's block: P's last block, or random ones as from PILOT's loader",
    )
    incremental_epochs: int = Field(20, ge=0, description="PyCIL trains a ResNet for 170")


class MEMO(ExpandingLearner):
    """A new last block per session on shared frozen blocks, a linear head over all of them."""

    name = "memo"
    version = 1
    summary = "shared early blocks, one specialised last block a session, weight align"
    paper = "Zhou et al. ICLR 2023, arXiv 2205.13218"
    Settings = MEMOSettings
    heads = ("linear", "nme")
    uses = frozenset({"tune", "tokens"})

    def __init__(self, settings: MEMOSettings, features: Features) -> None:
        backbone = features.token_backbone
        stack = PartStack(features, backbone.new_part, lambda: shared_blocks(backbone))
        super().__init__(settings, features, stack)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._learn_base(session, generator)
        else:
            self.learn_increment(session, generator)
            if self.settings.incremental_weight_align:
                align_weights(self.head, len(self.classes) - len(session.classes))
        support = self.stack.embed(session.support)
        self.exemplars.add_from_support(session, support, self.settings.exemplars_per_class)
        self.update_exemplar_means()

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains G, S_0 and the head with cross-entropy."""
        features, device, backbone = self.features, self.features.device, self.features.token_backbone
        shared = shared_blocks(backbone)
        part = first_part(backbone, generator, pretrained=self.settings.base_block == "pretrained").to(device)
        head = linear_head(backbone.dim, len(self.classes), generator).to(device)
        inputs = features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            return nn.functional.cross_entropy(head(part(shared(inputs[batch]))), targets[batch])

        train(
            loss,
            [shared, part, head],
            self.settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=features.autocast,
            where=session_name(session),
        )
        self.stack.set_shared(shared)
        self.stack.append(part)
        self.head = frozen(head)


def shared_blocks(backbone: TokenBackbone) -> TokenBackbone:
    """G: a trainable copy of a backbone without its last block and its final norm."""
    shared = trainable(backbone)
    shared.drop_last_block()
    return shared


def first_part(backbone: TokenBackbone, generator: torch.Generator, *, pretrained: bool) -> SpecialisedPart:
    """S_0 before training, with the backbone's final LayerNorm, if it has one, and its last block or a random one."""
    part = backbone.new_part(generator)
    if state := backbone.norm.state_dict():
        part.norm.load_state_dict(state)
    if pretrained:
        part.block.load_state_dict(backbone.last_block_state())
    return part
