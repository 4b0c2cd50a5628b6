"""Ridge regression on statistics that sessions update (the classifier of RanPAC, arXiv 2307.02251, and of MAR).

    W = (G + lambda I)^-1 Q        G = sum_n phi_n phi_n^T   [M, M]        Q = sum_n phi_n y_n^T   [M, classes]

with phi_n a clip's embedding and y_n its one-hot class. In few-shot sessions there are far fewer clips than dimensions,
so G is kept exactly by a factor of few rows,

    R^T R = G     R^T Z = Q        R [r, M]     Z [r, classes]     r <= 1.1 M,

and the solution, for every lambda, from one eigendecomposition R R^T = V diag(s) V^T of size r:

    W = R^T (R R^T + lambda I)^-1 Z = R^T V diag(1 / (s + lambda)) V^T Z

New clips are new rows, new classes new columns of zeros. Where rows exceed 1.1 M, a QR decomposition [R Z] = O T
replaces them by the first M rows of T: O is orthogonal, so G and Q stay what they are. All in float64. Until then a row
of R is the embedding of one clip, which tells more of the clip than G does, though no more of W.

With as many clips as dimensions (a base session of FCAC) this is heavy, as G itself would be: at M = 10,000 some GB of
memory and, without a GPU, minutes a session for the eigenvalues.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

PENALTIES = tuple(10.0**exponent for exponent in range(-8, 9))  # lambda, of both releases
HELD_OUT = 5  # one clip of so many chooses lambda
CHUNK = 1024  # embeddings in memory at a time
SLACK = 1.1  # times M: so many rows wait for the next QR decomposition, lest every session pays for one

Describe = Callable[[Tensor], Tensor]


class Ridge:
    """Statistics, the lambda chosen last, and the classifier that follows from both.

    Args:
        dim: M, the size of an embedding.
        device: where it computes.

    Attributes:
        chunks: pairs of rows of R, `[rows, M]`, and of Z, `[rows, classes when they were added]`.
        penalty: lambda.
        weights: W, `[M, classes]`.
    """

    def __init__(self, dim: int, device: torch.device | str) -> None:
        self.dim = dim
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self.penalty = float("nan")
        self.weights = torch.zeros(dim, 0, dtype=torch.float64, device=device)

    def learn(
        self, describe: Describe, columns: Tensor, classes: int, held: Tensor, *, session_alone: bool = False
    ) -> None:
        """Adds the clips of a session: chooses lambda on some of them, then fits all.

        Args:
            describe: row numbers of clips to their embeddings, `[rows]` to `[rows, M]`.
            columns: the class of each clip, `[clips]`.
            classes: number of classes seen so far.
            held: which clips choose lambda, `[clips]`; the others, with all earlier ones, are fitted for it.
            session_alone: for the choice, forget the earlier sessions.
        """
        rest, chosen = (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)
        self.add(describe, columns, classes, rest)
        chooser = self
        if session_alone:
            chooser = Ridge(self.dim, self.weights.device)
            chooser.add(describe, columns, classes, rest)
        self.penalty = chooser.best_penalty(describe, columns, classes, chosen)
        self.add(describe, columns, classes, chosen)
        self.weights = self.solution(self.penalty, classes)

    def scores(self, embeddings: Tensor) -> Tensor:
        """phi W: `[clips, M]` to `[clips, classes]`, float32."""
        return (embeddings.double() @ self.weights).float()

    def add(self, describe: Describe, columns: Tensor, classes: int, rows: Tensor) -> None:
        """Adds the clips in `rows` (row numbers) to the statistics."""
        for part in rows.split(CHUNK):
            targets = nn.functional.one_hot(columns[part], classes).double().to(self.weights.device)
            self.chunks.append((describe(part).double(), targets))
            self._compress(classes, above=2 * self.dim)  # seldom on the way, since each time costs the same
        self._compress(classes, above=int(SLACK * self.dim))

    def best_penalty(self, describe: Describe, columns: Tensor, classes: int, rows: Tensor) -> float:
        """The lambda with the least squared error of the one-hot targets of the clips in `rows`; the least of equals.

        The releases choose by this error, too.
        """
        factor, targets = self._stacked(classes)
        values, vectors = _spectrum(factor)
        right = vectors.T @ targets
        errors = torch.zeros(len(PENALTIES), dtype=torch.float64)
        for part in rows.split(CHUNK):
            wanted = nn.functional.one_hot(columns[part], classes).double().to(self.weights.device)
            left = describe(part).double() @ factor.T @ vectors
            for index, penalty in enumerate(PENALTIES):
                errors[index] += float(((left / (values + penalty)) @ right - wanted).square().sum())
        return PENALTIES[int(errors.argmin())]

    def solution(self, penalty: float, classes: int) -> Tensor:
        """W for one lambda: `[M, classes]`."""
        factor, targets = self._stacked(classes)
        if len(factor) >= self.dim:  # then a Cholesky decomposition of G + lambda I is several times cheaper
            gram = factor.T @ factor
            gram.diagonal().add_(penalty)
            triangle, failed = torch.linalg.cholesky_ex(gram)
            if not failed:
                return torch.cholesky_solve(factor.T @ targets, triangle)
        values, vectors = _spectrum(factor)
        return factor.T @ (vectors @ ((vectors.T @ targets) / (values + penalty)[:, None]))

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Statistics and classifier as parts of a state; rows that were stacked stay what they are, in their parts."""
        rows = {f"ridge-{i}": {"rows": one, "targets": two} for i, (one, two) in enumerate(self.chunks)}
        return {**rows, "ridge": {"weights": self.weights, "penalty": torch.tensor(self.penalty, dtype=torch.float64)}}

    @classmethod
    def from_parts(cls, parts: dict[str, dict[str, Tensor]], device: torch.device | str) -> "Ridge":
        """The ridge that gave these parts; other parts may lie beside them."""
        ridge = cls(len(parts["ridge"]["weights"]), device)
        ridge.weights = parts["ridge"]["weights"].to(device)
        ridge.penalty = float(parts["ridge"]["penalty"])
        while (name := f"ridge-{len(ridge.chunks)}") in parts:
            ridge.chunks.append((parts[name]["rows"].to(device), parts[name]["targets"].to(device)))
        return ridge

    def count_values(self) -> tuple[int, int]:
        """Number of values stored, and of those used to score."""
        used = self.weights.numel()
        return used + sum(rows.numel() + targets.numel() for rows, targets in self.chunks), used

    def _compress(self, classes: int, above: int) -> None:
        """Brings R down to M rows where it has more than `above`."""
        if sum(len(rows) for rows, _ in self.chunks) > above:
            triangle = torch.linalg.qr(torch.cat(self._stacked(classes), dim=1), mode="r").R[: self.dim]
            self.chunks = [(triangle[:, : self.dim].contiguous(), triangle[:, self.dim :].contiguous())]

    def _stacked(self, classes: int) -> tuple[Tensor, Tensor]:
        """R `[r, M]` and Z `[r, classes]`."""
        padded = [nn.functional.pad(targets, (0, classes - targets.shape[1])) for _, targets in self.chunks]
        return torch.cat([rows for rows, _ in self.chunks]), torch.cat(padded)


def held_out(labels: Sequence[int], generator: torch.Generator) -> Tensor:
    """A fifth of the clips of each class, at least one, drawn: `[clips]`, bool."""
    of = torch.tensor(labels)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in dict.fromkeys(labels):
        rows = (of == label).nonzero().squeeze(1)
        drawn = torch.randperm(len(rows), generator=generator)[: max(1, len(rows) // HELD_OUT)]
        held[rows[drawn]] = True
    return held


def _spectrum(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues s and eigenvectors V of R R^T: `[rank]` and `[r, rank]`.

    An eigenvalue of rounding size stands for R^T v = 0; a tiny lambda would blow its noise up, so it is left out.
    """
    values, vectors = torch.linalg.eigh(factor @ factor.T)
    real = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    return values[real], vectors[:, real]
