# ruff: noqa: N999 (an import statement cannot name a keyword; the registry imports methods by string)
"""PASS: prototype augmentation and self-supervision (Zhu et al., CVPR 2021; on no arXiv).

With m transforms of a clip, x_0 = x, ..., x_{m-1}, and one column of the head for every class and transform:

    L_ce     mean over clips and k of CE(h(f(x_k)) / tau, m y + k)                  self-supervised label augmentation
    L_proto  mean over draws of CE(h(mu_c + r e) / tau, m c), e ~ N(0, I), c old    prototype augmentation
    L_kd     || f(x_k) - f_old(x_k) ||_2 of all clips of the batch and all k        feature distillation
    L        L_ce + 10 L_proto + 10 L_kd

    mu_c     mean of f(x) over the support of c, in the session that introduced c
    r^2      mean over base classes of tr(covariance of f(x)) / dim; constant after the base session

A clip is scored untransformed, by the columns m c, as in the released code.

Different from the release: it rotates images by 0, 90, 180 and 270 degrees. A spectrogram is not square and its axes
differ in meaning, so here it is flipped: not at all, in time, in frequency, in both (the rotation by 180 degrees).
The release omits an incomplete last batch from mu_c and r; here they are computed from all support clips.
"""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.fine_tuned import FineTuned
from trainables.learners.learner import Needs, column_labels
from trainables.learners.training import Schedule, Training
from trainables.networks.classifier import Classifier, count_values, trainable
from trainables.networks.heads import class_means
from trainables.networks.specs import Capability
from trainables.store.state import State

TRANSFORMS: dict[str, tuple[tuple[int, ...], ...]] = {  # axes of `[clips, frames, 128]` that each transform flips
    "flips": ((), (1,), (2,), (1, 2)),
    "none": ((),),
}
# Added under the root of L_kd. In the first step f equals f_old except for rounding, and the gradient of a norm has
# length 1 however short the vector is: without this constant the first step would follow the rounding.
ROUNDING = 1e-6


class PASSSettings(Training):
    """Settings of PASS; the defaults are the published ones, except `batch_size` and `transforms`."""

    batch_size: int = Field(
        25, ge=1, description="clips, and prototypes drawn with them; 25 as in the FFCAC releases, PASS has 64"
    )
    transforms: Literal["flips", "none"] = Field(
        "flips", description="label augmentation; 'flips': in time, in frequency and in both, while PASS rotates images"
    )
    temperature: float = Field(0.1, gt=0, description="tau of both cross-entropies")
    base_epochs: int = Field(101, ge=0)
    base_lr: float = Field(1e-3, gt=0, description="of Adam; published for a ResNet")
    base_milestones: tuple[int, ...] = Field((45, 90), description="epochs at which lr falls to a tenth")
    incremental_epochs: int = Field(101, ge=0)
    incremental_lr: float = Field(1e-3, gt=0, description="as base_lr")
    incremental_milestones: tuple[int, ...] = Field((45, 90), description="epochs at which lr falls to a tenth")
    incremental_prototype_weight: float = Field(10.0, ge=0, description="weight of the prototype loss")
    incremental_distillation_weight: float = Field(10.0, ge=0, description="weight of the feature distillation")

    def base_schedule(self) -> Schedule:
        return replace(super().base_schedule(), optimiser="adam")

    def incremental_schedule(self) -> Schedule:
        return replace(super().incremental_schedule(), optimiser="adam")


class PASS(FineTuned):
    """A copy of P with m columns per class, trained in every session; one prototype per class instead of exemplars.

    The prototypes are not updated when f changes; feature distillation keeps f close to them.

    Attributes:
        prototypes: mu, `[classes, dim]`.
        radius: r, a scalar.
    """

    name = "pass"
    version = 1
    summary = "old classes as prototypes with Gaussian noise, feature distillation, label augmentation"
    paper = "Zhu et al. 2021, CVPR 2021"
    Settings = PASSSettings
    heads = ("linear",)
    uses = frozenset({"tune"})

    def __init__(self, settings: PASSSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.prototypes = torch.empty(0)
        self.radius = torch.empty(0)
        self._transforms = TRANSFORMS[settings.transforms]

    @classmethod
    def capabilities(cls, settings: PASSSettings) -> frozenset[Capability]:
        return cls.uses if settings.transforms == "none" else cls.uses | {"spectrogram"}

    @classmethod
    def needs(cls, settings: PASSSettings) -> Needs:
        return Needs(base_shots=2, why="the radius of its prototypes is a standard deviation over clips of a class")

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self._update_prototypes(session)

    def retrained(self, session: Session, known: int, generator: torch.Generator) -> Classifier:
        columns = len(self._transforms) * len(self.classes)
        if known == 0:
            network = Classifier(self.features.backbone, columns, generator)
            self._train(network, session, None, self.settings.base_schedule(), generator)
        else:
            network = trainable(self.network)
            before = self._augmented_embeddings(network, session.support)
            network.grow(columns, generator)
            self._train(network, session, before, self.settings.incremental_schedule(), generator)
        return network

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {"linear": super().score(positions)["linear"][:, :: len(self._transforms)].contiguous()}

    def state(self) -> State:
        state = super().state()
        state.parts["prototypes"] = {"prototypes": self.prototypes, "radius": self.radius}
        return state

    def load(self, state: State) -> None:
        super().load(state)
        device, tensors = self.features.device, state.parts["prototypes"]
        self.prototypes, self.radius = (tensors[key].to(device) for key in ("prototypes", "radius"))

    def parameter_counts(self) -> tuple[int, int]:
        """Columns of transformed clips, prototypes and radius are stored but not used to score."""
        network = self.network
        stored = count_values(network) + self.prototypes.numel() + self.radius.numel()
        return stored, count_values(network.backbone) + len(self.classes) * (network.backbone.dim + 1)

    def _train(
        self,
        network: Classifier,
        session: Session,
        before: Tensor | None,
        schedule: Schedule,
        generator: torch.Generator,
    ) -> None:
        """Trains on the support of a session; `before`, `[m, clips, dim]`, is f_old of it in a later session."""
        settings, device, count = self.settings, self.features.device, len(self._transforms)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)
        kinds = torch.arange(count, device=device)

        def loss(batch: Tensor) -> Tensor:
            x = inputs[batch]
            embedded = network.embed(torch.cat([x.flip(axes) for axes in self._transforms]))
            augmented_targets = (count * targets[batch] + kinds[:, None]).flatten()
            with torch.autocast(device.type, enabled=False):  # tau magnifies the rounding of bf16
                logits = network.head(embedded.float())
            total = nn.functional.cross_entropy(logits / settings.temperature, augmented_targets)
            if before is None:
                return total
            distillation = ((embedded.float() - before[:, batch].flatten(0, 1)).square().sum() + ROUNDING).sqrt()
            drawn, columns = draw_prototypes(self.prototypes, self.radius, settings.batch_size, generator)
            with torch.autocast(device.type, enabled=False):
                logits = network.head(drawn)
            prototype_loss = nn.functional.cross_entropy(logits / settings.temperature, count * columns)
            total = total + settings.incremental_prototype_weight * prototype_loss
            return total + settings.incremental_distillation_weight * distillation

        self.fit(network, loss, schedule, session, len(targets), generator)

    def _augmented_embeddings(self, network: Classifier, positions: tuple[int, ...]) -> Tensor:
        """f of all transforms of clips: `[m, clips, dim]`."""

        def embed(axes: tuple[int, ...]) -> Tensor:
            return self.features.embed(lambda x: network.embed(x.flip(axes)), positions)

        return torch.stack([embed(axes) for axes in self._transforms])

    def _update_prototypes(self, session: Session) -> None:
        """Adds prototypes of the new classes; in the base session also sets the radius."""
        embeddings = self.features.embed(self.network.embed, session.support)
        new = class_means(embeddings, session.support_labels, session.labels)
        if session.index == 0:
            self.prototypes = new
            self.radius = radius(embeddings.split([len(clips.support) for clips in session.classes]))
        else:
            self.prototypes = torch.cat([self.prototypes, new])


def radius(embeddings: tuple[Tensor, ...]) -> Tensor:
    """r = sqrt( mean over classes of tr(covariance) / dim ), with the unbiased covariance.

    Args:
        embeddings: per class, `[clips, dim]`.
    """
    return torch.stack([of_class.var(dim=0).mean() for of_class in embeddings]).mean().sqrt()


def draw_prototypes(
    prototypes: Tensor, spread: Tensor, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augmented prototypes mu_c + r e of classes drawn evenly, e ~ N(0, I).

    Args:
        prototypes: mu, `[classes, dim]`.
        spread: r.
        count: number of draws.
        generator: draws classes and noise.

    Returns:
        `[count, dim]`, and the row of the prototype of each draw, `[count]`.
    """
    rows = torch.randint(len(prototypes), (count,), generator=generator).to(prototypes.device)
    noise = torch.randn(count, prototypes.shape[1], generator=generator).to(prototypes)
    return prototypes[rows] + spread * noise, rows
