"""Statistics of few-shot classes, completed by those of similar base classes.

Goswami, Twardowski and van de Weijer, CVPR workshops 2024, arXiv 2404.06622:

    w_b    = softmax_b(tau cos(mu_c, mu_b))
    mu_c'  = alpha mu_c + (1 - alpha) sum_b w_b mu_b                                  (eq. 5)
    Sigma_c' = beta (Sigma_c + sum_b w_b Sigma_b)                                     (eq. 6)

where b are the base classes, which have many clips, and c is a later class.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TAU = 16.0
BASE_SHOTS = 20  # clips of a base class, at least: with fewer its covariance says no more than that of the new class


def similarities(mean: Tensor, base: Tensor) -> Tensor:
    """w: `[dim]` and `[base classes, dim]` to `[base classes]`."""
    cosines = nn.functional.normalize(base, dim=1) @ nn.functional.normalize(mean, dim=0)
    return (TAU * cosines).softmax(dim=0)


def calibrated(
    mean: Tensor, factor: Tensor, base: Tensor, factors: Sequence[Tensor], alpha: float, beta: float
) -> tuple[Tensor, Tensor]:
    """mu_c' and a factor of Sigma_c'.

    Args:
        mean: mu_c, `[dim]`, float64.
        factor: F with F^T F = Sigma_c, `[rows, dim]`.
        base: mu_b, `[base classes, dim]`.
        factors: of Sigma_b.
        alpha: share of the class's own mean.
        beta: of the sum of covariances.
    """
    weights = similarities(mean, base)
    parts = [factor, *(weight.sqrt() * own for weight, own in zip(weights, factors, strict=True))]
    rows = torch.cat(parts) * beta**0.5
    if len(rows) > rows.shape[1]:
        rows = torch.linalg.qr(rows, mode="r").R
    return alpha * mean + (1 - alpha) * (weights @ base), rows
