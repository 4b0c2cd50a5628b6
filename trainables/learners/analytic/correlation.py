"""Mahalanobis distances under the shrunk covariance of each class, normalised to a correlation (FeCAM).

    Sigma_s = Sigma_c + g V1 I + g' V2 (1 1^T - I)    V1: mean variance, V2: mean covariance of two features (eq. 7)
    N       = D^-1/2 Sigma_s D^-1/2                   D: diagonal of Sigma_s (eq. 8)
    distance(x, c) = (x / |x| - mu / |mu|)^T N^-1 (x / |x| - mu / |mu|)

Sigma_c has few rows of a factor, so Sigma_s is a scaled identity and a part of low rank, and N^-1 costs (rank)^3
instead of dim^3 (Woodbury). A class without scatter (one shot, identical clips) has N = I.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

GROUP = 64  # classes at a time: clips x classes x rank values are in memory


@dataclass(frozen=True)
class Precision:
    """N^-1 of one class: diag(d) - U^T K U.

    Attributes:
        diagonal: d, `[dim]`.
        rows: U, `[rank, dim]`.
        core: K, `[rank, rank]`.
    """

    diagonal: Tensor
    rows: Tensor
    core: Tensor


def precision(factor: Tensor, variance: float, covariance: float) -> Precision:
    """N^-1 of a class.

    Args:
        factor: F with F^T F = Sigma_c: `[rows, dim]`, float64.
        variance: g.
        covariance: g'.
    """
    dim = factor.shape[1]
    variances = factor.square().sum(dim=0)
    mean_variance = float(variances.mean())
    if mean_variance <= 0:
        return Precision(torch.ones_like(variances), factor[:0], factor.new_zeros(0, 0))
    others = float(factor.sum(dim=1).square().sum() - variances.sum()) / max(dim * (dim - 1), 1)
    off = covariance * others
    floor = variance * mean_variance - off
    floor = max(floor, 1e-12 * mean_variance)
    scale = variances + floor + off
    rows, signs = factor, factor.new_ones(len(factor))
    if off:
        rows = torch.cat([rows, factor.new_full((1, dim), abs(off) ** 0.5)])
        signs = torch.cat([signs, signs.new_tensor([1.0 if off > 0 else -1.0])])
    diagonal = scale / floor
    rows = rows / scale.sqrt()
    inner = torch.diag(signs) + (rows * diagonal) @ rows.T
    return Precision(diagonal, rows * diagonal, torch.linalg.inv(inner))


def distances(vectors: Tensor, means: Tensor, precisions: Sequence[Precision]) -> Tensor:
    """`[clips, dim]` and `[classes, dim]`, float64, to `[clips, classes]`.

    Written out, so that each term is one product of matrices and no array has clips x classes x dim values.
    """
    vectors, means = nn.functional.normalize(vectors, dim=1), nn.functional.normalize(means, dim=1)
    squares = vectors.square()
    result = vectors.new_empty(len(vectors), len(means))
    by_rank: dict[int, list[int]] = {}
    for index, each in enumerate(precisions):
        by_rank.setdefault(len(each.rows), []).append(index)
    for indices in by_rank.values():
        for first in range(0, len(indices), GROUP):
            group = indices[first : first + GROUP]
            centres = means[group]
            diagonal = torch.stack([precisions[index].diagonal for index in group])
            rows = torch.stack([precisions[index].rows for index in group])
            core = torch.stack([precisions[index].core for index in group])
            scaled = centres * diagonal
            whole = squares @ diagonal.T - 2 * vectors @ scaled.T + (centres * scaled).sum(dim=1)
            projected = rows @ vectors.T - (rows @ centres[:, :, None])  # [classes, rank, clips]
            result[:, group] = whole - (projected * (core @ projected)).sum(dim=1).T
    return result
