"""What TEEN, FACT and CEC share: an embedding trained in the base session, frozen after it, one prototype a class.

phi(x) = mean over tokens of LN(network(x))          the network starts as P
logits = temperature cos(phi(x), w_c)                in the base session (cosine classifier)
p_c    = mean of phi(x) over the support of class c  replaces w_c when the base session ends
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
from trainables.learners.training import BaseTraining, Schedule, train
from trainables.networks.backbone import Backbone, weights_digest
from trainables.networks.classifier import count_values, frozen, trainable
from trainables.networks.heads import class_means, linear_head, scaled_cosines
from trainables.store.state import State


class CosineTraining(BaseTraining):
    """Settings of a method that trains a cosine classifier in the base session."""

    base_milestones: tuple[int, ...] = Field((), description="epochs at which lr is multiplied by base_gamma")
    base_gamma: float = Field(0.25, gt=0, le=1, description="what a milestone multiplies lr by")
    temperature: float = Field(16.0, gt=0, description="logits = temperature * cosine")

    def base_schedule(self) -> Schedule:
        """How the base session trains: SGD with milestones."""
        return replace(super().base_schedule(), gamma=self.base_gamma)


class PrototypeLearner(Learner):
    """A network trained in the base session and frozen after it; a later session only adds its prototypes."""

    def __init__(self, settings: Any, features: Features) -> None:
        super().__init__(settings, features)
        self.base = 0  # number of base classes
        self.prototypes = torch.empty(0)  # [classes, dim], as they are: not normalised
        self._network: Backbone | None = None
        self._digest = ""

    @property
    def network(self) -> Backbone:
        """The frozen network."""
        assert self._network is not None, "no base session has been learned"
        return self._network

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self.base = len(self.classes)
            self._network = frozen(self.train_base(session, generator))
            self._digest = weights_digest(self._network)
        new = class_means(self.embed(session.support), session.support_labels, session.labels)
        self.prototypes = torch.cat([self.prototypes, new]) if session.index else new

    @abstractmethod
    def train_base(self, session: Session, generator: torch.Generator) -> Backbone:
        """A trained copy of P."""

    def embed(self, positions: tuple[int, ...], flipped: tuple[int, ...] = ()) -> Tensor:
        """phi of clips, which no later session changes: `[clips, dim]`.

        Args:
            positions: the group of clips.
            flipped: axes that their spectrograms are flipped along first (1: time, 2: mel).
        """
        network = self.network

        def pooled(inputs: Tensor) -> Tensor:
            return network.pool(network(inputs.flip(flipped) if flipped else inputs))

        kind = f"pooled of flipped {flipped}" if flipped else "pooled"
        return self.features.frozen(kind, self._digest, positions, pooled)[:]

    def train_cross_entropy(self, session: Session, generator: torch.Generator) -> Backbone:
        """A copy of P trained with a cosine classifier over the base classes; the classifier is dropped."""
        settings, device = self.settings, self.features.device
        network = trainable(self.features.backbone)
        classifier = linear_head(network.dim, len(self.classes), generator).to(device)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            embeddings = network.pool(network(inputs[batch]))
            logits = scaled_cosines(embeddings, classifier.weight, settings.temperature)
            return nn.functional.cross_entropy(logits, targets[batch])

        train(
            loss,
            [network, classifier],
            settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where="base session",
        )
        return network

    def state(self) -> State:
        parts = {"network": dict(self.network.state_dict()), "prototypes": {"prototypes": self.prototypes}}
        return State(
            parts, {"classes": list(self.classes), "base": self.base, "digest": self._digest}, frozenset({"network"})
        )

    def load(self, state: State) -> None:
        self.classes = list(state.notes["classes"])
        self.base = state.notes["base"]
        self._digest = state.notes["digest"]
        self._network = trainable(self.features.backbone)
        self._network.load_state_dict(state.parts["network"])
        frozen(self._network)
        self.prototypes = state.parts["prototypes"]["prototypes"].to(self.features.device)

    def parameters(self) -> tuple[int, int]:
        count = count_values(self.network) + self.prototypes.numel()
        return count, count
