"""Base of methods that fit a ridge regression to fixed features of the pooled embedding.

score = phi(e(x))^T (G + lambda I)^-1 Q          e(x) = mean LN(P(x)), phi drawn in the first session
"""

from abc import abstractmethod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.analytic.ridge import CLIPS, Ridge
from trainables.learners.closed_form import ClosedForm
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.settings import Settings
from trainables.networks.classifier import count_values
from trainables.store.state import State


class RidgeSettings(Settings):
    """Settings of a method that fits a ridge regression."""

    penalty: float | None = Field(None, gt=0, description="lambda; null: chosen by leave-one-out, relative to the data")


class RidgeLearner(ClosedForm):
    """Trains nothing; stores statistics of the clips seen.

    Attributes:
        fixed: the tensors of phi.
        ridge: statistics and classifier.
    """

    heads = ("ridge",)
    forgets = True

    ridge: Ridge

    def __init__(self, settings: Any, features: Features) -> None:
        super().__init__(settings, features)
        self.fixed: dict[str, Tensor] = {}

    @abstractmethod
    def draw(self, embeddings: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The tensors of phi, from the embeddings of the first session, `[clips, dim]`."""

    @abstractmethod
    def expand(self, embeddings: Tensor) -> Tensor:
        """phi: `[clips, dim]` to `[clips, M]`."""

    def learn(self, session: Session, generator: torch.Generator) -> None:
        embeddings = self.features.pooled(session.support)
        if not self.fixed:
            drawn = self.draw(embeddings, generator)
            self.fixed = {name: tensor.to(self.features.device) for name, tensor in drawn.items()}
            self.ridge = Ridge(self.expand(embeddings[:1]).shape[1], self.features.device, CLIPS)
        self.classes += session.labels
        columns = column_labels(session.support_labels, self.classes)
        self.ridge.fit(lambda rows: self.expand(embeddings[rows]), columns, len(self.classes), self.settings.penalty)

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        self.ridge.remove(column, lambda: self.expand(self.features.pooled(clips.support)))
        del self.classes[column]
        self.ridge.solve(len(self.classes), self.settings.penalty)

    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        return {"ridge": self.ridge.scores(self.expand(embeddings))}

    def state(self) -> State:
        parts = {"fixed": self.fixed, **self.ridge.parts()}
        return State(parts, {"classes": list(self.classes)}, frozenset({"fixed"}))

    def load(self, state: State) -> None:
        device = self.features.device
        self.classes = list(state.notes["classes"])
        self.fixed = {name: tensor.to(device) for name, tensor in state.parts["fixed"].items()}
        self.ridge = Ridge.from_parts(state.parts, device, CLIPS)

    def parameter_counts(self) -> tuple[int, int]:
        fixed = count_values(self.features.backbone) + sum(tensor.numel() for tensor in self.fixed.values())
        stored, used = self.ridge.count_values()
        return fixed + stored, fixed + used
