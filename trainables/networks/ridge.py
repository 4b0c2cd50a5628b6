"""Incremental ridge regression (the classifier of RanPAC, arXiv 2307.02251, and of MAR).

    W = (G + lambda I)^-1 Q        G = sum_n phi_n phi_n^T   [M, M]        Q = sum_n phi_n y_n^T   [M, classes]

where phi_n is the embedding of a clip and y_n its one-hot class. Few-shot sessions have far fewer clips than
dimensions, so G is stored exactly as a factor with few rows,

    R^T R = G     R^T Z = Q        R [r, M]     Z [r, classes]     r <= 1.1 M,

and one eigendecomposition R R^T = V diag(s) V^T of size r gives the solution for every lambda:

    W = R^T (R R^T + lambda I)^-1 Z = R^T V diag(1 / (s + lambda)) V^T Z

New clips add rows, new classes add columns of zeros. When there are more than 1.1 M rows, a QR decomposition
[R Z] = O T replaces them by the first M rows of T: O is orthogonal, so G and Q are unchanged. All in float64. Until
then a row of R is the embedding of one clip, which reveals more about the clip than G, but not about W.

With as many clips as dimensions (a base session of FCAC) the cost is high, as with G itself: for M = 10,000 some GB of
memory and, without a GPU, minutes per session for the eigenvalues.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

PENALTIES = tuple(10.0**exponent for exponent in range(-8, 9))  # candidates for lambda, as in both releases
HELD_OUT = 5  # one clip in five is held out to choose lambda
CHUNK = 1024  # embeddings in memory at a time
SLACK = 1.1  # times M: maximum number of rows, so that not every session needs a QR decomposition

Embed = Callable[[Tensor], Tensor]


class Ridge:
    """Statistics of the clips so far, the last chosen lambda, and the resulting classifier.

    Args:
        dim: M, the size of an embedding.
        device: of all tensors.

    Attributes:
        chunks: pairs of rows of R, `[rows, M]`, and of Z, `[rows, classes at the time they were added]`.
        penalty: lambda.
        weights: W, `[M, classes]`.
    """

    def __init__(self, dim: int, device: torch.device | str) -> None:
        self.dim = dim
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self.penalty = float("nan")
        self.weights = torch.zeros(dim, 0, dtype=torch.float64, device=device)

    def learn(
        self, embed: Embed, columns: Tensor, classes: int, held_out: Tensor, *, session_alone: bool = False
    ) -> None:
        """Adds the clips of a session: chooses lambda on held-out clips, then fits all clips.

        Args:
            embed: row numbers of clips to their embeddings, `[rows]` to `[rows, M]`.
            columns: the class of each clip, `[clips]`.
            classes: number of classes seen so far.
            held_out: whether a clip is held out to choose lambda, bool `[clips]`.
            session_alone: whether the choice ignores the clips of earlier sessions.
        """
        fitted, validation = (~held_out).nonzero().squeeze(1), held_out.nonzero().squeeze(1)
        self.add(embed, columns, classes, fitted)
        ridge = self
        if session_alone:
            ridge = Ridge(self.dim, self.weights.device)
            ridge.add(embed, columns, classes, fitted)
        self.penalty = ridge.best_penalty(embed, columns, classes, validation)
        self.add(embed, columns, classes, validation)
        self.weights = self.solution(self.penalty, classes)

    def scores(self, embeddings: Tensor) -> Tensor:
        """phi W: `[clips, M]` to `[clips, classes]`, float32."""
        return (embeddings.double() @ self.weights).float()

    def add(self, embed: Embed, columns: Tensor, classes: int, rows: Tensor) -> None:
        """Adds the clips in `rows` (row numbers) to the statistics."""
        for part in rows.split(CHUNK):
            targets = nn.functional.one_hot(columns[part], classes).double().to(self.weights.device)
            self.chunks.append((embed(part).double(), targets))
            self._compress(classes, above=2 * self.dim)  # less often in the loop: each QR costs the same
        self._compress(classes, above=int(SLACK * self.dim))

    def best_penalty(self, embed: Embed, columns: Tensor, classes: int, rows: Tensor) -> float:
        """The lambda with the lowest squared error on the one-hot targets of the clips in `rows`; the smallest of ties.

        The releases use the same error.
        """
        factor, targets = self._stacked(classes)
        values, vectors = _spectrum(factor)
        right = vectors.T @ targets
        errors = torch.zeros(len(PENALTIES), dtype=torch.float64)
        for part in rows.split(CHUNK):
            expected = nn.functional.one_hot(columns[part], classes).double().to(self.weights.device)
            left = embed(part).double() @ factor.T @ vectors
            for index, penalty in enumerate(PENALTIES):
                errors[index] += float(((left / (values + penalty)) @ right - expected).square().sum())
        return PENALTIES[int(errors.argmin())]

    def solution(self, penalty: float, classes: int) -> Tensor:
        """W for one lambda: `[M, classes]`."""
        factor, targets = self._stacked(classes)
        if len(factor) >= self.dim:  # a Cholesky decomposition of G + lambda I is several times faster here
            gram = factor.T @ factor
            gram.diagonal().add_(penalty)
            triangle, failed = torch.linalg.cholesky_ex(gram)
            if not failed:
                return torch.cholesky_solve(factor.T @ targets, triangle)
        values, vectors = _spectrum(factor)
        return factor.T @ (vectors @ ((vectors.T @ targets) / (values + penalty)[:, None]))

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Statistics and classifier as parts of a state; a chunk has the same part until it is compressed."""
        chunks = {f"ridge-{i}": {"rows": rows, "targets": targets} for i, (rows, targets) in enumerate(self.chunks)}
        return {
            **chunks,
            "ridge": {"weights": self.weights, "penalty": torch.tensor(self.penalty, dtype=torch.float64)},
        }

    @classmethod
    def from_parts(cls, parts: dict[str, dict[str, Tensor]], device: torch.device | str) -> "Ridge":
        """Restores a ridge from `parts()`; other parts are ignored."""
        ridge = cls(len(parts["ridge"]["weights"]), device)
        ridge.weights = parts["ridge"]["weights"].to(device)
        ridge.penalty = float(parts["ridge"]["penalty"])
        while (name := f"ridge-{len(ridge.chunks)}") in parts:
            ridge.chunks.append((parts[name]["rows"].to(device), parts[name]["targets"].to(device)))
        return ridge

    def count_values(self) -> tuple[int, int]:
        """Number of values stored, and number of values used for scoring."""
        used = self.weights.numel()
        return used + sum(rows.numel() + targets.numel() for rows, targets in self.chunks), used

    def _compress(self, classes: int, above: int) -> None:
        """Compresses R to M rows if it has more than `above`."""
        if sum(len(rows) for rows, _ in self.chunks) > above:
            triangle = torch.linalg.qr(torch.cat(self._stacked(classes), dim=1), mode="r").R[: self.dim]
            self.chunks = [(triangle[:, : self.dim].contiguous(), triangle[:, self.dim :].contiguous())]

    def _stacked(self, classes: int) -> tuple[Tensor, Tensor]:
        """R `[r, M]` and Z `[r, classes]`."""
        padded = [nn.functional.pad(targets, (0, classes - targets.shape[1])) for _, targets in self.chunks]
        return torch.cat([rows for rows, _ in self.chunks]), torch.cat(padded)


def held_out(labels: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draws a fifth of the clips of each class, at least one: `[clips]`, bool."""
    label_of = torch.tensor(labels)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in dict.fromkeys(labels):
        rows = (label_of == label).nonzero().squeeze(1)
        drawn = torch.randperm(len(rows), generator=generator)[: max(1, len(rows) // HELD_OUT)]
        chosen[rows[drawn]] = True
    return chosen


def _spectrum(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues s and eigenvectors V of R R^T: `[rank]` and `[r, rank]`.

    Eigenvalues within rounding error are left out: R^T v = 0 there, and a tiny lambda would amplify the noise.
    """
    values, vectors = torch.linalg.eigh(factor @ factor.T)
    nonzero = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    return values[nonzero], vectors[:, nonzero]
