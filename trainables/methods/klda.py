"""KLDA: linear discriminant analysis in random Fourier features of the pretrained embedding.

Momeni, Mazumder and Liu, "Continual learning using a kernel-based method over foundation models", AAAI 2025.

    z(x)  = sqrt(2 / D) cos(W^T e(x) + b)        W ~ N(0, 1 / sigma^2), b ~ U(0, 2 pi)
    score = z^T Sigma'^-1 mu_c - mu_c^T Sigma'^-1 mu_c / 2        Sigma' = (1 - s) Sigma + s t I

The published ensemble averages the posteriors of five draws of W and b (`ensembles: 5`). Different from the paper:
sigma is `sigma_scale` times the median distance between base support clips (published: a number for each backbone), and
s is chosen by leave-one-out.
"""

import torch
from pydantic import Field
from torch import Tensor

from trainables.learners.analytic.median_distance import median_distance
from trainables.learners.analytic.random_features import draw_fourier, fourier
from trainables.learners.discriminant_learner import DiscriminantLearner, DiscriminantSettings


class KLDASettings(DiscriminantSettings):
    """Settings of KLDA."""

    projection: int = Field(5000, ge=1, description="D, the number of random features")
    ensembles: int = Field(1, ge=1, description="draws of the random features; published: 5")
    sigma: float | None = Field(None, gt=0, description="width of the kernel; null: relative to the data")
    sigma_scale: float = Field(1.0, gt=0, description="times the median distance between base support clips")


class KLDA(DiscriminantLearner):
    """Linear discriminant analysis of z(x)."""

    name = "klda"
    version = 1
    summary = "discriminant analysis in random Fourier features"
    paper = "Momeni et al., AAAI 2025"
    Settings = KLDASettings
    published = {"ensembles": 5}

    def draw(self, embeddings: Tensor, generator: torch.Generator) -> list[dict[str, Tensor]]:
        settings = self.settings
        sigma = settings.sigma or settings.sigma_scale * median_distance(embeddings)
        dim = embeddings.shape[1]
        return [draw_fourier(dim, settings.projection, sigma, generator) for _ in range(settings.ensembles)]

    def expand(self, embeddings: Tensor, member: int) -> Tensor:
        return fourier(embeddings, **self.fixed[member])
