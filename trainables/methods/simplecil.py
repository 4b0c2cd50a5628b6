"""SimpleCIL: prototypes over a frozen pretrained embedding (Zhou et al. 2023, arXiv 2303.07338)."""

import torch
from torch import Tensor

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import Learner, Settings
from trainables.networks.heads import class_means, cosine_scores
from trainables.store.state import State


class SimpleCILSettings(Settings):
    """SimpleCIL has nothing to set."""


class SimpleCIL(Learner):
    """Prototype of a class = mean of LN(P(x)) over its support clips; score = 16 cos(e, prototype).

    Nothing is trained.
    """

    name = "simplecil"
    version = 1
    summary = "frozen pretrained embedding, prototypes, cosine"
    paper = "Zhou et al. 2023, arXiv 2303.07338"
    Settings = SimpleCILSettings
    heads = ("prototype",)

    def __init__(self, settings: SimpleCILSettings, features: Features) -> None:
        super().__init__(settings, features)
        self._prototypes = torch.empty(0)

    def precompute(self, positions: tuple[int, ...]) -> None:
        self.features.pooled(positions)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        new = class_means(self.features.pooled(session.support), session.support_labels, session.labels)
        self._prototypes = torch.cat([self._prototypes.to(new), new]) if self.classes else new
        self.classes += session.labels

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {"prototype": cosine_scores(self.features.pooled(positions), self._prototypes)}

    def state(self) -> State:
        return State({"prototypes": {"prototypes": self._prototypes}}, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        self._prototypes = state.parts["prototypes"]["prototypes"].to(self.features.device)
        self.classes = list(state.notes["classes"])

    def parameters(self) -> tuple[int, int]:
        count = sum(p.numel() for p in self.features.backbone.parameters()) + self._prototypes.numel()
        return count, count
