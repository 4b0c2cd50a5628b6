"""RanPAC: ridge regression on random features of an adapted embedding.

McDonnell et al. NeurIPS 2023, arXiv 2307.02251.

    phi(x) = ReLU(e(x) B)              e(x) = mean LN(P with adapters (x)), B [dim, M] drawn from N(0, 1)
    score  = phi(x)^T (G + lambda I)^-1 Q

The adapters are trained on the base session alone, with cross-entropy through a cosine head that is discarded
(`tuning: none`: there are none, e(x) is P's embedding, which any backbone gives). Later sessions only add their clips
to the statistics (`trainables/learners/analytic/ridge.py`).

Different from the release: lambda is chosen by leave-one-out over all clips whose rows are kept, so no shot is given up
for it. With `choose: held-out`, as in version 1, it is chosen on a random fifth of each class's support, with the
earlier sessions in the statistics (the release takes the last fifth of the session's shuffled clips, in which a class
of five shots may be missing, and omits the earlier sessions). Statistics are float64 (release: float32); no dropout in
the adapters (0.1).

`calibrate` replaces the clips of a later class by draws from a Gaussian whose mean and covariance are completed by
those of similar base classes (Goswami et al. 2024, arXiv 2404.06622; `trainables/learners/analytic/calibration.py`), as
in its release with lambda from the base session. It needs a base session with many clips.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.adaptation import adapt
from trainables.learners.analytic.calibration import BASE_SHOTS, calibrated
from trainables.learners.analytic.moments import Moments
from trainables.learners.analytic.ridge import CHUNK, CLIPS, Ridge, held_out
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner, Needs, column_labels
from trainables.learners.training import CosineBaseTraining
from trainables.networks.adapters import AdaptedBackbone, restored_adapters
from trainables.networks.classifier import count_values
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
    choose: Literal["leave-one-out", "held-out"] = Field("leave-one-out", description="how lambda is chosen")
    calibrate: bool = Field(False, description="complete later classes by similar base classes (arXiv 2404.06622)")
    incremental_calibrate_alpha: float = Field(0.9, ge=0, le=1, description="share of a class's own mean")
    incremental_calibrate_beta: float = Field(0.5, gt=0, description="times the sum of covariances")
    incremental_draws: int = Field(800, ge=1, description="of a calibrated class")


class RanPAC(Learner):
    """Trains nothing after the base session; stores statistics of the clips seen, no clips.

    Attributes:
        adapted: P with adapters, frozen; None with `tuning: none`.
        projection: B.
        ridge: statistics and classifier.
        moments: of e over the base classes, with `calibrate`.
    """

    name = "ranpac"
    version = 2  # 1: lambda was chosen on held-out clips, as with `choose: held-out`
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
        self._clips = CLIPS if settings.choose == "leave-one-out" else 0
        self.ridge = Ridge(settings.projection, features.device, self._clips)
        self.moments = Moments(features.backbone.dim, features.device, together=False)

    @classmethod
    def needs(cls, settings: RanPACSettings) -> Needs:
        if settings.calibrate:
            return Needs(base_shots=BASE_SHOTS, why="calibrate mixes in covariances of base classes")
        if settings.choose == "held-out":
            return Needs(shots=2, why="one to fit, one to choose lambda on")
        return Needs()

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
        rows = self.embeddings(session.support)
        columns = column_labels(session.support_labels, self.classes)
        if self.settings.calibrate and session.index > 0:
            drawn, columns = self.calibrated_draws(rows, columns, generator)
            penalty = self.ridge.penalty
            self.ridge.fit(lambda index: self._random_features(drawn[index]), columns, len(self.classes), penalty)
            return
        if self.settings.calibrate:
            for column, label in enumerate(self.classes):
                self.moments.add(label, rows[(columns == column).nonzero().squeeze(1)])
        if self.settings.choose == "held-out":
            validation = held_out(session.support_labels, generator)
            self.ridge.learn(lambda index: self._random_features(rows[index]), columns, len(self.classes), validation)
        else:
            self.ridge.fit(lambda index: self._random_features(rows[index]), columns, len(self.classes))

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        rows = self.embeddings(positions)
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
        if self.settings.calibrate:
            parts |= self.moments.parts("moments")
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
        self.ridge = Ridge.from_parts(state.parts, device, self._clips)
        if self.settings.calibrate:
            self.moments.load(state.parts, "moments")

    def parameter_counts(self) -> tuple[int, int]:
        networks = [self.features.backbone] if self.adapted is None else [self.features.backbone, self.adapted]
        both = count_values(*networks) + self.projection.numel()
        stored, used = self.ridge.count_values()
        return both + stored + self.moments.count_values(), both + used

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

    def calibrated_draws(self, rows: Rows, columns: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws from the calibrated Gaussians of the new classes: `[draws, dim]`, and their columns."""
        settings, base = self.settings, self.moments
        factors = [
            base.factor_of(label) / max(float(count) - 1, 1) ** 0.5
            for label, count in zip(base.labels, base.counts, strict=True)
        ]
        draws, drawn = [], []
        for column in columns.unique().tolist():
            own = rows[(columns == column).nonzero().squeeze(1)].double()
            mean = own.mean(dim=0)
            factor = (own - mean) / max(len(own) - 1, 1) ** 0.5
            alpha, beta = settings.incremental_calibrate_alpha, settings.incremental_calibrate_beta
            mean, factor = calibrated(mean, factor, base.means, factors, alpha, beta)
            noise = torch.randn(settings.incremental_draws, len(factor), generator=generator, dtype=torch.float64)
            draws.append((mean + noise.to(mean.device) @ factor).float())
            drawn.append(torch.full((len(noise),), column))
        return torch.cat(draws), torch.cat(drawn)

    def embeddings(self, positions: tuple[int, ...]) -> Rows:
        """e(x): rows of `[dim]`."""
        network = self.features.backbone if self.adapted is None else self.adapted
        return self.features.frozen("pooled", self._adapted_digest, positions, network.embed)

    def _random_features(self, embeddings: Tensor) -> Tensor:
        """phi: `[clips, dim]` to `[clips, M]`."""
        return nn.functional.relu(embeddings @ self.projection)
