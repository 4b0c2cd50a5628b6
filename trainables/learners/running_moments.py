"""Mean and variance of vectors that arrive in groups, without keeping the vectors.

Groups a and b are merged with the pairwise update of Chan, Golub and LeVeque (1979, "Updating formulae and a pairwise
algorithm for computing sample variances", eq. 2.1):

    n     = n_a + n_b                    d = mean_b - mean_a
    mean  = mean_a + d n_b / n
    M2    = M2_a + M2_b + d^2 n_a n_b / n         M2 = sum of squared deviations from the mean

The result is that of all vectors at once, whatever the groups and their order, up to the rounding of float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-6  # a feature that is constant so far is not divided by zero


@dataclass(frozen=True)
class RunningMoments:
    """Moments of the vectors so far.

    Attributes:
        count: n, number of vectors: a scalar, float64.
        mean: `[dim]`, float64.
        squares: M2, `[dim]`, float64.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> "RunningMoments":
        """Moments of `[vectors, dim]`."""
        values = vectors.double()
        mean = values.mean(dim=0)
        count = torch.tensor(float(len(values)), dtype=torch.float64, device=values.device)
        return cls(count, mean, (values - mean).square().sum(dim=0))

    def merge(self, other: "RunningMoments") -> "RunningMoments":
        """Moments of the vectors of both."""
        count = self.count + other.count
        distance = other.mean - self.mean
        mean = self.mean + distance * (other.count / count)
        squares = self.squares + other.squares + distance.square() * (self.count * other.count / count)
        return RunningMoments(count, mean, squares)

    def remove(self, other: "RunningMoments") -> "RunningMoments":
        """Moments of the vectors without those of `other`, which are among them and fewer: the inverse of `merge`."""
        count = self.count - other.count
        mean = (self.count * self.mean - other.count * other.mean) / count
        distance = other.mean - mean
        squares = self.squares - other.squares - distance.square() * (count * other.count / self.count)
        return RunningMoments(count, mean, squares.clamp_min(0))

    @property
    def deviation(self) -> Tensor:
        """Standard deviation (ddof 1), at least `SMALLEST_DEVIATION`: `[dim]`, float64."""
        return (self.squares / (self.count - 1).clamp_min(1)).sqrt().clamp_min(SMALLEST_DEVIATION)

    def standardise(self, vectors: Tensor) -> Tensor:
        """`(vectors - mean) / deviation`: `[vectors, dim]`, float32."""
        return ((vectors.double() - self.mean) / self.deviation).float()

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a state from which `RunningMoments(**tensors)` restores them."""
        return {"count": self.count, "mean": self.mean, "squares": self.squares}
