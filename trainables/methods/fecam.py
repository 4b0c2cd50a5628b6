"""FeCAM: Mahalanobis distances under the covariance of each class, on the pretrained embedding.

Goswami et al., NeurIPS 2023, arXiv 2309.14062; formulas in `trainables/learners/analytic/correlation.py`.

    score = - distance(t(e(x)), c)          t: the power transform of Tukey, sign(e) |e|^tukey

`calibrate` completes the mean and covariance of later classes by those of similar base classes
(`trainables/learners/analytic/calibration.py`); it needs a base session with many clips. Different from the release for
transformers, which shrinks by g = 100: g = 10, under which a covariance of five clips counts for more.
"""

import torch
from pydantic import Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.analytic.calibration import BASE_SHOTS, calibrated
from trainables.learners.analytic.correlation import Precision, distances, precision
from trainables.learners.analytic.moments import Moments
from trainables.learners.closed_form import ClosedForm
from trainables.learners.features import Features
from trainables.learners.learner import Needs
from trainables.learners.settings import Settings
from trainables.networks.classifier import count_values
from trainables.store.state import State


class FeCAMSettings(Settings):
    """Settings of FeCAM."""

    alpha: float = Field(10.0, gt=0, description="g, times the mean variance; published: 1 (CNN), 100 (ViT)")
    alpha_covariance: float = Field(0.0, ge=0, description="g', times the mean covariance of two features")
    tukey: float = Field(1.0, gt=0, le=1, description="exponent of the features; published: 0.5 (CNN), 1 (ViT)")
    calibrate: bool = Field(False, description="complete later classes by similar base classes (arXiv 2404.06622)")
    calibrate_alpha: float = Field(0.9, ge=0, le=1, description="share of a class's own mean")
    calibrate_beta: float = Field(1.0, gt=0, description="times the sum of covariances")


class FeCAM(ClosedForm):
    """Trains nothing; stores counts, means and the scatter of every class.

    Attributes:
        moments: statistics of t(e).
        base: labels of the classes of the first session.
    """

    name = "fecam"
    version = 1
    summary = "Mahalanobis distance under the shrunk covariance of each class"
    paper = "Goswami et al. 2023, arXiv 2309.14062"
    Settings = FeCAMSettings
    heads = ("mahalanobis",)
    forgets = True

    def __init__(self, settings: FeCAMSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.moments = Moments(features.backbone.dim, features.device, together=False)
        self.base: list[int] = []
        self._means = self.moments.means
        self._precisions: dict[int, Precision] = {}

    @classmethod
    def needs(cls, settings: FeCAMSettings) -> Needs:
        if settings.calibrate:
            return Needs(base_shots=BASE_SHOTS, why="calibrate mixes in covariances of base classes")
        return Needs()

    def learn(self, session: Session, generator: torch.Generator) -> None:
        embeddings = self._embed(session.support)
        labels = torch.tensor(session.support_labels, device=embeddings.device)
        for label in session.labels:
            self.moments.add(label, embeddings[labels == label])
        self.classes += session.labels
        if session.index == 0:
            self.base = list(session.labels)
        self._solve()

    def forget(self, clips: ClassClips) -> None:
        self.moments.remove(clips.label, lambda: self._embed(clips.support))
        self.classes.remove(clips.label)
        self.base = [label for label in self.base if label != clips.label]
        self._solve()

    def _solve(self) -> None:
        """Means and precisions that scores use; nothing of it is stored."""
        settings, moments = self.settings, self.moments
        counts = dict(zip(moments.labels, moments.counts.tolist(), strict=True))
        factors = {label: rows / max(counts[label] - 1, 1) ** 0.5 for label, rows in moments.factors().items()}
        means = dict(zip(self.classes, moments.means, strict=True))
        if settings.calibrate and self.base:
            base_means = torch.stack([means[label] for label in self.base])
            base_factors = [factors[label] for label in self.base]
            for label in self.classes:
                if label not in self.base:
                    means[label], factors[label] = calibrated(
                        means[label],
                        factors[label],
                        base_means,
                        base_factors,
                        settings.calibrate_alpha,
                        settings.calibrate_beta,
                    )
        self._means = torch.stack([means[label] for label in self.classes]) if means else moments.means
        known = {} if settings.calibrate else self._precisions  # those of a class alone do not change
        self._precisions = {
            label: known[label]
            if label in known
            else precision(factors[label], settings.alpha, settings.alpha_covariance)
            for label in self.classes
        }

    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        precisions = [self._precisions[label] for label in self.classes]
        return {"mahalanobis": -distances(self._transform(embeddings), self._means, precisions).float()}

    def state(self) -> State:
        return State(self.moments.parts("moments"), {"classes": list(self.classes), "base": list(self.base)})

    def load(self, state: State) -> None:
        self.classes, self.base = list(state.notes["classes"]), list(state.notes["base"])
        self.moments.load(state.parts, "moments")
        self._solve()

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.features.backbone) + self.moments.count_values()
        return count, count

    def _embed(self, positions: tuple[int, ...]) -> Tensor:
        """t(e) of clips: `[clips, dim]`, float64."""
        return self._transform(self.features.pooled(positions))

    def _transform(self, embeddings: Tensor) -> Tensor:
        """t: `[clips, dim]`, to float64."""
        embeddings = embeddings.double()
        return embeddings.sign() * embeddings.abs() ** self.settings.tukey if self.settings.tukey != 1 else embeddings
