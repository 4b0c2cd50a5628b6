"""Random tensors for many sources or clips at once, from one generator."""

import math

import torch
from torch import Tensor


class Draws:
    """Draws tensors on the device of a generator.

    Args:
        generator: source of all numbers; they depend on the order of the calls.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform in `[low, high)`, float32 `[*shape]`."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Log-uniform in `[low, high)`, float32 `[*shape]`."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, std: float, *shape: int) -> Tensor:
        """Gaussian with mean 0, float32 `[*shape]`."""
        return torch.randn(shape, generator=self.generator, device=self.device) * std

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with a probability, bool `[*shape]`."""
        return torch.rand(shape, generator=self.generator, device=self.device) < probability

    def noise(self, *shape: int) -> Tensor:
        """Complex Gaussian with a mean square of 1, complex64 `[*shape]`."""
        parts = torch.randn((*shape, 2), generator=self.generator, device=self.device) * math.sqrt(0.5)
        return torch.view_as_complex(parts)

    def curve(self, rows: int, knots: int, points: int, std: float = 1.0) -> Tensor:
        """Random curves: Gaussian at evenly spaced knots, linear in between, float32 `[rows, points]`."""
        return stretch(self.normal(std, rows, knots), points)


def stretch(values: Tensor, points: int) -> Tensor:
    """Linear interpolation of rows `[rows, n]` with fixed ends: `[rows, points]`."""
    return torch.nn.functional.interpolate(values[:, None], size=points, mode="linear", align_corners=True)[:, 0]
