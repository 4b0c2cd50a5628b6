"""EDE: the expandable dual-embedding extractor.

"Fully Few-shot Class-incremental Audio Classification Using Expandable Dual-embedding Extractor", INTERSPEECH 2024,
arXiv 2406.08122.

    P   the pretrained network, frozen for ever
    G   a copy of it, trained in the base session, then frozen
    S_t one specialised part per session: one transformer block on G's token map, LayerNorm, mean over the tokens

    e(x) = [ mean LN(P(x)) ; S_0(G(x)) ; ... ; S_t(G(x)) ]

P(x) is computed once per group of clips and benchmark, G(x) once per group and base session, S_i(G(x)) once per group
and part: no epoch of an incremental session runs anything but its own block.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.expanding import ExpandingOnShared, ExpandingTraining
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.training import mix_up
from trainables.networks.backbone import SpecialisedPart
from trainables.networks.classifier import count_values
from trainables.networks.heads import class_means, cosine_scores
from trainables.store.state import State


class EDESettings(ExpandingTraining):
    """Settings of EDE; the defaults are the published ones, but for `base_epochs` (see there)."""

    compat: Literal["none", "reference"] = Field(
        "none",
        description="'reference': herd from the class's whole train pool and lead with the linear head, as released",
    )
    exemplar_pool: Literal["support", "class"] = Field(
        "support",
        description="what exemplars are herded from; 'class' looks at train clips outside the support",
    )
    base_epochs: int = Field(100, ge=0, description="the release has 1: a single SGD step")
    base_milestones: tuple[int, ...] = Field((40, 80, 120, 160), description="epochs at which lr falls to a tenth")
    base_mixup: float = Field(0.0, ge=0, le=1, description="probability that a batch is mixed (Beta(10, 10))")
    incremental_milestones: tuple[int, ...] = Field((80, 120, 150), description="epochs at which lr falls to a tenth")

    @model_validator(mode="before")
    @classmethod
    def _follow_compat(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("compat") == "reference":
            values = {"exemplar_pool": "class", **values}
        return values


class EDE(ExpandingOnShared):
    """The method right: exemplars from the support alone, seeds that seed, three heads side by side."""

    name = "ede"
    version = 2
    summary = "expandable dual-embedding extractor: frozen embedding + one trained block a session"
    paper = "INTERSPEECH 2024, arXiv 2406.08122"
    Settings = EDESettings
    heads = ("prototype", "linear", "nme")

    def __init__(self, settings: EDESettings, features: Features) -> None:
        super().__init__(settings, features)
        self._prototypes = torch.empty(0)  # [classes, dim (t + 2)]

    @classmethod
    def default_head(cls, settings: EDESettings) -> str:
        return "linear" if settings.compat == "reference" else "prototype"

    def precompute(self, positions: tuple[int, ...]) -> None:
        self.features.pooled(positions)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {
            "prototype": cosine_scores(self._dual_embedding(positions), self._prototypes),
            **super().score(positions),
        }

    def state(self) -> State:
        state = super().state()
        state.parts["means"]["prototypes"] = self._prototypes
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self._prototypes = state.parts["means"]["prototypes"].to(self.features.device)

    def parameters(self) -> tuple[int, int]:
        stored, used = super().parameters()
        more = count_values(self.features.backbone) + self._prototypes.numel()
        return stored + more, used + more

    def _first_part(self, generator: torch.Generator) -> SpecialisedPart:
        """S_0, random."""
        return self.features.backbone.new_part(generator)

    def _base_batches(self, session: Session, generator: torch.Generator) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """As it comes, or mixed up with probability `base_mixup`."""
        probability, device = self.settings.base_mixup, self.features.device
        support = session.support
        inputs = self.features.inputs(support)
        targets = nn.functional.one_hot(column_labels(session.support_labels, self.classes)).float()

        def batches(batch: Tensor) -> tuple[Tensor, Tensor]:
            y = targets[batch.cpu()]
            if probability and float(torch.rand((), generator=generator)) < probability:
                waves = self.features.waves([support[row] for row in batch.tolist()])
                mixed, y = mix_up(waves, y, generator)
                return self.features.frontend(mixed).to(device), y.to(device)
            return inputs[batch], y.to(device)

        return batches

    def _herd(self, session: Session) -> None:
        """From the support, or as released from the whole train pool."""
        if self.settings.exemplar_pool == "support":
            super()._herd(session)
            return
        pools = [one.pool for one in session.classes]
        vectors = [nn.functional.normalize(self._embedding(pool), dim=1) for pool in pools]
        self._exemplars.remember(session, pools, vectors, self.settings.exemplars_per_class)

    def _remember(self, session: Session) -> None:
        """Prototypes of all classes from this session's training data: new from the shots, old from exemplars."""
        groups = [*self._exemplars.groups, session.support]
        labels = [*self._exemplars.labels, *session.support_labels]
        dual = torch.cat([self._dual_embedding(group) for group in groups])
        self._prototypes = class_means(dual, labels, self.classes)
        super()._remember(session)

    def _dual_embedding(self, positions: tuple[int, ...]) -> Tensor:
        """[mean LN(P(x)) ; S_0(G(x)) ; ... ; S_t(G(x))]: `[clips, dim (t + 2)]`."""
        return torch.cat([self.features.pooled(positions), self._embedding(positions)], dim=1)
