"""FACT: forward compatible training (Zhou et al., CVPR 2022, arXiv 2203.06953).

The base session reserves embedding space for future classes. Besides the prototypes w_c of the base classes there are V
virtual prototypes v; a clip's logits over both are f(x) = temperature [cos(phi(x), w_c) ; cos(phi(x), v)].

    L   = CE(base logits of f(x), y) + balance (L_v + L_f)
    L_v = CE(Mask(f(x), y), v^)                      v^ = the likeliest virtual class of x
    z   = g(lambda h(x_i) + (1 - lambda) h(x_j))     y_i != y_j, lambda ~ Beta(a, a); phi = g after h
    L_f = CE(f(z), v^) + CE(Mask(f(z), v^), y^)      v^, y^ = the likeliest virtual and base class of z

Mask(f, c) removes class c from the logits. h is the first half of the blocks: in the release, half of a ResNet's
stages. Then phi is frozen, w_c becomes the mean embedding p_c, and later classes add theirs. From session 1 on

    score = eta softmax_c(sum_v cos(phi(x), v) cos(v, p_c)) + (1 - eta) softmax_c(temperature cos(phi(x), p_c))

with the sum over the 40 virtual prototypes nearest to x.

Taken from the release (github zhoudw-zdw/CVPR22-Fact): one weight for L_v and L_f; cross-entropy over base classes
alone in the first term; no gradient to virtual prototypes from L_v; the score, in the base session its second term.

Different from the release and why:
- v^ of a clip is the likeliest of all virtual classes, as in the paper; the release draws at random which of them are
  available to a class (each to 3 base classes, of which a small base may have only 2).
- h runs once a batch, for x and z; the release runs it twice, with the same result.
- it selects the epoch that is best on the test clips; here the last epoch is used. No Nesterov momentum.

Made for many base classes: 25 clips of 5 classes leave so much of the embedding empty that nothing needs to be
reserved, all forecasts z lie between 10 pairs of classes, and with eta = 0.1 the virtual prototypes hardly change a
prediction. Head `prototype` omits them, for comparison.
"""

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import Needs, column_labels
from trainables.learners.prototype_learner import CosineTraining, PrototypeLearner
from trainables.learners.training import session_name, train
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.classifier import trainable
from trainables.networks.heads import cosine_scores, scaled_cosines
from trainables.store.state import State


class FACTSettings(CosineTraining):
    """Settings of FACT; the defaults are those of CUB-200, the only data set with a pretrained network."""

    batch_size: int = Field(256, ge=1)
    base_epochs: int = Field(400, ge=0)
    base_lr: float = Field(5e-3, gt=0)
    base_milestones: tuple[int, ...] = Field(
        (50, 100, 150, 200, 250, 300), description="epochs at which lr is multiplied by base_gamma"
    )
    base_weight_decay: float = Field(5e-4, ge=0)
    base_balance: float = Field(0.01, ge=0, description="weight of the losses with virtual classes")
    base_mixup_alpha: float = Field(2.0, gt=0, description="lambda ~ Beta(alpha, alpha), one for the batch")
    virtual_classes: int = Field(
        20, ge=1, description="published: the number of later classes, which a learner does not know; 20 in ffcac-25"
    )
    incremental_eta: float = Field(0.1, ge=0, le=1, description="weight of the virtual prototypes in the score")
    incremental_nearest: int = Field(
        40, ge=1, description="virtual prototypes that score a clip; all if there are fewer"
    )


class FACT(PrototypeLearner):
    """Trains a copy of P with virtual prototypes beside the real ones, freezes it, and adds mean embeddings.

    Attributes:
        virtual: virtual prototypes, `[virtual classes, dim]`.
    """

    name = "fact"
    version = 1
    summary = "base session reserves room with virtual prototypes; frozen after it; prototypes"
    paper = "Zhou et al. 2022, arXiv 2203.06953"
    Settings = FACTSettings
    heads = ("virtual", "prototype")
    uses = frozenset({"tune", "tokens"})

    def __init__(self, settings: FACTSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.virtual = torch.empty(0)

    @classmethod
    def needs(cls, settings: FACTSettings) -> Needs:
        return Needs(base_classes=2, why="clips of two classes are mixed")

    def train_base(self, session: Session, generator: torch.Generator) -> Backbone:
        settings, device, base = self.settings, self.features.device, len(self.classes)
        network = trainable(self.features.token_backbone)
        classifier = nn.utils.skip_init(nn.Linear, network.dim, base + settings.virtual_classes, bias=False)
        nn.init.orthogonal_(classifier.weight, generator=generator)
        classifier.to(device)
        inputs = self.features.inputs(session.support)
        targets = column_labels(session.support_labels, self.classes).to(device)
        half = network.depth // 2

        def logits(halfway: Tensor, weights: Tensor) -> Tensor:
            embeddings = network.pool(network.blocks(halfway, first=half))
            return scaled_cosines(embeddings, weights, settings.temperature)

        def loss(batch: Tensor) -> Tensor:
            y, weights = targets[batch], classifier.weight
            halfway = network.blocks(network.patches(inputs[batch]), last=half)
            real = logits(halfway, torch.cat([weights[:base], weights[base:].detach()]))
            reserving = virtual_loss(real, y, base)
            ratio = beta(settings.base_mixup_alpha, generator)
            partner = torch.randperm(len(batch), generator=generator).to(device)
            differ = y != y[partner]
            if differ.any():  # a small last batch may contain one class
                mixed = ratio * halfway[differ] + (1 - ratio) * halfway[partner[differ]]
                reserving = reserving + forecast_loss(logits(mixed, weights), base)
            return nn.functional.cross_entropy(real[:, :base], y) + settings.base_balance * reserving

        train(
            loss,
            [network, classifier],
            settings.base_schedule(),
            clips=len(targets),
            generator=generator,
            autocast=self.features.autocast,
            where=session_name(session),
        )
        self.virtual = classifier.weight.detach()[base:].clone()
        return network

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        settings, embeddings = self.settings, self.embed(positions)
        virtual = nn.functional.softmax(scaled_cosines(embeddings, self.prototypes, settings.temperature), dim=1)
        if len(self.classes) > self.base:
            by_virtual = virtual_scores(embeddings, self.virtual, self.prototypes, settings.incremental_nearest)
            eta = settings.incremental_eta
            virtual = eta * nn.functional.softmax(by_virtual, dim=1) + (1 - eta) * virtual
        return {"virtual": virtual, "prototype": cosine_scores(embeddings, self.prototypes)}

    def state(self) -> State:
        state = super().state()
        state.parts["virtual"] = {"virtual": self.virtual}
        state.settled |= {"virtual"}
        return state

    def load(self, state: State) -> None:
        super().load(state)
        self.virtual = state.parts["virtual"]["virtual"].to(self.features.device)

    def parameter_counts(self) -> tuple[int, int]:
        stored, used = super().parameter_counts()
        return stored + self.virtual.numel(), used + self.virtual.numel()


def masked(logits: Tensor, classes: Tensor) -> Tensor:
    """Mask(f, c): `[clips, classes]` without the class `[clips]` of each clip."""
    return logits.scatter(1, classes[:, None], torch.finfo(logits.dtype).min)


def virtual_loss(logits: Tensor, targets: Tensor, base: int) -> Tensor:
    """L_v: without its class, a clip belongs to the likeliest virtual class.

    Args:
        logits: `[clips, base + virtual]`.
        targets: `[clips]`, base classes.
        base: number of base classes.
    """
    likeliest = logits[:, base:].argmax(dim=1) + base
    return nn.functional.cross_entropy(masked(logits, targets), likeliest)


def forecast_loss(logits: Tensor, base: int) -> Tensor:
    """L_f: a mixed clip belongs to the likeliest virtual class and, without that, to the likeliest base class.

    Args:
        logits: of the mixed clips, `[clips, base + virtual]`.
        base: number of base classes.
    """
    virtual = logits[:, base:].argmax(dim=1) + base
    known = logits[:, :base].argmax(dim=1)
    return nn.functional.cross_entropy(logits, virtual) + nn.functional.cross_entropy(masked(logits, virtual), known)


def virtual_scores(embeddings: Tensor, virtual: Tensor, prototypes: Tensor, nearest: int) -> Tensor:
    """sum_v cos(e, v) cos(v, p_c) over the virtual prototypes nearest to e: `[clips, classes]`.

    Args:
        embeddings: `[clips, dim]`.
        virtual: `[virtual, dim]`.
        prototypes: `[classes, dim]`.
        nearest: number of virtual prototypes; all if there are fewer.
    """
    to_virtual = scaled_cosines(embeddings, virtual, 1.0)
    best, chosen = to_virtual.topk(min(nearest, len(virtual)), dim=1)
    return torch.zeros_like(to_virtual).scatter(1, chosen, best) @ scaled_cosines(virtual, prototypes, 1.0)


def beta(alpha: float, generator: torch.Generator) -> float:
    """A draw from Beta(alpha, alpha)."""
    seed = int(torch.randint(2**31, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
