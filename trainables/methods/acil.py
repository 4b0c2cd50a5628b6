"""ACIL: ridge regression on a random layer over the pretrained embedding.

Zhuang et al., NeurIPS 2022, arXiv 2205.14922.

    score = phi(x)^T (G + lambda I)^-1 Q        phi(x) = ReLU(W^T e(x))

The paper's recursion over sessions (theorem 1) gives the same weights as all clips at once; here they are solved from
the statistics of all clips (`trainables/learners/analytic/ridge.py`). Different from the release, whose lambda is 0.1
(`penalty: 0.1`): lambda is chosen by leave-one-out.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from trainables.learners.analytic.random_features import draw_layer
from trainables.learners.ridge_learner import RidgeLearner, RidgeSettings


class ACILSettings(RidgeSettings):
    """Settings of ACIL."""

    projection: int = Field(8192, ge=1, description="number of random features")


class ACIL(RidgeLearner):
    """Ridge regression on ReLU(W^T e(x)); W is drawn once."""

    name = "acil"
    version = 1
    summary = "ridge regression on a random ReLU layer"
    paper = "Zhuang et al. 2022, arXiv 2205.14922"
    Settings = ACILSettings
    published = {"penalty": 0.1}

    def draw(self, embeddings: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"weight": draw_layer(embeddings.shape[1], self.settings.projection, generator)}

    def expand(self, embeddings: Tensor) -> Tensor:
        return nn.functional.relu(embeddings @ self.fixed["weight"])
