"""AnaCP: an analytic contrastive projection of the pretrained embedding, and a ridge regression on it.

Momeni, Xiao and Liu, NeurIPS 2025, arXiv 2511.13880.

    P       = U S^(1 - separation) V^T         U S V^T: class means, whitened by Sigma, minus their mean
    u(x)    = mean_h normalise(phi_h(x)^T (G_h + lambda I)^-1 Q_h P)       phi_h(x) = GELU(R_h^T e(x)), h a head
    score   = psi(u(x))^T W                    psi(u) = GELU(R^T u)

The projection u pulls the clips of a class to the target of the class, and the targets apart. It changes with every
session, so W is solved each time, on replays e ~ N(mu_c, Sigma) of all classes so far, Sigma being the shrunk
covariance within classes. Nothing is trained. The paper's text was not available, so details follow its abstract and
summaries: in particular the exponent of S. Different from it: lambda and the shrinkage are chosen by leave-one-out
(published: `penalty: 100`), and a head has 2,000 random features (published: `projection: 5000`).
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.analytic.discriminant import UNCHOSEN, Covariance, choose_shrinkage, shrunk
from trainables.learners.analytic.moments import Moments
from trainables.learners.analytic.ridge import CHUNK, CLIPS, Ridge
from trainables.learners.analytic.spectrum import Spectrum
from trainables.learners.closed_form import ClosedForm
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.ridge_learner import RidgeSettings
from trainables.networks.classifier import count_values
from trainables.store.state import State


class AnaCPSettings(RidgeSettings):
    """Settings of AnaCP."""

    projection: int = Field(2000, ge=1, description="random features of a head, and of the classifier")
    projections: int = Field(3, ge=1, description="heads of the contrastive projection")
    replays: int = Field(20, ge=2, description="of a class, for the classifier")
    separation: float = Field(0.5, ge=0, le=1, description="0: whitened means as they are; 1: equally far apart")
    shrinkage: float | None = Field(None, gt=0, le=1, description="of the covariance; null: chosen by leave-one-out")


class AnaCP(ClosedForm):
    """Stores counts, means, the scatter within classes, and the statistics of a ridge regression for each head.

    Attributes:
        fixed: R_h and R.
        moments: of e.
        ridges: of phi_h.
        shrinkage: of Sigma.
    """

    name = "anacp"
    version = 1
    summary = "analytic contrastive projection, ridge regression on Gaussian replays"
    paper = "Momeni et al. 2025, arXiv 2511.13880"
    Settings = AnaCPSettings
    published = {"penalty": 100.0, "projection": 5000}
    heads = ("ridge",)
    forgets = True

    def __init__(self, settings: AnaCPSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.fixed: dict[str, Tensor] = {}
        self.moments = Moments(features.backbone.dim, features.device)
        self.ridges = [Ridge(settings.projection, features.device, CLIPS) for _ in range(settings.projections)]
        self.shrinkage = UNCHOSEN
        self._seed = 0
        self._thetas: list[Tensor] = []
        self.classifier = Ridge(settings.projection, features.device, CLIPS)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        settings, device = self.settings, self.features.device
        embeddings = self.features.pooled(session.support)
        if session.index == 0:
            dim = embeddings.shape[1]
            names = [f"head-{index}" for index in range(settings.projections)] + ["classifier"]
            drawn = {name: torch.randn(dim, settings.projection, generator=generator) for name in names}
            self.fixed = {name: tensor.to(device) for name, tensor in drawn.items()}
            self._seed = int(torch.randint(2**31, (), generator=generator))
        self.classes += session.labels
        columns = column_labels(session.support_labels, self.classes)
        labels = torch.tensor(session.support_labels, device=device)
        for label in session.labels:
            self.moments.add(label, embeddings[labels == label])
        for index, ridge in enumerate(self.ridges):
            ridge.add(self._lookup(embeddings, index), columns, len(self.classes), torch.arange(len(columns)))
        self._solve()

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        self.moments.remove(clips.label, lambda: self.features.pooled(clips.support))
        for index, ridge in enumerate(self.ridges):

            def expanded(name: str = f"head-{index}") -> Tensor:
                return self._random(self.features.pooled(clips.support), name)

            ridge.remove(column, expanded)
        del self.classes[column]
        self._solve()

    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        return {"ridge": self.classifier.scores(self._expand(self.project(embeddings)))}

    def project(self, embeddings: Tensor) -> Tensor:
        """u: `[clips, dim]` to `[clips, dim]`, float64."""
        projected = [
            nn.functional.normalize(self._random(embeddings, f"head-{index}").double() @ theta, dim=1)
            for index, theta in enumerate(self._thetas)
        ]
        return torch.stack(projected).mean(dim=0)

    def state(self) -> State:
        parts = {"fixed": self.fixed, **self.moments.parts("moments")}
        for index, ridge in enumerate(self.ridges):
            parts |= {f"head-{index}-{name}": own for name, own in ridge.parts().items()}
        notes = {"classes": list(self.classes), "seed": self._seed, "shrinkage": self.shrinkage}
        return State(parts, notes, frozenset({"fixed"}))

    def load(self, state: State) -> None:
        device = self.features.device
        self.classes, self._seed = list(state.notes["classes"]), state.notes["seed"]
        self.shrinkage = state.notes["shrinkage"]
        self.fixed = {name: tensor.to(device) for name, tensor in state.parts["fixed"].items()}
        self.moments.load(state.parts, "moments")
        for index in range(len(self.ridges)):
            prefix = f"head-{index}-"
            own = {name.removeprefix(prefix): part for name, part in state.parts.items() if name.startswith(prefix)}
            self.ridges[index] = Ridge.from_parts(own, device, CLIPS)
        self._project_and_classify(self._covariance(Spectrum.of(self.moments.factor()[0])))

    def parameter_counts(self) -> tuple[int, int]:
        fixed = count_values(self.features.backbone) + sum(tensor.numel() for tensor in self.fixed.values())
        stored = self.moments.count_values() + sum(ridge.count_values()[0] for ridge in self.ridges)
        used = sum(theta.numel() for theta in self._thetas) + self.classifier.weights.numel()
        return fixed + stored + used, fixed + used

    def _solve(self) -> None:
        """The projection and the classifier, from the statistics."""
        spectrum = Spectrum.of(self.moments.factor()[0])
        chosen = self.settings.shrinkage
        self.shrinkage = chosen or choose_shrinkage(self.moments, spectrum, "variance", self.shrinkage)
        for ridge in self.ridges:
            ridge.solve(len(self.classes), self.settings.penalty)
        self._project_and_classify(self._covariance(spectrum))

    def _covariance(self, spectrum: Spectrum) -> Covariance:
        return shrunk(self.moments, spectrum, self.shrinkage, "variance")

    def _project_and_classify(self, covariance: Covariance) -> None:
        targets = separated(covariance.power(self.moments.means, -0.5), self.settings.separation)
        self._thetas = [ridge.weights @ targets for ridge in self.ridges]
        self.classifier = Ridge(self.settings.projection, self.features.device, CLIPS)
        replays = self.settings.replays
        for first in range(0, len(self.classes), max(1, CHUNK // replays)):
            labels = self.classes[first : first + max(1, CHUNK // replays)]
            means = self.moments.means[first : first + len(labels)].repeat_interleave(replays, dim=0)
            noise = torch.cat([self.noise(label) for label in labels])
            features = self._expand(self.project((means + covariance.power(noise, 0.5)).float()))
            for column, rows in enumerate(features.split(replays), first):  # one by one: `add` may compress the rows
                columns = torch.full((len(rows),), column)
                self.classifier.add(rows.__getitem__, columns, len(self.classes), torch.arange(len(rows)))
        self.classifier.solve(len(self.classes), self.settings.penalty)

    def noise(self, label: int) -> Tensor:
        """White noise of a class, the same in every session: `[replays, dim]`, float64."""
        generator = torch.Generator().manual_seed(1_000_003 * self._seed + label)
        shape = self.settings.replays, self.moments.dim
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(self.features.device)

    def _lookup(self, embeddings: Tensor, head: int) -> Callable[[Tensor], Tensor]:
        return lambda rows: self._random(embeddings[rows], f"head-{head}")

    def _random(self, embeddings: Tensor, name: str) -> Tensor:
        """phi_h: `[clips, dim]` to `[clips, M]`."""
        return nn.functional.gelu(embeddings @ self.fixed[name])

    def _expand(self, projected: Tensor) -> Tensor:
        """psi: `[clips, dim]` to `[clips, M]`."""
        return nn.functional.gelu(projected @ self.fixed["classifier"].double())


def separated(means: Tensor, separation: float) -> Tensor:
    """P: singular values of the centred means, `[classes, dim]`, moved towards each other."""
    left, values, right = torch.linalg.svd(means - means.mean(dim=0), full_matrices=False)
    rank = int((values > values.max() * len(values) * torch.finfo(values.dtype).eps).sum()) if len(values) else 0
    return (left[:, :rank] * values[:rank] ** (1 - separation)) @ right[:rank]
