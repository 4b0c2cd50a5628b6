"""FeCAM's distances against explicit matrices, and calibrated statistics by hand."""

import math

import pytest
import torch
from torch import Tensor

from trainables.learners.analytic.calibration import TAU, calibrated
from trainables.learners.analytic.correlation import distances, precision


def explicit(vectors: Tensor, mean: Tensor, factor: Tensor, variance: float, covariance: float) -> Tensor:
    """The formulas with matrices of dim x dim (arXiv 2309.14062, eq. 7 and 8)."""
    sigma = factor.T @ factor
    dim = len(sigma)
    identity = torch.eye(dim, dtype=torch.float64)
    variances, others = sigma.diagonal().mean(), (sigma.sum() - sigma.trace()) / (dim * (dim - 1))
    shrunk = sigma + variance * variances * identity + covariance * others * (1 - identity)
    deviation = shrunk.diagonal().sqrt()
    correlation = shrunk / deviation[:, None] / deviation
    difference = torch.nn.functional.normalize(vectors, dim=1) - torch.nn.functional.normalize(mean, dim=0)
    return (difference @ torch.linalg.inv(correlation) * difference).sum(dim=1)


@pytest.mark.parametrize(("variance", "covariance"), [(1.0, 0.0), (100.0, 0.0), (1.0, 1.0), (10.0, 10.0)])
def test_distances_are_those_of_explicit_matrices(variance: float, covariance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, 6, generator=generator, dtype=torch.float64) for rows in (4, 1, 4, 9)]
    means = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    vectors = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    result = distances(vectors, means, [precision(factor, variance, covariance) for factor in factors])
    expected = [explicit(vectors, m, f, variance, covariance) for m, f in zip(means, factors, strict=True)]
    torch.testing.assert_close(result, torch.stack(expected, dim=1))


def test_a_class_without_scatter_has_euclidean_distances() -> None:
    mean = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    none = precision(torch.zeros(5, 2, dtype=torch.float64), 1.0, 0.0)
    result = distances(torch.tensor([[1.0, 0.0], [30.0, 40.0]], dtype=torch.float64), mean, [none])
    torch.testing.assert_close(result[:, 0], torch.tensor([0.4**2 + 0.8**2, 0.0], dtype=torch.float64))


def test_constant_features_stay_finite() -> None:
    factor = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)
    result = distances(torch.eye(3, dtype=torch.float64), torch.ones(1, 3).double(), [precision(factor, 1.0, 1.0)])
    assert torch.isfinite(result).all()


def test_calibration_by_hand() -> None:
    """Cosines 1 and 0 to the base classes: weights e^16 / (e^16 + 1) and 1 / (e^16 + 1)."""
    base = torch.eye(2, dtype=torch.float64)
    own = torch.tensor([2.0, 0.0], dtype=torch.float64)
    factor = torch.tensor([[0.0, 3.0]], dtype=torch.float64)
    factors = [torch.tensor([[2.0, 0.0]], dtype=torch.float64), torch.tensor([[0.0, 1.0]], dtype=torch.float64)]
    mean, rows = calibrated(own, factor, base, factors, 0.9, 0.5)
    near = 1 / (1 + math.exp(-TAU))
    torch.testing.assert_close(mean, torch.tensor([1.8 + 0.1 * near, 0.1 * (1 - near)], dtype=torch.float64))
    expected = torch.diag(torch.tensor([4 * near, 9 + 1 - near], dtype=torch.float64)) / 2
    torch.testing.assert_close(rows.T @ rows, expected)
