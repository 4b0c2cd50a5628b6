"""RanPAC: ridge regression on random features of an adapted embedding.

McDonnell et al. NeurIPS 2023, arXiv 2307.02251.

    phi(x) = ReLU(e(x) B)              e(x) = mean LN(P with adapters (x)), B [dim, M] drawn from N(0, 1)
    score  = phi(x)^T (G + lambda I)^-1 Q

The adapters are trained on the base session alone, with cross-entropy through a cosine head that is discarded
(`tuning: none`: there are none, e(x) is P's embedding, which any backbone gives). Later sessions only add their clips
to the statistics (`trainables/networks/ridge.py`).

Different from the release: lambda is chosen on a random fifth of each class's support, with the earlier sessions in the
statistics (the release takes the last fifth of the session's shuffled clips, in which a class of five shots may be
missing, and omits the earlier sessions); statistics are float64 (release: float32); no dropout in the adapters (0.1).
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.adaptation import adapt
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner, Needs, column_labels
from trainables.learners.training import CosineBaseTraining
from trainables.networks.adapters import AdaptedBackbone, restored_adapters
from trainables.networks.classifier import count_values
from trainables.networks.ridge import CHUNK, Ridge, held_out
from trainables.networks.specs import Capability
from trainables.store.arrays import Rows
from trainables.store.state import State


class RanPACSettings(CosineBaseTraining):
    """Settings of RanPAC; the defaults are the published ones (CIFAR-100 with ViT-B/16)."""

    tuning: Literal["adapter", "none"] = Field(
        "adapter",
        exclude_if=lambda tuning: tuning == "adapter",
        description="'none': a frozen backbone without adapters, which needs its embedding only; nothing is trained",
    )
    bottleneck: int = Field(64, ge=1, description="width of an adapter")
    projection: int = Field(10_000, ge=1, description="M, the number of random features")
    batch_size: int = Field(48, ge=1)
    base_epochs: int = Field(20, ge=0)
    base_lr: float = Field(0.01, gt=0)
    base_weight_decay: float = Field(5e-4, ge=0)


class RanPAC(Learner):
    """Trains nothing after the base session; stores statistics of the clips seen, no clips.

    Attributes:
        adapted: P with adapters, frozen; None with `tuning: none`.
        projection: B.
        ridge: statistics and classifier.
    """

    name = "ranpac"
    version = 1
    summary = "adapters of the base session, random projection, ridge regression"
    paper = "McDonnell et al. 2023, arXiv 2307.02251"
    Settings = RanPACSettings
    heads = ("ridge",)
    uses = frozenset({"tune", "tokens"})

    adapted: AdaptedBackbone | None = None

    def __init__(self, settings: RanPACSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.projection = torch.empty(0)
        self._adapted_digest = ""
        self.ridge = Ridge(settings.projection, features.device)

    @classmethod
    def needs(cls, settings: RanPACSettings) -> Needs:
        return Needs(shots=2, why="one to fit, one to choose lambda on")

    @classmethod
    def capabilities(cls, settings: RanPACSettings) -> frozenset[Capability]:
        return frozenset({"embed"}) if settings.tuning == "none" else cls.uses

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        frozen = self.settings.tuning == "none"
        return [self.features.pooled_request(positions)] if frozen else super().requests(positions)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._learn_base(session, generator)
        rows = self._embeddings(session.support)
        columns = column_labels(session.support_labels, self.classes)
        validation = held_out(session.support_labels, generator)
        self.ridge.learn(lambda index: self._random_features(rows[index]), columns, len(self.classes), validation)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        rows = self._embeddings(positions)
        scores = [
            self.ridge.scores(self._random_features(rows[slice(first, first + CHUNK)]))
            for first in range(0, len(rows), CHUNK)
        ]
        return {"ridge": torch.cat(scores)}

    def state(self) -> State:
        parts = {
            **({} if self.adapted is None else {"adapters": dict(self.adapted.state_dict())}),
            "projection": {"projection": self.projection},
            **self.ridge.parts(),
        }
        return State(
            parts,
            {"classes": list(self.classes), "adapted_digest": self._adapted_digest},
            frozenset({"adapters", "projection"}),
        )

    def load(self, state: State) -> None:
        device = self.features.device
        self.classes = list(state.notes["classes"])
        self._adapted_digest = state.notes["adapted_digest"]
        if self.settings.tuning == "adapter":
            self.adapted = restored_adapters(self.features.token_backbone, state.parts["adapters"])
        self.projection = state.parts["projection"]["projection"].to(device)
        self.ridge = Ridge.from_parts(state.parts, device)

    def parameter_counts(self) -> tuple[int, int]:
        networks = [self.features.backbone] if self.adapted is None else [self.features.backbone, self.adapted]
        both = count_values(*networks) + self.projection.numel()
        stored, used = self.ridge.count_values()
        return both + stored, both + used

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains the adapters, then freezes them; draws B."""
        settings, backbone = self.settings, self.features.backbone
        self._adapted_digest = backbone.digest
        if settings.tuning == "adapter":
            self.adapted = AdaptedBackbone(self.features.token_backbone, settings.bottleneck, generator)
            adapt(self.adapted, self.adapted.embed, self.features, session, settings.base_schedule(), generator)
            self._adapted_digest = self.adapted.digest
        projection = torch.randn(backbone.dim, settings.projection, generator=generator)
        self.projection = projection.to(self.features.device)

    def _embeddings(self, positions: tuple[int, ...]) -> Rows:
        """e(x): rows of `[dim]`."""
        network = self.features.backbone if self.adapted is None else self.adapted
        return self.features.frozen("pooled", self._adapted_digest, positions, network.embed)

    def _random_features(self, embeddings: Tensor) -> Tensor:
        """phi: `[clips, dim]` to `[clips, M]`."""
        return nn.functional.relu(embeddings @ self.projection)
