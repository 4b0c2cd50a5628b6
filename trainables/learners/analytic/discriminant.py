"""Linear discriminant analysis with a shrunk covariance, in as many dimensions as one likes.

    Sigma  = (1 - s) S / n + s t I          t = tr(S / n) / dim, or 1
    score  = x^T Sigma^-1 mu_c - mu_c^T Sigma^-1 mu_c / 2

S is the scatter within classes of n clips (`moments.py`). With S = E diag(v) E^T of rank r, a = (1 - s) / n and
b = s t,

    Sigma^-1 = (I - E diag(a v / (a v + b)) E^T) / b

costs O(dim r) a vector; no matrix of dim x dim is made. Leaving out clip x of class c changes mu_c and takes a rank-one
term from S, so with d = x - mu_c, k = n_c / (n_c - 1), h = d^T Sigma^-1 d (Sherman and Morrison 1950), and scale fixed,

    distance to mu_j, j != c:   (x - mu_j)^T Sigma^-1 (x - mu_j) + a k (d^T Sigma^-1 (x - mu_j))^2 / (1 - a k h)
    distance to mu_c:           k^2 h / (1 - a k h)

Where the scatter is zero (one shot, identical clips), Sigma is the identity: the nearest class mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainables.learners.analytic.moments import Moments
from trainables.learners.analytic.spectrum import Spectrum

SHRINKAGES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)  # candidates for s
LEFT_OUT = 1024  # clips at a time: clips x classes distances are in memory
UNCHOSEN = 0.8  # s where no clip can be left out, and none was before
Target = Literal["variance", "identity"]


@dataclass(frozen=True)
class Covariance:
    """Sigma, as a scaled identity and a part of low rank.

    Attributes:
        spectrum: of S.
        slope: a.
        floor: b.
    """

    spectrum: Spectrum
    slope: float
    floor: float

    @property
    def damping(self) -> Tensor:
        """a v / (a v + b): `[rank]`."""
        scaled = self.slope * self.spectrum.values
        return scaled / (scaled + self.floor)

    def solve(self, vectors: Tensor) -> Tensor:
        """Sigma^-1 times each row of `[rows, dim]`."""
        axes = self.spectrum.vectors
        return (vectors - (vectors @ axes * self.damping) @ axes.T) / self.floor

    def power(self, vectors: Tensor, exponent: float) -> Tensor:
        """Sigma^exponent times each row of `[rows, dim]`: 1 / 2 colours white noise, - 1 / 2 whitens."""
        axes, rest = self.spectrum.vectors, self.floor**exponent
        scale = (self.slope * self.spectrum.values + self.floor) ** exponent - rest
        return rest * vectors + (vectors @ axes * scale) @ axes.T


def shrunk(moments: Moments, spectrum: Spectrum, shrinkage: float, target: Target) -> Covariance:
    """Sigma of the classes so far."""
    count = float(moments.counts.sum())
    scale = 1.0 if target == "identity" else float(spectrum.values.sum()) / count / moments.dim
    if scale == 0:
        return Covariance(spectrum, 0.0, 1.0)
    return Covariance(spectrum, (1 - shrinkage) / count, shrinkage * scale)


def choose_shrinkage(moments: Moments, spectrum: Spectrum, target: Target, before: float) -> float:
    """The candidate under which clips that are left out in turn have the highest posterior of their own class.

    Args:
        moments: of the classes so far.
        spectrum: of their scatter.
        target: see `shrunk`.
        before: the answer where no clip can be left out.
    """
    rows, own = moments.factor()
    counts = dict(zip(moments.labels, moments.counts.tolist(), strict=True))
    single = torch.tensor([counts.get(label, 0) > 1 for label in own.tolist()], dtype=torch.bool, device=own.device)
    if not single.any() or not len(spectrum.values):
        return before
    position = {label: index for index, label in enumerate(moments.labels)}
    column = torch.tensor([position[label] for label in own[single].tolist()], device=own.device)
    covariances = [shrunk(moments, spectrum, shrinkage, target) for shrinkage in SHRINKAGES]
    parts = zip(rows[single].split(LEFT_OUT), column.split(LEFT_OUT), strict=True)
    losses = sum(_left_out_losses(moments, spectrum, covariances, *part) for part in parts)
    assert isinstance(losses, Tensor)
    return SHRINKAGES[int(losses.argmin())]


def _left_out_losses(
    moments: Moments, spectrum: Spectrum, covariances: Sequence[Covariance], d: Tensor, column: Tensor
) -> Tensor:
    """Minus the log posteriors of clips that are left out in turn, under each covariance: `[covariances]`, sums.

    Args:
        moments: of the classes so far.
        spectrum: of their scatter.
        covariances: Sigma of each candidate.
        d: the clips minus the means of their classes, `[clips, dim]`.
        column: of the class of each clip, `[clips]`.
    """
    means, axes = moments.means, spectrum.vectors
    x = d + means[column]
    k = (moments.counts / (moments.counts - 1).clamp_min(1))[column]
    px, pm, pd = x @ axes, means @ axes, d @ axes
    xx, mm, xm, dd = x.square().sum(1), means.square().sum(1), x @ means.T, d.square().sum(1)
    dx, dm = (d * x).sum(1), d @ means.T
    losses = []
    for covariance in covariances:
        w, a = covariance.damping, covariance.slope
        distance = (xx - (px.square() @ w))[:, None] + (mm - pm.square() @ w) - 2 * (xm - (px * w) @ pm.T)
        cross = (dx - (pd * px) @ w)[:, None] - (dm - (pd * w) @ pm.T)
        h = (dd - pd.square() @ w) / covariance.floor
        distance, cross = distance / covariance.floor, cross / covariance.floor
        remaining = (1 - a * k * h).clamp_min(1e-12)
        distance = distance + (a * k / remaining)[:, None] * cross.square()
        distance[torch.arange(len(x)), column] = k.square() * h / remaining
        losses.append(nn.functional.cross_entropy(-distance / 2, column, reduction="sum"))
    return torch.stack(losses)


class Discriminant:
    """Statistics of the classes so far, and the classifier made from them.

    Args:
        dim: of the vectors.
        device: of all tensors.

    Attributes:
        moments: the statistics.
        shrinkage: s.
        weights: Sigma^-1 mu_c, `[dim, classes]`.
        biases: - mu_c^T Sigma^-1 mu_c / 2, `[classes]`.
    """

    def __init__(self, dim: int, device: torch.device | str) -> None:
        self.moments = Moments(dim, device)
        self.shrinkage = UNCHOSEN
        self.weights = torch.zeros(dim, 0, dtype=torch.float64, device=device)
        self.biases = torch.zeros(0, dtype=torch.float64, device=device)

    def solve(self, shrinkage: float | None, target: Target) -> None:
        """Computes the classifier.

        Args:
            shrinkage: s; None: chosen by leave-one-out.
            target: what the covariance is shrunk to: the mean variance times the identity, or the identity.
        """
        spectrum = Spectrum.of(self.moments.factor()[0])
        if shrinkage is None:
            shrinkage = choose_shrinkage(self.moments, spectrum, target, self.shrinkage)
        self.shrinkage = shrinkage
        self.weights = shrunk(self.moments, spectrum, shrinkage, target).solve(self.moments.means).T
        self.biases = -(self.moments.means * self.weights.T).sum(dim=1) / 2

    def scores(self, vectors: Tensor) -> Tensor:
        """`[clips, dim]` to `[clips, classes]`, float64."""
        return vectors.double() @ self.weights + self.biases

    def parts(self, name: str) -> dict[str, dict[str, Tensor]]:
        """Statistics and classifier as parts of a state, whose names begin with `name`."""
        classifier = {"weights": self.weights.contiguous(), "biases": self.biases}
        classifier["shrinkage"] = torch.tensor(self.shrinkage, dtype=torch.float64)
        return {**self.moments.parts(f"{name}-moments"), f"{name}-classifier": classifier}

    def load(self, parts: dict[str, dict[str, Tensor]], name: str) -> None:
        """Restores both from `parts`."""
        device = self.moments.means.device
        self.moments.load(parts, f"{name}-moments")
        classifier = parts[f"{name}-classifier"]
        self.shrinkage = float(classifier["shrinkage"])
        self.weights, self.biases = (classifier[key].to(device) for key in ("weights", "biases"))

    def count_values(self) -> tuple[int, int]:
        """Number of values stored, and number of values used for scoring."""
        used = self.weights.numel() + self.biases.numel()
        return self.moments.count_values() + used, used
