"""Random numbers for many sources or clips at once, all from one private generator."""

import math

import torch
from torch import Tensor


class Draws:
    """Draws tensors on the device of a generator.

    Args:
        generator: where all numbers come from; the order of the calls decides what they are.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Evenly from `[low, high)`, float32 `[*shape]`."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Evenly in the logarithm, float32 `[*shape]`."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, std: float, *shape: int) -> Tensor:
        """Gaussian of mean 0, float32 `[*shape]`."""
        return torch.randn(shape, generator=self.generator, device=self.device) * std

    def chance(self, share: float, *shape: int) -> Tensor:
        """True with probability `share`, bool `[*shape]`."""
        return torch.rand(shape, generator=self.generator, device=self.device) < share

    def noise(self, *shape: int) -> Tensor:
        """Complex Gaussian with a mean square of 1, complex64 `[*shape]`."""
        parts = torch.randn((*shape, 2), generator=self.generator, device=self.device) * math.sqrt(0.5)
        return torch.view_as_complex(parts)

    def curve(self, rows: int, knots: int, points: int, std: float = 1.0) -> Tensor:
        """Smooth random curves: Gaussian at evenly spaced knots, straight lines between, float32 `[rows, points]`."""
        return stretch(self.normal(std, rows, knots), points)


def stretch(values: Tensor, points: int) -> Tensor:
    """Rows `[rows, n]` interpolated by straight lines, the ends kept: `[rows, points]`."""
    return torch.nn.functional.interpolate(values[:, None], size=points, mode="linear", align_corners=True)[:, 0]
