"""EDE: the expandable dual-embedding extractor.

"Fully Few-shot Class-incremental Audio Classification Using Expandable Dual-embedding Extractor", INTERSPEECH 2024,
arXiv 2406.08122.

    P   the pretrained network, always frozen
    G   a copy of P, trained in the base session, then frozen
    S_t one specialised part per session: one transformer block on G's token map, LayerNorm, mean over the tokens

    e(x) = [ S_0(G(x)) ; ... ; S_t(G(x)) ]        d(x) = [ mean LN(P(x)) ; e(x) ]

Session 0 trains G, S_0 and a linear head over e(x) with cross-entropy. Session t trains S_t, a copy of S_{t-1}, the
head, grown by the new classes, and a temporary auxiliary head with new classes + 1 outputs on S_t(G(x)) alone. The
auxiliary head separates each new class from the others and from all old ones together. The clips are the new support
and the exemplars:

    L = CE(head(e(x)), y) + alpha_aux CE(auxiliary(S_t(G(x))), max(0, y - known + 1)),    y = 0, 1, .. in class order

Scores: cosine of d(x) with the prototypes, the linear head, and the nearest exemplar mean of e(x).

A prototype is the mean of d(x) over the support of its class. P, G and the parts of earlier sessions are frozen, so
their values are kept as they are; only the values of parts that came after the class are means over its exemplars. The
paper and the release compute all values of an old class from its exemplars (`prototypes: exemplars`), and compare
d(x) as it is (`combine: concatenate`), where here each part is first divided by its norm:

    normalised     (cos of P's part + mean over i of cos of S_i's part) / 2: the two embeddings weigh the same
    concatenate    cos of d(x): long vectors outweigh short ones, and t + 1 specialised parts the pretrained one

P(x) is computed once per group of clips and benchmark, G(x) once per group and base session, S_i(G(x)) once per group
and part: an epoch of an incremental session runs its own block only.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.expanding import ExpandingLearner, ExpandingTraining
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import column_labels
from trainables.learners.part_stack import PartStack
from trainables.learners.training import mix_up, session_name, train
from trainables.networks.backbones.backbone import SpecialisedPart
from trainables.networks.classifier import count_values, frozen, trainable
from trainables.networks.heads import class_means, cosine_scores, linear_head
from trainables.networks.weights import Initialisation
from trainables.store.state import State

RELEASED = {
    "exemplar_pool": "class",
    "prototypes": "exemplars",
    "combine": "concatenate",
    "part_initialisation": "torch",
}
"""What `compat: reference` sets, where the setting is not given."""


class EDESettings(ExpandingTraining):
    """Settings of EDE; the defaults are the published ones, except `base_epochs` (see there)."""

    compat: Literal["none", "reference"] = Field(
        "none",
        description="'reference': as released: the linear head first, exemplars from all train clips of a class, "
        "old prototypes from exemplars, concatenated as they are, S_0 with PyTorch's initialisation",
    )
    prototypes: Literal["kept", "exemplars"] = Field(
        "kept",
        description="prototypes of old classes: of their support for every part that existed, or, as published, of "
        "their exemplars",
    )
    combine: Literal["concatenate", "normalised"] = Field(
        "normalised",
        description="scores: the mean cosine of the pretrained and of the specialised parts, or, as published, the "
        "cosine of all values side by side",
    )
    part_initialisation: Initialisation = Field(
        "vit",
        description="S_0: 'vit' is truncated normal (0.02) with biases 0; 'torch' is PyTorch's own, as in the release, "
        "whose initialiser runs before the part exists",
    )
    exemplar_pool: Literal["support", "class"] = Field(
        "support",
        description="candidates of herding; 'class' uses train clips outside the support",
    )
    base_epochs: int = Field(100, ge=0, description="the release has 1: a single SGD step")
    base_milestones: tuple[int, ...] = Field((40, 80, 120, 160), description="epochs at which lr falls to a tenth")
    base_mixup: float = Field(0.0, ge=0, le=1, description="probability that a batch is mixed (Beta(10, 10))")
    incremental_milestones: tuple[int, ...] = Field((80, 120, 150), description="epochs at which lr falls to a tenth")

    @model_validator(mode="before")
    @classmethod
    def _follow_compat(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("compat") == "reference":
            values = {**RELEASED, **values}
        return values


class EDE(ExpandingLearner):
    """EDE with exemplars from the support only, a seed for every draw, and three heads side by side.

    Attributes:
        prototypes: `[classes, dim (t + 2)]`.
    """

    name = "ede"
    version = 3
    summary = "expandable dual-embedding extractor: frozen embedding + one trained block a session"
    paper = "INTERSPEECH 2024, arXiv 2406.08122"
    Settings = EDESettings
    published = {"base_epochs": 1, **RELEASED}
    heads = ("prototype", "linear", "nme")
    uses = frozenset({"tune", "tokens"})

    def __init__(self, settings: EDESettings, features: Features) -> None:
        backbone = features.token_backbone
        stack = PartStack(features, backbone.new_part, lambda: trainable(backbone))
        super().__init__(settings, features, stack)
        self.prototypes = torch.empty(0)

    @classmethod
    def default_head(cls, settings: EDESettings) -> str:
        return "linear" if settings.compat == "reference" else "prototype"

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            backbone = self.features.token_backbone
            part = backbone.new_part(generator, self.settings.part_initialisation)
            head = linear_head(backbone.dim, len(self.classes), generator)
            self.train_base(session, part, head, generator)
        else:
            self.learn_increment(session, generator)
        self.store_classes(session)

    def store_classes(self, session: Session) -> None:
        """Computes the prototypes of all classes and the exemplars of the new ones, after the training of a session."""
        self._update_prototypes(session)
        count = self.settings.exemplars_per_class
        if self.settings.exemplar_pool == "support":
            self.exemplars.add_from_support(session, self.stack.embed(session.support), count)
        else:
            pools = [clips_of_class.pool for clips_of_class in session.classes]
            vectors = [nn.functional.normalize(self.stack.embed(pool), dim=1) for pool in pools]
            self.exemplars.add(session, pools, vectors, count)
        self.update_exemplar_means()

    def train_base(
        self,
        session: Session,
        part: SpecialisedPart,
        head: nn.Linear,
        generator: torch.Generator,
        orders: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Trains G, S_0 and the head with cross-entropy, on batches that are mixed with probability `base_mixup`.

        Args:
            session: the base session, whose labels are in `classes` already.
            part: S_0 before training.
            head: `[dim]` to the base classes, before training; it becomes `self.head`.
            generator: shuffles and mixes.
            orders: row numbers of the support clips in the order of each epoch (default: shuffled).

        Raises:
            EarshotError: the loss is not finite.
        """
        features, device = self.features, self.features.device
        support, probability = session.support, self.settings.base_mixup
        shared = trainable(features.token_backbone)
        part, head = part.to(device), head.to(device)
        inputs = features.inputs(support)
        targets = nn.functional.one_hot(column_labels(session.support_labels, self.classes)).float()

        def loss(batch: Tensor) -> Tensor:
            y = targets[batch.cpu()]
            if probability and float(torch.rand((), generator=generator)) < probability:
                waves, y = mix_up(features.waves([support[row] for row in batch.tolist()]), y, generator)
                x = features.frontend(waves).to(device)
            else:
                x = inputs[batch]
            return nn.functional.cross_entropy(head(part(shared(x))), y.to(device))

        train(
            loss,
            [shared, part, head],
            self.settings.base_schedule(),
            clips=len(support),
            generator=generator,
            autocast=features.autocast,
            where=session_name(session),
            orders=orders,
        )
        self.stack.set_shared(shared)
        self.stack.append(part)
        self.head = frozen(head)

    def _update_prototypes(self, session: Session) -> None:
        """Computes the prototypes of the new classes, and the values of the old ones that are not kept."""
        if self.settings.prototypes == "exemplars":
            groups, labels = self.exemplars.with_support(session)
            dual = torch.cat([self._dual_embedding(group) for group in groups])
            self.prototypes = class_means(dual, labels, self.classes)
            return
        new = class_means(self._dual_embedding(session.support), session.support_labels, session.labels)
        if session.index:
            known = self.classes[: -len(session.labels)]
            of_exemplars = self.stack.embed_groups(self.exemplars.groups)[:, -self.features.backbone.dim :]
            last = class_means(of_exemplars, self.exemplars.labels, known)
            new = torch.cat([torch.cat([self.prototypes, last], dim=1), new])
        self.prototypes = new

    def _dual_embedding(self, positions: tuple[int, ...]) -> Tensor:
        """d(x): `[clips, dim (t + 2)]`."""
        return torch.cat([self.features.pooled(positions), self.stack.embed(positions)], dim=1)

    def _combined(self, dual: Tensor) -> Tensor:
        """The values that are compared: `[rows, dim (t + 2)]` to the same."""
        if self.settings.combine == "concatenate":
            return dual
        parts = nn.functional.normalize(dual.float().unflatten(1, (-1, self.features.backbone.dim)), dim=2)
        parts[:, 1:] /= math.sqrt(parts.shape[1] - 1)
        return parts.flatten(1)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        dual = self._dual_embedding(positions)
        return {
            "prototype": cosine_scores(self._combined(dual), self._combined(self.prototypes)),
            **super().score(positions),
        }

    def state(self) -> State:
        state = super().state()
        state.parts["means"]["prototypes"] = self.prototypes
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self.prototypes = state.parts["means"]["prototypes"].to(self.features.device)

    def parameter_counts(self) -> tuple[int, int]:
        stored, used = super().parameter_counts()
        more = count_values(self.features.backbone) + self.prototypes.numel()
        return stored + more, used + more
