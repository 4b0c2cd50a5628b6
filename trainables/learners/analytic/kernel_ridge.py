"""Kernel ridge regression with the Gaussian kernel, the width and lambda relative to the data.

    f(x) = k(x)^T A        A = (K + lambda I)^-1 Y        K_nm = exp(-||x_n - x_m||^2 / (2 sigma^2)), K_nn = 1

With the eigendecomposition of K every lambda costs one product. The error of clip n with the clip left out is
A_n / ((K + lambda I)^-1)_nn (Golub, Heath and Wahba 1979, eq. 1.4, in the dual form).
"""

import torch
from torch import Tensor, nn

from trainables.learners.analytic.random_features import gaussian

PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 3))  # candidates for lambda; K_nn = 1
UNCHOSEN = 0.1  # lambda where no clip can be left out: the published value


def solve_kernel(kernel: Tensor, columns: Tensor, classes: int, penalty: float | None) -> tuple[Tensor, float]:
    """A, `[clips, classes]`, and lambda.

    Args:
        kernel: K, `[clips, clips]`, float64.
        columns: the class of each clip, `[clips]`.
        classes: their number.
        penalty: lambda; None: the candidate with the lowest squared error on the one-hot classes of clips that are left
            out in turn. A clip that is alone in its class is not left out.
    """
    targets = nn.functional.one_hot(columns, classes).double()
    values, vectors = torch.linalg.eigh(kernel)
    values, projected = values.clamp_min(0), vectors.T @ targets
    if penalty is None:
        rows = (targets.sum(dim=0)[columns] > 1).nonzero().squeeze(1)
        errors = []
        for candidate in PENALTIES if len(rows) else ():
            scaled = vectors[rows] / (values + candidate)
            diagonal = (scaled * vectors[rows]).sum(dim=1)
            errors.append((scaled @ projected / diagonal[:, None]).square().sum())
        penalty = PENALTIES[int(torch.stack(errors).argmin())] if errors else UNCHOSEN
    return vectors @ (projected / (values + penalty)[:, None]), penalty


class KernelRidge:
    """Clips so far as centres of the kernel, and their coefficients.

    Args:
        dim: of an embedding.
        device: of all tensors.

    Attributes:
        sigma: width of the kernel.
        centres: `[clips, dim]`, float32.
        columns: the class of each, `[clips]`.
        coefficients: A, `[clips, classes]`, float64.
        penalty: lambda.
    """

    def __init__(self, dim: int, device: torch.device | str) -> None:
        self.sigma = 1.0
        self.centres = torch.zeros(0, dim, device=device)
        self.columns = torch.zeros(0, dtype=torch.int64, device=device)
        self.coefficients = torch.zeros(0, 0, dtype=torch.float64, device=device)
        self.penalty = UNCHOSEN

    def add(self, embeddings: Tensor, columns: Tensor) -> None:
        """Adds clips, `[clips, dim]`, of classes `[clips]`."""
        self.centres = torch.cat([self.centres, embeddings])
        self.columns = torch.cat([self.columns, columns.to(self.columns.device)])

    def remove(self, column: int) -> None:
        """Removes the clips of a class; the columns after it move up by one."""
        kept = self.columns != column
        self.centres, self.columns = self.centres[kept], self.columns[kept]
        self.columns = torch.where(self.columns > column, self.columns - 1, self.columns)

    def solve(self, classes: int, penalty: float | None) -> None:
        """Computes the coefficients for a lambda, or for the one that leave-one-out chooses."""
        kernel = gaussian(self.centres, self.centres, self.sigma)
        self.coefficients, self.penalty = solve_kernel(kernel, self.columns, classes, penalty)

    def scores(self, embeddings: Tensor) -> Tensor:
        """f: `[clips, dim]` to `[clips, classes]`, float32."""
        return (gaussian(embeddings, self.centres, self.sigma) @ self.coefficients).float()

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Everything as a part of a state."""
        numbers = torch.tensor([self.sigma, self.penalty], dtype=torch.float64)
        tensors = {"centres": self.centres, "columns": self.columns, "coefficients": self.coefficients.contiguous()}
        return {"kernel": {**tensors, "sigma and penalty": numbers}}

    def load(self, parts: dict[str, dict[str, Tensor]]) -> None:
        """Restores everything from `parts`."""
        device, own = self.centres.device, parts["kernel"]
        self.centres, self.columns, self.coefficients = (
            own[key].to(device) for key in ("centres", "columns", "coefficients")
        )
        self.sigma, self.penalty = own["sigma and penalty"].tolist()
