"""Fine-tuning on new classes only, without any measure against forgetting: the lower bound of incremental learning.

    session 0    CE over all logits, from a copy of P
    session t    CE over the logits of the new classes alone, from the network of session t - 1

The loss is that of PyCIL (Zhou et al. 2021, arXiv 2112.12533, `finetune`): targets of an incremental session count from
its first new class, so the rows of the head for old classes receive no gradient, only the weight decay.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.fine_tuned import FineTuned
from trainables.learners.learner import column_labels
from trainables.learners.training import Training
from trainables.networks.classifier import Classifier, trainable


class FinetuneSettings(Training):
    """Settings of fine-tuning; PyCIL's where not stated otherwise, with batches of 25 as in the FFCAC releases."""

    base_epochs: int = Field(80, ge=0, description="as later sessions; PyCIL has 200")
    base_lr: float = Field(
        1e-3,
        gt=0,
        description="LAMDA-PILOT's for a ViT; PyCIL has 0.1 for a ResNet",
    )
    base_milestones: tuple[int, ...] = Field(
        (40, 70), description="epochs at which lr falls to a tenth; as later sessions, PyCIL has 60, 120, 170"
    )
    base_weight_decay: float = Field(5e-4, ge=0)
    incremental_epochs: int = Field(80, ge=0)
    incremental_lr: float = Field(1e-3, gt=0, description="as base_lr")
    incremental_milestones: tuple[int, ...] = Field((40, 70), description="epochs at which lr falls to a tenth")


class Finetune(FineTuned):
    """One network, a copy of P with a linear head, trained on the support of each session in turn.

    Only its weights are stored. The head's new rows start with bias 0, as its first ones did.
    """

    name = "finetune"
    version = 1
    summary = "cross-entropy on the new classes alone: the lower bound"
    paper = "PyCIL, Zhou et al. 2021, arXiv 2112.12533"
    Settings = FinetuneSettings
    heads = ("linear",)

    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        if known == 0:
            network = Classifier(self.features.backbone, len(self.classes), generator)
        else:
            network = trainable(self.network)
            network.grow(len(self.classes), generator)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, session.labels).to(self.features.device)

        def loss(batch: Tensor) -> Tensor:
            return nn.functional.cross_entropy(network(inputs[batch])[:, known:], targets[batch])

        schedule = self.settings.incremental_schedule() if known else self.settings.base_schedule()
        self.fit(network, loss, schedule, session, len(targets), generator)
        return network
