"""Prototypes that the query clips refine: a transductive method, after the prototype evolution of TAPE.

Gao et al. CVPR 2026: "a prototype evolution mechanism that dynamically refines class prototypes using query samples
during inference". The update is that of Ren et al. 2018 (arXiv 1803.00676, eq. 3), with the cosine of SimpleCIL:

    p_c(0)   = mean of e = LN(P(x)) over the n_c support clips of class c
    a_ic     = softmax over c of temperature cos(e_i, p_c)                              of every query clip i
    p_c(s+1) = (n_c p_c(0) + v sum_i a_ic e_i) / (n_c + v sum_i a_ic)                   `steps` times
    v        = w min(1, sum_c n_c / number of query clips)
    score    = 16 cos(e_i, p_c)

v is the weight of a query clip, that of a support clip being 1: all query clips together count at most w times as much
as all support clips, however many there are, and one of them at most w times as much as one support clip (Ren et al.:
v = 1). A class that no query clip resembles keeps its prototype; without steps or weight the method is SimpleCIL. The
query clips of a session are one batch: the prototypes are refined for it and are not kept.

Only this mechanism is TAPE's: the paper has an audio-language model, a trained adapter for each task and text
prototypes, and its text was not available where this was written (its abstract was). Temperature, weight and steps are
not its values; they were chosen on validation clips (docs/methods.md).
"""

import torch
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.settings import Settings
from trainables.learners.transductive_learner import TransductiveLearner
from trainables.networks.classifier import count_values
from trainables.networks.heads import class_means, cosine_scores, scaled_cosines
from trainables.store.state import State


class TapeLikeSettings(Settings):
    """Settings of `tape-like`; the defaults were chosen on validation clips."""

    steps: int = Field(5, ge=0, description="refinements of the prototypes")
    temperature: float = Field(64.0, gt=0, description="of the softmax that assigns query clips to classes")
    query_weight: float = Field(
        1.0, ge=0, description="w, the weight of all query clips; that of all support clips is 1"
    )


class TapeLike(TransductiveLearner):
    """Stores a prototype and a count of every class; nothing is trained.

    Attributes:
        prototypes: before refinement, `[classes, dim]`.
        shots: support clips of each class, `[classes]`.
    """

    name = "tape-like"
    version = 1
    summary = "prototypes refined by the query clips of a session as one batch"
    paper = "Gao et al. CVPR 2026, its prototype evolution; Ren et al. 2018, arXiv 1803.00676"
    Settings = TapeLikeSettings
    heads = ("refined",)
    forgets = True
    transductive = True

    def __init__(self, settings: TapeLikeSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.prototypes = self.shots = torch.empty(0)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        prototypes = class_means(self.features.pooled(session.support), session.support_labels, session.labels)
        shots = torch.tensor([float(len(clips.support)) for clips in session.classes]).to(prototypes)
        self.prototypes = torch.cat([self.prototypes.to(prototypes), prototypes]) if self.classes else prototypes
        self.shots = torch.cat([self.shots.to(shots), shots]) if self.classes else shots
        self.classes += session.labels

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        self.prototypes, self.shots = (
            torch.cat([rows[:column], rows[column + 1 :]]) for rows in (self.prototypes, self.shots)
        )
        del self.classes[column]

    def embed(self, positions: tuple[int, ...]) -> Tensor:
        return self.features.pooled(positions)

    def score_batch(self, embeddings: Tensor) -> dict[str, Tensor]:
        settings, prototypes = self.settings, self.prototypes
        weight = clip_weight(settings.query_weight, float(self.shots.sum()), len(embeddings))
        for _ in range(settings.steps):
            shares = assign(embeddings, prototypes, settings.temperature)
            prototypes = refine(self.prototypes, self.shots, embeddings, weight * shares)
        return {"refined": cosine_scores(embeddings, prototypes)}

    def state(self) -> State:
        classes = {"prototypes": self.prototypes, "shots": self.shots}
        return State({"classes": classes}, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        device = self.features.device
        self.prototypes, self.shots = (state.parts["classes"][key].to(device) for key in ("prototypes", "shots"))
        self.classes = list(state.notes["classes"])

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.features.backbone) + self.prototypes.numel() + self.shots.numel()
        return count, count


def clip_weight(together: float, support: float, queries: int) -> float:
    """v: the weight of a query clip where a support clip has 1.

    Args:
        together: w, the weight of all query clips relative to all support clips.
        support: number of support clips.
        queries: number of query clips.
    """
    return together * min(1.0, support / queries)


def assign(embeddings: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """Soft assignment of clips to classes: `[clips, dim]` and `[classes, dim]` to `[clips, classes]`, rows sum to 1."""
    return scaled_cosines(embeddings, prototypes, temperature).softmax(dim=1)


def refine(prototypes: Tensor, shots: Tensor, embeddings: Tensor, weights: Tensor) -> Tensor:
    """Weighted means of support and query clips, summed in float64 (Ren et al. 2018, eq. 3).

    Args:
        prototypes: means over the support clips, `[classes, dim]`.
        shots: number of support clips of each class, `[classes]`.
        embeddings: of query clips, `[clips, dim]`.
        weights: of each query clip for each class, `[clips, classes]`.

    Returns:
        `[classes, dim]`, float32.
    """
    counts, shares = shots.double()[:, None], weights.double()
    total = counts * prototypes.double() + shares.T @ embeddings.double()
    return (total / (counts + shares.sum(dim=0)[:, None])).float()
