"""APER (first called ADAM): adapt a copy in the base session, then merge it with the pretrained network.

Zhou et al. 2023, arXiv 2303.07338.

    e(x) = [ mean LN(P(x)) ; mean LN(T(x)) ]        P pretrained and frozen, T tuned on the base session, then frozen
    score_c = 16 cos(e(x), p_c)                     p_c = mean of e over the support of class c

T is tuned with cross-entropy through a cosine head that is discarded. `tuning: finetune` tunes a whole copy of P,
`adapter` only AdaptFormer adapters inside of P; SSF and prompts (the paper's other variants) are not implemented.

Made for a large base session: 25 clips make one batch, so the published 6 or 20 epochs are as many steps.
The releases classify by the same cosine, times a learned factor that changes no prediction.
"""

from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from datasets.benchmark.protocol import Session
from trainables.learners.adaptation import adapt
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner
from trainables.learners.training import CosineBaseTraining
from trainables.networks.adapters import AdaptedBackbone, restored_adapters
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.classifier import count_values, restored_backbone, trainable
from trainables.networks.heads import class_means, cosine_scores
from trainables.networks.specs import Capability
from trainables.networks.weights import weights_digest
from trainables.store.state import State


class APERSettings(CosineBaseTraining):
    """Settings of APER. The defaults are the published ones of `tuning`: `adapter` changes those that are not set."""

    tuning: Literal["finetune", "adapter"] = Field(
        "finetune",
        description="what is tuned; 'adapter' changes the defaults to batches of 48, 20 epochs, weight decay 5e-4",
    )
    bottleneck: int = Field(64, ge=1, description="width of an adapter (tuning 'adapter')")
    batch_size: int = Field(128, ge=1)
    base_epochs: int = Field(6, ge=0)
    base_lr: float = Field(0.01, gt=0)
    base_weight_decay: float = Field(0.05, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _follow_tuning(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("tuning") == "adapter":
            values = {"batch_size": 48, "base_epochs": 20, "base_weight_decay": 5e-4, **values}
        return values


class APER(Learner):
    """Trains nothing after the base session and rehearses nothing.

    Attributes:
        tuned: T, frozen.
        prototypes: `[classes, 2 dim]`.
    """

    name = "aper"
    version = 1
    summary = "frozen embedding + one adapted in the base session, prototypes, cosine"
    paper = "Zhou et al. 2023, arXiv 2303.07338"
    Settings = APERSettings
    heads = ("prototype",)
    uses = frozenset({"tune"})

    tuned: Backbone | AdaptedBackbone

    def __init__(self, settings: APERSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.prototypes = torch.empty(0)
        self._tuned_digest = ""

    @classmethod
    def capabilities(cls, settings: APERSettings) -> frozenset[Capability]:
        return cls.uses | {"tokens"} if settings.tuning == "adapter" else cls.uses

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._tune(session, generator)
        new = class_means(self._merged(session.support), session.support_labels, session.labels)
        self.prototypes = new if session.index == 0 else torch.cat([self.prototypes, new])

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {"prototype": cosine_scores(self._merged(positions), self.prototypes)}

    def state(self) -> State:
        parts = {"tuned": dict(self.tuned.state_dict()), "prototypes": {"prototypes": self.prototypes}}
        return State(parts, {"classes": list(self.classes), "tuned_digest": self._tuned_digest}, frozenset({"tuned"}))

    def load(self, state: State) -> None:
        self.classes = list(state.notes["classes"])
        self._tuned_digest = state.notes["tuned_digest"]
        if self.settings.tuning == "adapter":
            self.tuned = restored_adapters(self.features.token_backbone, state.parts["tuned"])
        else:
            self.tuned = restored_backbone(self.features.backbone, state.parts["tuned"])
        self.prototypes = state.parts["prototypes"]["prototypes"].to(self.features.device)

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.features.backbone, self.tuned) + self.prototypes.numel()
        return count, count

    def _tune(self, session: Session, generator: torch.Generator) -> None:
        """Trains T on the base session and freezes it."""
        schedule = self.settings.base_schedule()
        if self.settings.tuning == "adapter":
            self.tuned = AdaptedBackbone(self.features.token_backbone, self.settings.bottleneck, generator)
        else:
            self.tuned = trainable(self.features.backbone)
        adapt(self.tuned, self.tuned.embed, self.features, session, schedule, generator)
        adapted = isinstance(self.tuned, AdaptedBackbone)
        self._tuned_digest = self.tuned.digest if adapted else weights_digest(self.tuned)

    def _merged(self, positions: tuple[int, ...]) -> Tensor:
        """e(x): `[clips, 2 dim]`."""
        tuned = self.features.frozen("pooled", self._tuned_digest, positions, self.tuned.embed)
        return torch.cat([self.features.pooled(positions), tuned[:]], dim=1)
