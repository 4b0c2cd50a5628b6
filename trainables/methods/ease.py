"""EASE: an adapter per session, prototypes in the subspace of each, completed for classes of earlier sessions.

Zhou et al. CVPR 2024, arXiv 2403.12030.

    phi_j(x) = mean LN(P with adapters A_j (x))            a subspace per session; A_j is trained in it, then frozen
    p_cj     = mean of phi_j over the support of class c   in the subspaces j <= o, with o the session of class c
    p_cj     = sum_k softmax_k(cos(p_co, p_ko)) p_kj       in later ones, over all classes k of session j or later
    score_c  = 16 (cos(phi_o(x), p_co) + alpha / t sum_{j != o} cos(phi_j(x), p_cj))

t is the number of other subspaces; alpha is their weight together. Classes of session j or later have clips in o and j.

The adapters of a session are trained with cross-entropy over its own classes through a cosine head that is discarded,
as those of RanPAC in the base session (`trainables/learners/adaptation.py`). They start new in every session.

Formulas and settings are those of the release (LAMDA-PILOT, CIFAR-100 with ViT-B/16), which divides alpha by t and by
default completes old prototypes again in every session, from all classes that came since and not from those of session
j alone; the text of the paper was not available where this was written.
Different from it: the embedding is the mean over tokens, not the class token; the adapters have no dropout (0.1); their
initial down-projection is uniform in +- 1 / sqrt(dim).

A class that leaves stays in the adapters and in the prototypes that its own have completed: EASE does not forget.
"""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.adaptation import adapt
from trainables.learners.features import Features
from trainables.learners.learner import Learner, Needs
from trainables.learners.training import CosineBaseTraining, Schedule
from trainables.networks.adapters import AdaptedBackbone, restored_adapters
from trainables.networks.classifier import count_values
from trainables.networks.heads import COSINE_SCALE, class_means, scaled_cosines
from trainables.store.state import State


class EASESettings(CosineBaseTraining):
    """Settings of EASE; the defaults are the published ones (CIFAR-100 with ViT-B/16)."""

    bottleneck: int = Field(64, ge=1, description="width of an adapter")
    batch_size: int = Field(48, ge=1)
    base_epochs: int = Field(20, ge=0)
    base_lr: float = Field(0.025, gt=0)
    base_weight_decay: float = Field(5e-4, ge=0)
    incremental_epochs: int = Field(20, ge=0)
    incremental_lr: float = Field(0.025, gt=0, description="initial lr of a cosine down to 0")
    incremental_weight_decay: float = Field(5e-4, ge=0)
    incremental_alpha: float = Field(0.1, ge=0, description="weight of the subspaces of other sessions, together")

    def incremental_schedule(self) -> Schedule:
        """Of a later session: SGD, lr follows a cosine."""
        return Schedule(
            epochs=self.incremental_epochs,
            batch_size=self.batch_size,
            lr=self.incremental_lr,
            weight_decay=self.incremental_weight_decay,
            annealing="cosine",
        )


class EASE(Learner):
    """Adapters and prototypes of every session; no clips are stored.

    Attributes:
        subspaces: P with the adapters of each session, frozen.
        known: prototypes that were computed from clips: of each session `[its classes, subspaces so far, dim]`.
        prototypes: in all subspaces, the others completed: `[classes, subspaces, dim]`.
    """

    name = "ease"
    version = 1
    summary = "adapters of every session, prototypes in each subspace, old ones completed"
    paper = "Zhou et al. CVPR 2024, arXiv 2403.12030"
    Settings = EASESettings
    heads = ("prototype",)
    uses = frozenset({"tune", "tokens"})

    def __init__(self, settings: EASESettings, features: Features) -> None:
        super().__init__(settings, features)
        self.subspaces: list[AdaptedBackbone] = []
        self.known: list[Tensor] = []
        self.prototypes = torch.empty(0)
        self._digests: list[str] = []

    @classmethod
    def needs(cls, settings: EASESettings) -> Needs:
        return Needs(new_classes=2, why="the cross-entropy over one class is 0, so its adapters would not be trained")

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        settings = self.settings
        subspace = AdaptedBackbone(self.features.token_backbone, settings.bottleneck, generator)
        schedule = settings.incremental_schedule() if session.index else settings.base_schedule()
        adapt(subspace, subspace.embed, self.features, session, schedule, generator)
        self.subspaces = [*self.subspaces, subspace]
        self._digests = [*self._digests, subspace.digest]
        means = [class_means(rows, session.support_labels, session.labels) for rows in self._embed(session.support)]
        self.known = [*self.known, torch.stack(means, dim=1)]
        self.prototypes = complete(self.known)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        own = torch.tensor([session for session, known in enumerate(self.known) for _ in known])
        weights = subspace_weights(own, len(self.known), self.settings.incremental_alpha)
        cosines = [
            scaled_cosines(rows, self.prototypes[:, j], COSINE_SCALE) * weights[:, j].to(rows)
            for j, rows in enumerate(self._embed(positions))
        ]
        return {"prototype": torch.stack(cosines).sum(dim=0)}

    def state(self) -> State:
        adapters = {f"adapters-{index}": dict(one.state_dict()) for index, one in enumerate(self.subspaces)}
        known = {f"prototypes-{index}": {"prototypes": one} for index, one in enumerate(self.known)}
        notes = {"classes": list(self.classes), "digests": list(self._digests)}
        return State({**adapters, **known}, notes, frozenset({*adapters, *known}))

    def load(self, state: State) -> None:
        self.classes = list(state.notes["classes"])
        self._digests = list(state.notes["digests"])
        backbone, device = self.features.token_backbone, self.features.device
        sessions = range(len(self._digests))
        self.subspaces = [restored_adapters(backbone, state.parts[f"adapters-{index}"]) for index in sessions]
        self.known = [state.parts[f"prototypes-{index}"]["prototypes"].to(device) for index in sessions]
        self.prototypes = complete(self.known)

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.features.backbone, *self.subspaces) + sum(one.numel() for one in self.known)
        return count, count

    def _embed(self, positions: tuple[int, ...]) -> list[Tensor]:
        """phi_j of a group of clips in every subspace: `[clips, dim]` each."""
        return [
            self.features.frozen("pooled", digest, positions, subspace.embed)[:]
            for subspace, digest in zip(self.subspaces, self._digests, strict=True)
        ]


def complete(known: Sequence[Tensor]) -> Tensor:
    """Prototypes of all classes in all subspaces (Zhou et al. 2024, semantic-guided prototype complement).

    A class of session o has no clips in the subspace of a later session j. Its prototype there is the mean of those of
    the classes of session j and later, weighed by the softmax of their cosine similarity to it in subspace o.

    Args:
        known: of each session, prototypes from clips: `[its classes, subspaces up to this session, dim]`.

    Returns:
        `[classes, subspaces, dim]`.
    """
    rows = []
    for o, own in enumerate(known):
        columns = [*own.unbind(dim=1)]
        for j in range(o + 1, len(known)):
            since = torch.cat([later[:, [o, j]] for later in known[j:]])
            shares = similarities(own[:, o], since[:, 0]).softmax(dim=1)
            columns.append(shares @ since[:, 1])
        rows.append(torch.stack(columns, dim=1))
    return torch.cat(rows)


def similarities(first: Tensor, second: Tensor) -> Tensor:
    """Cosines: `[a, dim]` and `[b, dim]` to `[a, b]`."""
    return nn.functional.normalize(first, dim=1) @ nn.functional.normalize(second, dim=1).T


def subspace_weights(own: Tensor, subspaces: int, alpha: float) -> Tensor:
    """Weight of each subspace in the score of each class: 1 for that of its session, alpha / t for the t others.

    Args:
        own: session of each class, `[classes]`.
        subspaces: t + 1.
        alpha: weight of the others together.

    Returns:
        `[classes, subspaces]`.
    """
    weights = torch.full((len(own), subspaces), alpha / max(1, subspaces - 1))
    weights[torch.arange(len(own)), own] = 1.0
    return weights
