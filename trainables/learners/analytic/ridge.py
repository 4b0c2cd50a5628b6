"""Incremental ridge regression (the classifier of RanPAC, arXiv 2307.02251, of MAR and of analytic learning).

    W = (G + lambda I)^-1 Q        G = sum_n phi_n phi_n^T   [M, M]        Q = sum_n phi_n y_n^T   [M, classes]

where phi_n is the embedding of a clip and y_n its one-hot class. Few-shot sessions have far fewer clips than
dimensions, so G is stored exactly as a factor with few rows,

    R^T R = G     R^T Z = Q        R [r, M]     Z [r, classes]     r <= max(1.1 M, clips),

where `clips` is 4,096 if every clip is left out in turn, otherwise 0. One eigendecomposition R R^T = V diag(s) V^T of
size r gives the solution for every lambda:

    W = R^T (R R^T + lambda I)^-1 Z = R^T V diag(1 / (s + lambda)) V^T Z

New clips add rows, new classes add columns of zeros. When there are more rows than that, a QR decomposition
[R Z] = O T replaces them by the first M rows of T: O is orthogonal, so G and Q are unchanged. All in float64. Until
then a row of R is the embedding of one clip, which reveals more about the clip than G, but not about W. With such rows
a class is forgotten by dropping its rows, and every clip can be left out in turn, for every lambda, with the same
eigendecomposition (PRESS, Allen 1974; Golub, Heath and Wahba 1979, eq. 1.4):

    y_n - f_-n(phi_n) = (y_n - f(phi_n)) / (1 - h_n)        h_n = phi_n^T (G + lambda I)^-1 phi_n

With as many clips as dimensions (a base session of FCAC) the cost is high, as with G itself: for M = 10,000 some GB of
memory and, without a GPU, minutes per session for the eigenvalues.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainables.learners.analytic.spectrum import Spectrum

PENALTIES = tuple(10.0**exponent for exponent in range(-8, 9))  # candidates for lambda, as in both releases
RELATIVE = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 5))  # candidates, times the mean of ||phi||^2
UNCHOSEN = 0.1  # the relative lambda where no clip can be left out
HELD_OUT = 5  # one clip in five is held out to choose lambda
CHUNK = 1024  # embeddings in memory at a time
SLACK = 1.1  # times M: maximum number of rows, so that not every session needs a QR decomposition
CLIPS = 4096  # rows that are kept in any case where every clip is left out in turn

Embed = Callable[[Tensor], Tensor]


class Ridge:
    """Statistics of the clips so far, the last chosen lambda, and the resulting classifier.

    Args:
        dim: M, the size of an embedding.
        device: of all tensors.
        clips: number of rows up to which they are never replaced, if that is more than 1.1 M.

    Attributes:
        chunks: pairs of rows of R, `[rows, M]`, and of Z, `[rows, classes at the time they were added]`.
        columns: for each chunk the class of each row, `[rows]`; -1 where a row belongs to no single clip.
        penalty: lambda.
        weights: W, `[M, classes]`.
    """

    def __init__(self, dim: int, device: torch.device | str, clips: int = 0) -> None:
        self.dim = dim
        self.clips = clips
        self.chunks: list[tuple[Tensor, Tensor]] = []
        self.columns: list[Tensor] = []
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

    def fit(
        self, embed: Embed, columns: Tensor, classes: int, penalty: float | None = None, targets: Tensor | None = None
    ) -> None:
        """Adds the clips of a session, then solves for all clips.

        Args:
            embed: row numbers of clips to their embeddings, `[rows]` to `[rows, M]`.
            columns: the class of each clip, `[clips]`.
            classes: number of classes seen so far.
            penalty: lambda; None: chosen by leave-one-out.
            targets: `[clips, classes]`, in place of the one-hot classes.
        """
        self.add(embed, columns, classes, torch.arange(len(columns)), targets)
        self.solve(classes, penalty)

    def solve(self, classes: int, penalty: float | None = None) -> None:
        """Computes W for a lambda, or for the one that leave-one-out chooses."""
        factor, _ = self._stacked(classes)
        spectrum = _spectrum(factor) if len(factor) < self.dim else None
        self.penalty = self.leave_one_out(classes, spectrum) if penalty is None else penalty
        self.weights = self.solution(self.penalty, classes, spectrum)

    def leave_one_out(self, classes: int, spectrum: tuple[Tensor, Tensor] | None = None) -> float:
        """The lambda with the lowest squared error on the targets of clips that are left out in turn.

        The candidates are `RELATIVE` multiples of the mean squared norm of an embedding. A clip that is alone in its
        class is not left out: nothing is known about the class then. Where no clip can be left out, lambda is
        `UNCHOSEN` times the mean squared norm; where rows have been replaced, the last lambda stays, and without one it
        is `UNCHOSEN` times the mean squared norm of the clips with which they were replaced (`add`).

        Args:
            classes: number of classes seen so far.
            spectrum: eigenvalues and eigenvectors of R R^T, where they are known.
        """
        factor, targets = self._stacked(classes)
        columns = torch.cat([torch.zeros(0, dtype=torch.int64, device=factor.device), *self.columns])
        counts = torch.bincount(columns.clamp_min(0), weights=(columns >= 0).double(), minlength=classes)
        rows = ((columns >= 0) & (counts[columns.clamp_min(0)] > 1)).nonzero().squeeze(1)
        scale = float(factor[columns >= 0].square().sum(dim=1).mean()) if (columns >= 0).any() else 0.0
        if not len(rows) or scale == 0:
            if scale and bool((columns >= 0).all()):
                return UNCHOSEN * scale
            return self.penalty if self.penalty > 0 else UNCHOSEN * (scale or 1.0)
        if len(factor) <= self.dim:
            values, vectors = spectrum or _spectrum(factor)
        else:
            of_gram = Spectrum.of(factor)
            values, vectors = of_gram.values, factor @ of_gram.vectors / of_gram.values.sqrt()
        projected, vectors = vectors.T @ targets, vectors[rows]
        outside = targets[rows] - vectors @ projected  # of duplicates with other targets
        leverage = 1 - vectors.square().sum(dim=1)
        errors = []
        for relative in RELATIVE:
            left = vectors * (relative * scale / (values + relative * scale))
            remaining = (leverage + (left * vectors).sum(dim=1)).clamp_min(torch.finfo(values.dtype).eps)
            errors.append(((outside + left @ projected) / remaining[:, None]).square().sum())
        return RELATIVE[int(torch.stack(errors).argmin())] * scale

    def remove(self, column: int, embed: Callable[[], Tensor]) -> None:
        """Removes a class from the statistics; `solve` gives the solution without it.

        Rows of single clips are dropped. From rows that have been replaced, the clips are subtracted.

        Args:
            column: of the class; the columns after it move up by one.
            embed: the embeddings of all its clips in the order in which they were added, `[clips, M]`.
        """
        chunks, columns = [], []
        for (rows, targets), own in zip(self.chunks, self.columns, strict=True):
            kept = own != column
            if column < targets.shape[1]:
                if (targets[own < 0, column] != 0).any():
                    alone = int(sum((each == column).sum() for each in self.columns))
                    rows, targets = _subtract(rows, targets, embed().double(), column, alone)
                    kept = own = torch.full((len(rows),), -1, device=own.device)
                    kept = kept < 0
                targets = torch.cat([targets[:, :column], targets[:, column + 1 :]], dim=1)
            chunks.append((rows[kept], targets[kept]))
            columns.append(torch.where(own > column, own - 1, own)[kept])
        self.chunks = [chunk for chunk in chunks if len(chunk[0])]
        self.columns = [own for own in columns if len(own)]

    def scores(self, embeddings: Tensor) -> Tensor:
        """phi W: `[clips, M]` to `[clips, classes]`, float32."""
        return (embeddings.double() @ self.weights).float()

    def add(self, embed: Embed, columns: Tensor, classes: int, rows: Tensor, targets: Tensor | None = None) -> None:
        """Adds the clips in `rows` (row numbers) to the statistics; sets lambda where none is left to choose it by."""
        device = self.weights.device
        squares = 0.0
        for part in rows.split(CHUNK):
            wanted = nn.functional.one_hot(columns[part], classes) if targets is None else targets[part]
            embedded = embed(part).double()
            squares += float(embedded.square().sum())
            self.chunks.append((embedded, wanted.double().to(device)))
            self.columns.append(columns[part].to(device))
            self._compress(classes, above=max(2 * self.dim, self.clips))  # less often: each QR costs the same
        self._compress(classes, above=max(int(SLACK * self.dim), self.clips))
        if len(rows) and not self.penalty > 0 and not any((own >= 0).any() for own in self.columns):
            self.penalty = UNCHOSEN * squares / len(rows)

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

    def solution(self, penalty: float, classes: int, spectrum: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """W for one lambda: `[M, classes]`; `spectrum` as in `leave_one_out`."""
        factor, targets = self._stacked(classes)
        if len(factor) >= self.dim:  # a Cholesky decomposition of G + lambda I is several times faster here
            gram = factor.T @ factor
            gram.diagonal().add_(penalty)
            triangle, failed = torch.linalg.cholesky_ex(gram)
            if not failed:
                return torch.cholesky_solve(factor.T @ targets, triangle)
        values, vectors = spectrum or _spectrum(factor)
        return factor.T @ (vectors @ ((vectors.T @ targets) / (values + penalty)[:, None]))

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Statistics and classifier as parts of a state; a chunk has the same part until it is compressed."""
        chunks = {
            f"ridge-{i}": {"rows": rows, "targets": targets, "columns": columns}
            for i, ((rows, targets), columns) in enumerate(zip(self.chunks, self.columns, strict=True))
        }
        return {
            **chunks,
            "ridge": {"weights": self.weights, "penalty": torch.tensor(self.penalty, dtype=torch.float64)},
        }

    @classmethod
    def from_parts(cls, parts: dict[str, dict[str, Tensor]], device: torch.device | str, clips: int = 0) -> "Ridge":
        """Restores a ridge from `parts()`; other parts are ignored."""
        ridge = cls(len(parts["ridge"]["weights"]), device, clips)
        ridge.weights = parts["ridge"]["weights"].to(device)
        ridge.penalty = float(parts["ridge"]["penalty"])
        while (name := f"ridge-{len(ridge.chunks)}") in parts:
            ridge.columns.append(parts[name]["columns"].to(device))
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
            self.columns = [torch.full((len(triangle),), -1, device=triangle.device)]

    def _stacked(self, classes: int) -> tuple[Tensor, Tensor]:
        """R `[r, M]` and Z `[r, classes]`."""
        if not self.chunks:  # every class was removed
            empty = torch.zeros(0, self.dim, dtype=torch.float64, device=self.weights.device)
            return empty, empty.new_zeros(0, classes)
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
    if not len(values):
        return values, vectors
    nonzero = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    return values[nonzero], vectors[:, nonzero]


def _subtract(rows: Tensor, targets: Tensor, clips: Tensor, column: int, alone: int) -> tuple[Tensor, Tensor]:
    """R and Z without clips of one class.

    Args:
        rows: R, `[r, M]`.
        targets: Z, `[r, classes]`.
        clips: of the class, `[clips, M]`.
        column: of the class; it becomes 0.
        alone: number of the last clips that are not in R.
    """
    clips = clips[: len(clips) - alone]
    products = rows.T @ targets
    products[:, column] = 0
    values, vectors = torch.linalg.eigh(rows.T @ rows - clips.T @ clips)
    nonzero = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    roots, vectors = values[nonzero].sqrt(), vectors[:, nonzero]
    return roots[:, None] * vectors.T, (vectors.T @ products) / roots[:, None]
