"""Eigenvalues and eigenvectors of R^T R from R, by the smaller of its two sides."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spectrum:
    """The part of a symmetric matrix C = E diag(s) E^T with s > 0.

    Attributes:
        values: s, `[rank]`, float64.
        vectors: E, `[dim, rank]`, orthonormal columns.
    """

    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "Spectrum":
        """Of R^T R: R `[rows, dim]`, float64. Eigenvalues within rounding error are left out."""
        dual = len(rows) < rows.shape[1]
        values, vectors = torch.linalg.eigh(rows @ rows.T if dual else rows.T @ rows)
        if len(values):
            nonzero = values > max(float(values[-1]), 0.0) * len(values) * torch.finfo(values.dtype).eps
            values, vectors = values[nonzero], vectors[:, nonzero]
        if dual:
            vectors = rows.T @ vectors / values.sqrt()
        return cls(values, vectors)
