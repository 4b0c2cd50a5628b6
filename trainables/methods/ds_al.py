"""DS-AL: ACIL and a second ridge regression on what it leaves unexplained.

Zhuang et al., AAAI 2024, arXiv 2403.17503.

    score = f(x) + C g(x)        f: ridge on ReLU(W^T e(x)), of the one-hot classes
                                 g: ridge on tanh(W^T e(x)), of the residuals y - f(x) of the new classes' columns

After f has learned a session, the residuals of its clips are computed; columns of old classes are set to 0 (previous
label cleansing), and g learns them. They stay as they are when f changes later, so a class cannot be forgotten exactly.
Different from the release, whose two lambdas are 1e-3 (`penalty`, `compensation_penalty`): both are chosen by
leave-one-out.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.analytic.random_features import draw_layer
from trainables.learners.analytic.ridge import CHUNK, CLIPS, Ridge
from trainables.learners.learner import Learner, column_labels
from trainables.learners.ridge_learner import RidgeLearner, RidgeSettings
from trainables.store.state import State

STREAM = "compensation-"  # in front of the names of g's parts


class DSALSettings(RidgeSettings):
    """Settings of DS-AL."""

    projection: int = Field(8192, ge=1, description="number of random features")
    compensation: float = Field(1.0, ge=0, description="C; published: 0.6 to 1.5, by data set")
    compensation_penalty: float | None = Field(None, gt=0, description="lambda of g; null: chosen by leave-one-out")


class DSAL(RidgeLearner):
    """Two streams of ridge regression over one random layer.

    Attributes:
        compensation: g.
    """

    name = "ds-al"
    version = 1
    summary = "ACIL with a second ridge regression on its residuals"
    paper = "Zhuang et al. 2024, arXiv 2403.17503"
    Settings = DSALSettings
    forgets = False

    compensation: Ridge

    def draw(self, embeddings: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"weight": draw_layer(embeddings.shape[1], self.settings.projection, generator)}

    def expand(self, embeddings: Tensor) -> Tensor:
        return nn.functional.relu(embeddings @ self.fixed["weight"])

    def learn(self, session: Session, generator: torch.Generator) -> None:
        old = len(self.classes)
        super().learn(session, generator)
        if old == 0:
            self.compensation = Ridge(self.settings.projection, self.features.device, CLIPS)
        embeddings = self.features.pooled(session.support)
        columns = column_labels(session.support_labels, self.classes).to(embeddings.device)
        fitted = torch.cat([self.expand(part).double() @ self.ridge.weights for part in embeddings.split(CHUNK)])
        residuals = nn.functional.one_hot(columns, len(self.classes)) - fitted
        residuals[:, :old] = 0
        self.compensation.fit(
            lambda rows: self._saturated(embeddings[rows]),
            columns,
            len(self.classes),
            self.settings.compensation_penalty,
            residuals,
        )

    def forget(self, clips: ClassClips) -> None:
        Learner.forget(self, clips)

    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        scores = super().classify(embeddings)["ridge"]
        compensation = self.compensation.scores(self._saturated(embeddings))
        return {"ridge": scores + self.settings.compensation * compensation}

    def state(self) -> State:
        state = super().state()
        state.parts |= {STREAM + name: tensors for name, tensors in self.compensation.parts().items()}
        return state

    def load(self, state: State) -> None:
        super().load(state)
        parts = {name.removeprefix(STREAM): own for name, own in state.parts.items() if name.startswith(STREAM)}
        self.compensation = Ridge.from_parts(parts, self.features.device, CLIPS)

    def parameter_counts(self) -> tuple[int, int]:
        counts = zip(super().parameter_counts(), self.compensation.count_values(), strict=True)
        stored, used = (main + other for main, other in counts)
        return stored, used

    def _saturated(self, embeddings: Tensor) -> Tensor:
        """tanh(W^T e): `[clips, dim]` to `[clips, M]`."""
        return torch.tanh(embeddings @ self.fixed["weight"])
