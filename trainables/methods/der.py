"""DER: dynamically expandable representation (Yan et al. CVPR 2021, arXiv 2103.16788).

    F_0 .. F_t  one whole backbone per session, F_0 a copy of P, F_t of F_{t-1}; frozen after its own session
    e(x)        = [ F_0(x) ; ... ; F_t(x) ], each the mean over tokens of LN
    head        = linear over e(x), over all classes seen so far

Session 0 trains F_0 and the head with cross-entropy. Session t trains F_t, the head and a temporary auxiliary head with
new classes + 1 outputs on F_t(x) alone, which separates each new class from the others and from all old ones together
("expandable representation learning" of the paper):

    L = CE(head(e(x)), y) + alpha_aux CE(auxiliary(F_t(x)), max(0, y - known + 1)),    y = 0, 1, .. in class order

and then scales the new classes' weights to the old ones' mean norm (weight align, Zhao et al. 2020, arXiv 1911.07053).

Taken from PyCIL and LAMDA-PILOT instead of the paper: no channel masks, so nothing is pruned and the network grows
by a whole backbone per session; weight align instead of the second stage, which trains a new head on balanced clips.
In PILOT weight align is commented out (`incremental_weight_align: false`).

The default numbers of epochs were chosen for classes of hundreds of clips; with 5 shots an epoch is one or two steps.

F_i(x) is computed once per group of clips for every frozen i; an epoch runs F_t alone.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.expanding import ExpandingLearner, ExpandingTraining
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.part_stack import PartStack
from trainables.learners.training import session_name, train
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.classifier import frozen, trainable
from trainables.networks.heads import align_weights, linear_head


class DERSettings(ExpandingTraining):
    """Settings of DER; the defaults are those of LAMDA-PILOT for a pretrained transformer."""

    batch_size: int = Field(32, ge=1)
    base_epochs: int = Field(10, ge=0, description="PyCIL trains a ResNet from scratch for 200")
    base_milestones: tuple[int, ...] = Field((60, 120, 170), description="epochs at which lr falls to a tenth")
    base_weight_decay: float = Field(5e-4, ge=0)
    incremental_epochs: int = Field(10, ge=0, description="PyCIL trains a ResNet for 170")
    incremental_milestones: tuple[int, ...] = Field((80, 120, 150), description="epochs at which lr falls to a tenth")
    incremental_weight_align: bool = Field(
        True,
        description="scale new classes' weights to the old ones' mean norm, as PyCIL does and LAMDA-PILOT does not",
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
        """`[clips, ...]` to `[clips, dim]`."""
        return self.backbone.embed(inputs)


class DER(ExpandingLearner):
    """A new backbone per session beside the frozen old ones, a linear head over all of them."""

    name = "der"
    version = 1
    summary = "a whole new backbone a session beside the frozen old ones, weight align"
    paper = "Yan et al. CVPR 2021, arXiv 2103.16788"
    Settings = DERSettings
    heads = ("linear", "nme")
    uses = frozenset({"tune"})

    def __init__(self, settings: DERSettings, features: Features) -> None:
        super().__init__(settings, features, PartStack(features, lambda: Extractor(features.backbone)))

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
        """Trains F_0 and the head with cross-entropy."""
        features, device, backbone = self.features, self.features.device, self.features.backbone
        extractor = Extractor(backbone)
        head = linear_head(backbone.dim, len(self.classes), generator).to(device)
        inputs = features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            return nn.functional.cross_entropy(head(extractor(inputs[batch])), targets[batch])

        train(
            loss,
            [extractor, head],
            self.settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=features.autocast,
            where=session_name(session),
        )
        self.stack.append(extractor)
        self.head = frozen(head)
