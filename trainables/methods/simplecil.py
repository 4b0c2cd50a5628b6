"""SimpleCIL: prototypes over a frozen pretrained embedding.

Zhou et al. 2023, arXiv 2303.07338.

    score_c = 16 cos(e(x), p_c)        e(x) = mean LN(P(x)), p_c = mean of e over the support of class c

P is the pretrained network, which stays frozen; nothing is trained.
"""

import torch
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner
from trainables.learners.settings import Settings
from trainables.networks.classifier import count_values
from trainables.networks.heads import class_means, cosine_scores
from trainables.store.state import State


class SimpleCILSettings(Settings):
    """SimpleCIL has no settings."""


class SimpleCIL(Learner):
    """Prototype of a class = mean of LN(P(x)) over its support clips; score = 16 cos(e, prototype).

    Nothing is trained.

    Attributes:
        prototypes: `[classes, dim]`.
    """

    name = "simplecil"
    version = 1
    summary = "frozen pretrained embedding, prototypes, cosine"
    paper = "Zhou et al. 2023, arXiv 2303.07338"
    Settings = SimpleCILSettings
    heads = ("prototype",)
    forgets = True

    def __init__(self, settings: SimpleCILSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.prototypes = torch.empty(0)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        new = class_means(self.features.pooled(session.support), session.support_labels, session.labels)
        self.prototypes = torch.cat([self.prototypes.to(new), new]) if self.classes else new
        self.classes += session.labels

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        self.prototypes = torch.cat([self.prototypes[:column], self.prototypes[column + 1 :]])
        del self.classes[column]

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {"prototype": cosine_scores(self.features.pooled(positions), self.prototypes)}

    def state(self) -> State:
        return State({"prototypes": {"prototypes": self.prototypes}}, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        self.prototypes = state.parts["prototypes"]["prototypes"].to(self.features.device)
        self.classes = list(state.notes["classes"])

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.features.backbone) + self.prototypes.numel()
        return count, count
