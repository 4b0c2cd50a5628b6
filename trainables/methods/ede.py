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

from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from datasets.protocol import Session
from trainables.arrays import Joined, Rows
from trainables.backbone import Backbone, SpecialisedPart, weights_digest
from trainables.exemplars import Exemplars
from trainables.features import Features
from trainables.heads import class_means, cosine_scores, distance_scores, linear_head
from trainables.learner import Learner, Needs, State, column_labels
from trainables.networks import count_values, frozen, restored_linear, trainable
from trainables.training import Training, mix_up, train


class EDESettings(Training):
    """Settings of EDE; the defaults are the published ones, but for `base_epochs` (see there)."""

    compat: Literal["none", "reference"] = Field(
        "none",
        description="'reference': herd from the class's whole train pool and lead with the linear head, as released",
    )
    exemplars_per_class: int = Field(1, ge=1, description="clips of an old class that are rehearsed")
    exemplar_pool: Literal["support", "class"] = Field(
        "support",
        description="what exemplars are herded from; 'class' looks at train clips outside the support",
    )
    base_epochs: int = Field(100, ge=0, description="the release has 1: a single SGD step")
    base_milestones: tuple[int, ...] = Field((40, 80, 120, 160), description="epochs at which lr falls to a tenth")
    base_mixup: float = Field(0.0, ge=0, le=1, description="probability that a batch is mixed (Beta(10, 10))")
    incremental_milestones: tuple[int, ...] = Field((80, 120, 150), description="epochs at which lr falls to a tenth")
    incremental_alpha_aux: float = Field(1.0, ge=0, description="weight of the auxiliary loss")

    @model_validator(mode="before")
    @classmethod
    def _follow_compat(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("compat") == "reference":
            values = {"exemplar_pool": "class", **values}
        return values


class EDE(Learner):
    """The method right: exemplars from the support alone, seeds that seed, three heads side by side."""

    name = "ede"
    version = 2
    summary = "expandable dual-embedding extractor: frozen embedding + one trained block a session"
    paper = "INTERSPEECH 2024, arXiv 2406.08122"
    Settings = EDESettings
    heads = ("prototype", "linear", "nme")

    def __init__(self, settings: EDESettings, features: Features) -> None:
        super().__init__(settings, features)
        self._general: Backbone | None = None  # G
        self._general_digest = ""
        self._specialised: list[SpecialisedPart] = []  # S_0 .. S_t
        self._linear: nn.Linear | None = None
        self._exemplars = Exemplars()
        self._prototypes = torch.empty(0)  # [classes, dim (t + 2)]
        self._exemplar_means = torch.empty(0)  # [classes, dim (t + 1)], L2-normalised
        self._digests: list[str] = []  # of S_0 .. S_t

    @classmethod
    def needs(cls, settings: EDESettings) -> Needs:
        return Needs(exemplars=settings.exemplars_per_class)

    @classmethod
    def default_head(cls, settings: EDESettings) -> str:
        return "linear" if settings.compat == "reference" else "prototype"

    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.classes += session.labels
        if session.index == 0:
            self._learn_base(session, generator)
        else:
            self._learn_increment(session, generator)
        self._remember(session)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        specialised = self._specialised_embedding(positions)
        dual = torch.cat([self.features.pooled(positions), specialised], dim=1)
        assert self._linear is not None
        with torch.inference_mode():
            return {
                "prototype": cosine_scores(dual, self._prototypes),
                "linear": self._linear(specialised),
                "nme": distance_scores(nn.functional.normalize(specialised, dim=1), self._exemplar_means),
            }

    def state(self) -> State:
        assert self._general is not None and self._linear is not None
        parts = {
            "general": dict(self._general.state_dict()),
            "linear": dict(self._linear.state_dict()),
            "means": {"prototypes": self._prototypes, "exemplar_means": self._exemplar_means},
        }
        parts |= {f"specialised-{i}": dict(part.state_dict()) for i, part in enumerate(self._specialised)}
        notes = {
            "classes": list(self.classes),
            "general_digest": self._general_digest,
            "exemplars": self._exemplars.notes(),
        }
        return State(parts, notes)

    def load(self, state: State) -> None:
        device, backbone = self.features.device, self.features.backbone
        self.classes = list(state.notes["classes"])
        self._general_digest = state.notes["general_digest"]
        self._exemplars = Exemplars.from_notes(state.notes["exemplars"])
        self._general = trainable(backbone)
        self._general.load_state_dict(state.parts["general"])
        frozen(self._general)
        self._specialised, self._digests = [], []
        for index in range(len(self._exemplars.groups)):
            part = backbone.new_part()
            part.load_state_dict(state.parts[f"specialised-{index}"])
            self._keep(part.to(device))
        self._linear = restored_linear(state.parts["linear"], device)
        self._prototypes = state.parts["means"]["prototypes"].to(device)
        self._exemplar_means = state.parts["means"]["exemplar_means"].to(device)

    def parameters(self) -> tuple[int, int]:
        assert self._general is not None and self._linear is not None
        networks = [self.features.backbone, self._general, *self._specialised, self._linear]
        count = count_values(*networks) + self._prototypes.numel() + self._exemplar_means.numel()
        return count, count

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains G, S_0 and the linear head with cross-entropy; then freezes G."""
        settings, device = self.settings, self.features.device
        general = trainable(self.features.backbone)
        part = self.features.backbone.new_part(generator).to(device)
        linear = linear_head(general.dim, len(self.classes), generator).to(device)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            y = nn.functional.one_hot(targets[batch], len(self.classes)).float()
            if settings.base_mixup and float(torch.rand((), generator=generator)) < settings.base_mixup:
                waves = self.features.waves([session.support[row] for row in batch.tolist()])
                mixed, y = mix_up(waves, y, generator)
                x = self.features.frontend(mixed).to(device)
            else:
                x = inputs[batch]
            return nn.functional.cross_entropy(linear(part(general(x))), y)

        train(
            loss,
            [general, part, linear],
            settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where="base session",
        )
        self._general = frozen(general)
        self._general_digest = weights_digest(general)
        self._keep(part)
        self._linear = frozen(linear)

    def _learn_increment(self, session: Session, generator: torch.Generator) -> None:
        """Appends S_t = copy of S_{t-1}; trains it with the grown linear head and a fresh auxiliary head.

        Loss = CE(linear) + alpha_aux CE(auxiliary); the auxiliary target is 0 for every old class and 1.. for the new.
        """
        settings, device = self.settings, self.features.device
        groups = [session.support, *self._exemplars.groups]
        labels = [*session.support_labels, *self._exemplars.labels]
        tokens = Joined([self._general_tokens(group) for group in groups])
        before = torch.cat([self._specialised_embedding(group) for group in groups])
        targets = column_labels(labels, self.classes).to(device)
        known = len(self.classes) - len(session.classes)
        auxiliary_targets = (targets - known + 1).clamp_min(0)

        part = trainable(self._specialised[-1])
        dim = self.features.backbone.dim
        linear = linear_head(before.shape[1] + dim, len(self.classes), generator, grown_from=self._linear).to(device)
        auxiliary = linear_head(dim, len(session.classes) + 1, generator).to(device)

        def loss(batch: Tensor) -> Tensor:
            new = part(tokens[batch])
            logits = linear(torch.cat([before[batch], new], dim=1))
            total = nn.functional.cross_entropy(logits, targets[batch])
            auxiliary_loss = nn.functional.cross_entropy(auxiliary(new), auxiliary_targets[batch])
            return total + settings.incremental_alpha_aux * auxiliary_loss

        train(
            loss,
            [part, linear, auxiliary],
            settings.incremental_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=f"session {session.index}",
        )
        self._keep(part)
        self._linear = frozen(linear)

    def _remember(self, session: Session) -> None:
        """Computes the prototypes of all classes, chooses the exemplars of the new ones, computes exemplar means.

        Prototypes come from this session's training data: the shots of new classes, the exemplars of old ones.
        """
        groups = [*self._exemplars.groups, session.support]
        labels = [*self._exemplars.labels, *session.support_labels]
        dual = [torch.cat([self.features.pooled(g), self._specialised_embedding(g)], dim=1) for g in groups]
        self._prototypes = class_means(torch.cat(dual), labels, self.classes)

        if self.settings.exemplar_pool == "class":
            pools = [one.pool for one in session.classes]
            vectors = [self._specialised_embedding(pool) for pool in pools]
        else:
            pools = [one.support for one in session.classes]
            vectors = list(self._specialised_embedding(session.support).split([len(pool) for pool in pools]))
        normalised = [nn.functional.normalize(one, dim=1) for one in vectors]
        self._exemplars.remember(session, pools, normalised, self.settings.exemplars_per_class)
        remembered = torch.cat([self._specialised_embedding(group) for group in self._exemplars.groups])
        means = class_means(nn.functional.normalize(remembered, dim=1), self._exemplars.labels, self.classes)
        self._exemplar_means = nn.functional.normalize(means, dim=1)

    def _keep(self, part: SpecialisedPart) -> None:
        self._specialised.append(frozen(part))
        self._digests.append(weights_digest(part))

    def _general_tokens(self, positions: tuple[int, ...]) -> Rows:
        """G(x): rows of `[tokens, dim]`."""
        assert self._general is not None
        return self.features.tokens(self._general_digest, positions, self._general)

    def _specialised_embedding(self, positions: tuple[int, ...]) -> Tensor:
        """[S_0(G(x)) ; ... ; S_t(G(x))]: `[clips, dim (t + 1)]`; each part runs once per group of clips."""
        embedded = [
            self.features.frozen(
                "specialised",
                f"{self._general_digest} {digest}",
                positions,
                part,
                of=partial(self._general_tokens, positions),
            )[:]
            for part, digest in zip(self._specialised, self._digests, strict=True)
        ]
        return torch.cat(embedded, dim=1)
