"""TEEN: training-free calibration of new prototypes (Wang et al., NeurIPS 2023, arXiv 2312.05229).

A network trained on the base classes places a new class close to the base classes that it resembles, and confuses its
clips with theirs. TEEN moves the new prototype towards those base classes, weighted by similarity:

    s_nb = tau cos(p_n, p_b)
    w_n  = softmax over the base classes of s_n
    p~_n = alpha p_n + (1 - alpha) sum_b w_nb p_b        (tau = 16, alpha = 0.5)

Base prototypes are not changed. Nothing is trained after the base session.

Different from the release (github wangkiw/TEEN): it applies the formula to L2-normalised prototypes and normalises the
weighted sum too; here the formula is the paper's. Its SGD has Nesterov momentum. It selects the epoch that is best on
the test clips; here the last epoch is used.

Made for many base classes: with 5, the weighted sum of any new class has only 5 vectors, so two new classes that
resemble the same base class are moved towards each other. Head `uncalibrated` omits the calibration, for comparison.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.prototype_learner import CosineTraining, PrototypeLearner
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.heads import cosine_scores, scaled_cosines


class TEENSettings(CosineTraining):
    """Settings of TEEN; the training is the published one of CUB-200, the only data set with a pretrained network.

    `temperature` is the paper's.
    """

    batch_size: int = Field(128, ge=1)
    base_epochs: int = Field(400, ge=0)
    base_lr: float = Field(4e-3, gt=0)
    base_milestones: tuple[int, ...] = Field(
        (50, 100, 150, 200, 250, 300), description="epochs at which lr is multiplied by base_gamma"
    )
    base_weight_decay: float = Field(5e-4, ge=0)
    temperature: float = Field(16.0, gt=0, description="logits = temperature * cosine; 32 in the CUB-200 script")
    incremental_alpha: float = Field(0.5, ge=0, le=1, description="weight of the new prototype itself")
    incremental_tau: float = Field(16.0, gt=0, description="sharpness of the weights of the base prototypes")


class TEEN(PrototypeLearner):
    """Trains a copy of P with cross-entropy, freezes it, and calibrates the prototypes of later classes."""

    name = "teen"
    version = 1
    summary = "frozen after the base session; new prototypes calibrated to the base classes"
    paper = "Wang et al. 2023, arXiv 2312.05229"
    Settings = TEENSettings
    heads = ("prototype", "uncalibrated")

    def train_base(self, session: Session, generator: torch.Generator) -> Backbone:
        return self.train_cross_entropy(session, generator)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embeddings, base, new = self.embed(positions), self.prototypes[: self.base], self.prototypes[self.base :]
        moved = calibrated(new, base, self.settings.incremental_alpha, self.settings.incremental_tau)
        return {
            "prototype": cosine_scores(embeddings, torch.cat([base, moved])),
            "uncalibrated": cosine_scores(embeddings, self.prototypes),
        }


def calibrated(new: Tensor, base: Tensor, alpha: float, tau: float) -> Tensor:
    """alpha p_n + (1 - alpha) sum_b softmax_b(tau cos(p_n, p_b)) p_b.

    Args:
        new: prototypes of new classes, `[new, dim]`.
        base: prototypes of the base classes, `[base, dim]`.
        alpha: weight of the new prototype itself.
        tau: sharpness of the weights.

    Returns:
        `[new, dim]`.
    """
    weights = nn.functional.softmax(scaled_cosines(new, base, tau), dim=1)
    return alpha * new + (1 - alpha) * weights @ base
