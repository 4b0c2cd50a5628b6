"""Base of TEEN, FACT and CEC: an embedding trained in the base session, then frozen, and one prototype per class.

phi(x) = mean over tokens of LN(network(x))          the network starts as P
logits = temperature cos(phi(x), w_c)                in the base session (cosine classifier)
p_c    = mean of phi(x) over the support of class c  replaces w_c after the base session
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import Learner, column_labels
from trainables.learners.training import BaseTraining, Schedule, session_name, train
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.classifier import count_values, frozen, restored_backbone, trainable
from trainables.networks.heads import class_means, linear_head, scaled_cosines
from trainables.networks.weights import weights_digest
from trainables.store.state import State


class CosineTraining(BaseTraining):
    """Settings of a method that trains a cosine classifier in the base session."""

    base_milestones: tuple[int, ...] = Field((), description="epochs at which lr is multiplied by base_gamma")
    base_gamma: float = Field(0.25, gt=0, le=1, description="factor of lr at each milestone")
    temperature: float = Field(16.0, gt=0, description="logits = temperature * cosine")

    def base_schedule(self) -> Schedule:
        """Of the base session: SGD with milestones."""
        return replace(super().base_schedule(), gamma=self.base_gamma)


class PrototypeLearner(Learner):
    """A network trained in the base session and then frozen; a later session only adds its prototypes.

    Attributes:
        base: number of base classes.
        network: frozen.
        prototypes: `[classes, dim]`, not normalised.
    """

    uses = frozenset({"tune"})

    network: Backbone

    def __init__(self, settings: Any, features: Features) -> None:
        super().__init__(settings, features)
        self.base = 0
        self.prototypes = torch.empty(0)
        self._digest = ""

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self.base = len(self.classes)
            self.network = frozen(self.train_base(session, generator))
            self._digest = weights_digest(self.network)
        new = class_means(self.embed(session.support), session.support_labels, session.labels)
        self.prototypes = torch.cat([self.prototypes, new]) if session.index else new

    @abstractmethod
    def train_base(self, session: Session, generator: torch.Generator) -> Backbone:
        """A trained copy of P."""

    def embed(self, positions: tuple[int, ...], flipped: tuple[int, ...] = ()) -> Tensor:
        """phi of clips, which no later session changes: `[clips, dim]`.

        Args:
            positions: the group of clips.
            flipped: axes along which the spectrograms are flipped first (1: time, 2: mel).
        """
        network = self.network

        def pooled(inputs: Tensor) -> Tensor:
            return network.embed(inputs.flip(flipped) if flipped else inputs)

        kind = f"pooled of flipped {flipped}" if flipped else "pooled"
        return self.features.frozen(kind, self._digest, positions, pooled)[:]

    def train_cross_entropy(self, session: Session, generator: torch.Generator) -> Backbone:
        """A copy of P trained with a cosine classifier over the base classes; the classifier is discarded."""
        settings, device = self.settings, self.features.device
        network = trainable(self.features.backbone)
        classifier = linear_head(network.dim, len(self.classes), generator).to(device)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            logits = scaled_cosines(network.embed(inputs[batch]), classifier.weight, settings.temperature)
            return nn.functional.cross_entropy(logits, targets[batch])

        train(
            loss,
            [network, classifier],
            settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=session_name(session),
        )
        return network

    def state(self) -> State:
        parts = {"network": dict(self.network.state_dict()), "prototypes": {"prototypes": self.prototypes}}
        notes = {"classes": list(self.classes), "base": self.base, "digest": self._digest}
        return State(parts, notes, frozenset({"network"}))

    def load(self, state: State) -> None:
        self.classes = list(state.notes["classes"])
        self.base = state.notes["base"]
        self._digest = state.notes["digest"]
        self.network = restored_backbone(self.features.backbone, state.parts["network"])
        self.prototypes = state.parts["prototypes"]["prototypes"].to(self.features.device)

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.network) + self.prototypes.numel()
        return count, count
