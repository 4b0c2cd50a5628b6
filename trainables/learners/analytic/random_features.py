"""Fixed random features of an embedding, drawn once per chain.

Fourier  sqrt(2 / D) cos(W^T e + b)   W ~ N(0, 1 / sigma^2), b ~ U(0, 2 pi): inner products approximate the Gaussian
                                      kernel exp(-||e - e'||^2 / (2 sigma^2)) (Rahimi and Recht 2007, algorithm 1)
Gaussian exp(-||e - c_j||^2 / (2 sigma^2))                           the kernel against centres (GKEAL, CVPR 2023)
layer    W^T e                                                       a random layer, before its nonlinearity
"""

import math

import torch
from torch import Tensor


def draw_fourier(dim: int, count: int, sigma: float, generator: torch.Generator) -> dict[str, Tensor]:
    """W, `[dim, count]`, and b, `[count]`."""
    weight = torch.randn(dim, count, generator=generator) / sigma
    return {"weight": weight, "bias": 2 * math.pi * torch.rand(count, generator=generator)}


def fourier(embeddings: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`[clips, dim]` to `[clips, count]`."""
    return math.sqrt(2 / len(bias)) * torch.cos(embeddings @ weight + bias)


def gaussian(embeddings: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """`[clips, dim]` and centres `[count, dim]` to `[clips, count]`, float64."""
    return torch.exp(-torch.cdist(embeddings.double(), centres.double()).square() / (2 * sigma**2))


def draw_layer(dim: int, count: int, generator: torch.Generator) -> Tensor:
    """W, `[dim, count]`, uniform in +- 1 / sqrt(dim): the default of `nn.Linear`, as in the released ACIL."""
    return (2 * torch.rand(dim, count, generator=generator) - 1) / math.sqrt(dim)
