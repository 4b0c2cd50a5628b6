"""GKEAL: ridge regression with a Gaussian kernel over the pretrained embedding.

Zhuang et al., CVPR 2023, "GKEAL: Gaussian Kernel Embedded Analytic Learning for Few-Shot Class Incremental Task".

    centres: support   f(x) = k(x)^T (K + lambda I)^-1 Y         k: the kernel against all support clips so far
    centres: base      f(x) = k(x)^T (G + lambda I)^-1 Q         k: the kernel against base support clips

The paper's centres are clips of a base session with hundreds of clips a class (`centres: base`, `penalty: 0.1`,
`sigma: 10`). A fully few-shot base session has 25: too few for the classes to come. So by default every support clip is
a centre, which makes it kernel ridge regression; it stores their embeddings. Of a class at most `clips_per_class`
clips, drawn, are centres; with `support` the others are not used. sigma is `sigma_scale` times the median distance
between base support clips, lambda is chosen by leave-one-out.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.analytic.kernel_ridge import KernelRidge
from trainables.learners.analytic.median_distance import median_distance
from trainables.learners.analytic.random_features import gaussian
from trainables.learners.analytic.ridge import CLIPS, Ridge
from trainables.learners.closed_form import ClosedForm
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.ridge_learner import RidgeSettings
from trainables.networks.classifier import count_values
from trainables.store.state import State


class GKEALSettings(RidgeSettings):
    """Settings of GKEAL."""

    centres: Literal["support", "base"] = Field("support", description="clips that the kernel compares with")
    clips_per_class: int = Field(50, ge=1, description="centres of a class, at most")
    sigma: float | None = Field(None, gt=0, description="width of the kernel; null: relative to the data")
    sigma_scale: float = Field(0.5, gt=0, description="times the median distance between base support clips")


class GKEAL(ClosedForm):
    """Trains nothing; stores embeddings of support clips, and with `centres: base` statistics of the others.

    Attributes:
        kernel: centres, width and, with `centres: support`, coefficients.
        ridge: statistics and classifier of `centres: base`.
    """

    name = "gkeal"
    version = 1
    summary = "ridge regression with a Gaussian kernel"
    paper = "Zhuang et al., CVPR 2023"
    Settings = GKEALSettings
    heads = ("ridge",)
    forgets = True

    ridge: Ridge

    def __init__(self, settings: GKEALSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.kernel = KernelRidge(features.backbone.dim, features.device)
        self._grows = settings.centres == "support"

    def learn(self, session: Session, generator: torch.Generator) -> None:
        settings, embeddings = self.settings, self.features.pooled(session.support)
        self.classes += session.labels
        columns = column_labels(session.support_labels, self.classes)
        if session.index == 0:
            self.kernel.sigma = settings.sigma or settings.sigma_scale * median_distance(embeddings)
        if self._grows or session.index == 0:
            chosen = _drawn(columns, settings.clips_per_class, generator)
            self.kernel.add(embeddings[chosen], columns[chosen])
        if self._grows:
            self.kernel.solve(len(self.classes), settings.penalty)
            return
        if session.index == 0:
            self.ridge = Ridge(len(self.kernel.centres), self.features.device, CLIPS)
        self.ridge.fit(lambda rows: self._expand(embeddings[rows]), columns, len(self.classes), settings.penalty)

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        del self.classes[column]
        if self._grows:
            self.kernel.remove(column)
            self.kernel.solve(len(self.classes), self.settings.penalty)
        else:  # the centres stay
            self.ridge.remove(column, lambda: self._expand(self.features.pooled(clips.support)))
            self.ridge.solve(len(self.classes), self.settings.penalty)

    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        if self._grows:
            return {"ridge": self.kernel.scores(embeddings)}
        return {"ridge": self.ridge.scores(self._expand(embeddings))}

    def state(self) -> State:
        parts = {**self.kernel.parts(), **({} if self._grows else self.ridge.parts())}
        return State(parts, {"classes": list(self.classes)}, frozenset() if self._grows else frozenset({"kernel"}))

    def load(self, state: State) -> None:
        self.classes = list(state.notes["classes"])
        self.kernel.load(state.parts)
        if not self._grows:
            self.ridge = Ridge.from_parts(state.parts, self.features.device, CLIPS)

    def parameter_counts(self) -> tuple[int, int]:
        both = count_values(self.features.backbone) + self.kernel.centres.numel()
        if self._grows:
            both += self.kernel.coefficients.numel()
            return both, both
        stored, used = self.ridge.count_values()
        return both + stored, both + used

    def _expand(self, embeddings: Tensor) -> Tensor:
        """k: `[clips, dim]` to `[clips, centres]`."""
        return gaussian(embeddings, self.kernel.centres, self.kernel.sigma)


def _drawn(columns: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Rows of at most `most` clips of every class, in their order; draws only where a class has more."""
    chosen = []
    for column in columns.unique().tolist():
        rows = (columns == column).nonzero().squeeze(1)
        if len(rows) > most:
            rows = rows[torch.randperm(len(rows), generator=generator)[:most].sort().values]
        chosen.append(rows)
    return torch.cat(chosen)
