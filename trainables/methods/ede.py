"""EDE: the expandable dual-embedding extractor.

"Fully Few-shot Class-incremental Audio Classification Using Expandable Dual-embedding Extractor", INTERSPEECH 2024,
arXiv 2406.08122.

    P   the pretrained network, frozen for ever
    G   a copy of it, trained in the base session, then frozen
    S_t one specialised part per session: one transformer block on G's token map, LayerNorm, mean over the tokens

    e(x) = [ mean LN(P(x)) ; S_0(G(x)) ; ... ; S_t(G(x)) ]

P(x) is computed once per group of clips and benchmark, G(x) once per group and base session, S_i(G(x)) once per group
and chain: no epoch of an incremental session runs anything but its own block.
"""

import copy
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from datasets.protocol import Session
from trainables.backbone import Backbone, SpecialisedPart, weights_digest
from trainables.exemplars import Exemplars
from trainables.features import BATCH, Features
from trainables.heads import class_means, cosine_scores, distance_scores, linear_head
from trainables.learner import Learner, Phase, Settings, State, column_labels
from trainables.training import Schedule, mix_up, sgd_epochs


class EDESettings(Settings):
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
    batch_size: int = Field(25, ge=1)
    base_epochs: int = Field(100, ge=0, description="the release has 1: a single SGD step")
    base_lr: float = Field(1e-3, gt=0)
    base_milestones: tuple[int, ...] = Field((40, 80, 120, 160), description="epochs at which lr falls to a tenth")
    base_weight_decay: float = Field(2e-4, ge=0)
    base_mixup: float = Field(0.0, ge=0, le=1, description="probability that a batch is mixed (Beta(10, 10))")
    incremental_epochs: int = Field(100, ge=0)
    incremental_lr: float = Field(1e-3, gt=0)
    incremental_milestones: tuple[int, ...] = Field((80, 120, 150), description="epochs at which lr falls to a tenth")
    incremental_weight_decay: float = Field(2e-4, ge=0)
    incremental_alpha_aux: float = Field(1.0, ge=0, description="weight of the auxiliary loss")

    @model_validator(mode="before")
    @classmethod
    def _follow_compat(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("compat") == "reference":
            values = {"exemplar_pool": "class", **values}
        return values

    def schedule(self, phase: Phase) -> Schedule:
        """How the base session, or a later one, trains."""
        keys = ("epochs", "lr", "milestones", "weight_decay")
        return Schedule(batch_size=self.batch_size, **{key: getattr(self, f"{phase}_{key}") for key in keys})


class EDE(Learner):
    """The method right: exemplars from the support alone, seeds that seed, three heads side by side."""

    name = "ede"
    version = 1
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
        self._embedded: dict[tuple[int, tuple[int, ...]], Tensor] = {}

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
        self._general = copy.deepcopy(backbone)
        self._general.load_state_dict(state.parts["general"])
        self._specialised = []
        for index in range(len(self._exemplars.groups)):
            part = backbone.new_part()
            part.load_state_dict(state.parts[f"specialised-{index}"])
            self._specialised.append(_frozen(part.to(device)))
        weight = state.parts["linear"]["weight"]
        self._linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
        self._linear.load_state_dict(state.parts["linear"])
        self._linear.to(device)
        self._prototypes = state.parts["means"]["prototypes"].to(device)
        self._exemplar_means = state.parts["means"]["exemplar_means"].to(device)
        self._embedded = {}

    def parameters(self) -> tuple[int, int]:
        assert self._general is not None and self._linear is not None
        networks = [self.features.backbone, self._general, *self._specialised, self._linear]
        count = sum(p.numel() for network in networks for p in network.parameters())
        count += self._prototypes.numel() + self._exemplar_means.numel()
        return count, count

    def _learn_base(self, session: Session, generator: torch.Generator) -> None:
        """Trains G, S_0 and the linear head with cross-entropy; then freezes G."""
        settings, device = self.settings, self.features.device
        general = copy.deepcopy(self.features.backbone)
        part = self.features.backbone.new_part(generator).to(device)
        linear = linear_head(general.dim, len(self.classes), generator).to(device)
        waves = self.features.waves(session.support) if settings.base_mixup else torch.empty(0)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)

        def loss(batch: Tensor) -> Tensor:
            x, y = inputs[batch], nn.functional.one_hot(targets[batch], len(self.classes)).float()
            if settings.base_mixup and float(torch.rand((), generator=generator)) < settings.base_mixup:
                mixed, y = mix_up(waves[batch.cpu()], y, generator)
                x = self.features.frontend(mixed).to(device)
            return nn.functional.cross_entropy(linear(part(general(x))), y)

        sgd_epochs(
            loss,
            [general, part, linear],
            settings.schedule("base"),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where="base session",
        )
        self._general = _frozen(general)
        self._general_digest = weights_digest(general)
        self._specialised = [_frozen(part)]
        self._linear = _frozen(linear)

    def _learn_increment(self, session: Session, generator: torch.Generator) -> None:
        """Appends S_t = copy of S_{t-1}; trains it with the grown linear head and a fresh auxiliary head.

        Loss = CE(linear) + alpha_aux CE(auxiliary); the auxiliary target is 0 for every old class and 1.. for the new.
        """
        settings, device = self.settings, self.features.device
        groups = [session.support, *self._exemplars.groups]
        labels = [*session.support_labels, *self._exemplars.labels]
        tokens = torch.cat([self._general_tokens(group) for group in groups])
        before = torch.cat([self._specialised_embedding(group) for group in groups])
        targets = column_labels(labels, self.classes).to(device)
        known = len(self.classes) - len(session.classes)
        auxiliary_targets = (targets - known + 1).clamp_min(0)

        part = copy.deepcopy(self._specialised[-1]).requires_grad_(True)
        dim = tokens.shape[2]
        linear = linear_head(before.shape[1] + dim, len(self.classes), generator, grown_from=self._linear).to(device)
        auxiliary = linear_head(dim, len(session.classes) + 1, generator).to(device)

        def loss(batch: Tensor) -> Tensor:
            new = part(tokens[batch])
            logits = linear(torch.cat([before[batch], new], dim=1))
            total = nn.functional.cross_entropy(logits, targets[batch])
            auxiliary_loss = nn.functional.cross_entropy(auxiliary(new), auxiliary_targets[batch])
            return total + settings.incremental_alpha_aux * auxiliary_loss

        sgd_epochs(
            loss,
            [part, linear, auxiliary],
            settings.schedule("incremental"),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=f"session {session.index}",
        )
        self._specialised.append(_frozen(part))
        self._linear = _frozen(linear)

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

    def _general_tokens(self, positions: tuple[int, ...]) -> Tensor:
        """G(x): `[clips, tokens, dim]` on the device."""
        assert self._general is not None
        tokens = self.features.frozen("tokens", self._general_digest, positions, self._general)
        return torch.tensor(tokens, dtype=torch.float32, device=self.features.device)

    def _specialised_embedding(self, positions: tuple[int, ...]) -> Tensor:
        """[S_0(G(x)) ; ... ; S_t(G(x))]: `[clips, dim (t + 1)]`; each part runs once per clip and chain."""
        missing = [i for i in range(len(self._specialised)) if (i, positions) not in self._embedded]
        if missing:
            assert self._general is not None
            tokens = self.features.frozen("tokens", self._general_digest, positions, self._general)
            outputs: dict[int, list[Tensor]] = {i: [] for i in missing}
            for first in range(0, len(positions), BATCH):
                batch = torch.tensor(tokens[first : first + BATCH], dtype=torch.float32, device=self.features.device)
                with torch.inference_mode(), self.features.autocast():
                    for i in missing:
                        outputs[i].append(self._specialised[i](batch).float())
            for i in missing:
                self._embedded[i, positions] = torch.cat(outputs[i]).clone()
        return torch.cat([self._embedded[i, positions] for i in range(len(self._specialised))], dim=1)


def _frozen(module: Any) -> Any:
    return module.eval().requires_grad_(False)
