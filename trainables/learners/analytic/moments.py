"""Count and mean of every class, and the scatter within classes, as sums over clips.

    n_c     mu_c = sum_n x_n / n_c      S_c = sum_n (x_n - mu_c) (x_n - mu_c)^T      n: the clips of class c

S = sum_c S_c is stored as a factor C with C^T C = S. As long as there are few, a row of C is x_n - mu_c of one clip, so
few-shot sessions cost little in high dimensions, the scatter of a class is known alone, a class is forgotten by
dropping its rows, and clips can be left out in turn. Above a limit a QR decomposition replaces rows by as many as there
are dimensions: of one class, or of all of them together. All in float64.
"""

from collections.abc import Callable

import torch
from torch import Tensor

CLIPS = 4096  # rows up to which none are replaced
SLACK = 1.1  # times the dimensions: the limit, if that is more
MERGED = -1  # in place of a label: rows of several classes


class Moments:
    """Statistics of the classes so far, in the order in which they came.

    Args:
        dim: of the vectors.
        device: of all tensors.
        together: whether classes may share rows; otherwise each has rows of its own, at most as many as dimensions.

    Attributes:
        labels: of the classes.
        counts: n_c, `[classes]`.
        means: mu_c, `[classes, dim]`.
        chunks: pairs of rows of C, `[rows, dim]`, and the label of each row, `[rows]`: c if it is of one clip of class
            c, -2 - c if it is of class c and no single clip, -1 if it is of several classes.
    """

    def __init__(self, dim: int, device: torch.device | str, *, together: bool = True) -> None:
        self.dim = dim
        self.together = together
        self.labels: list[int] = []
        self.counts = torch.zeros(0, dtype=torch.float64, device=device)
        self.means = torch.zeros(0, dim, dtype=torch.float64, device=device)
        self.chunks: list[tuple[Tensor, Tensor]] = []

    def add(self, label: int, vectors: Tensor) -> None:
        """Adds a new class with all its clips, `[clips, dim]`."""
        vectors = vectors.double()
        mean = vectors.mean(dim=0)
        self.labels.append(label)
        self.counts = torch.cat([self.counts, self.counts.new_tensor([len(vectors)])])
        self.means = torch.cat([self.means, mean[None]])
        rows, own = vectors - mean, label
        if not self.together and len(rows) > self.dim:
            rows, own = torch.linalg.qr(rows, mode="r").R, -2 - label
        self.chunks.append((rows, torch.full((len(rows),), own, device=rows.device)))
        if self.together and sum(len(rows) for rows, _ in self.chunks) > max(CLIPS, int(SLACK * self.dim)):
            triangle = torch.linalg.qr(torch.cat([rows for rows, _ in self.chunks]), mode="r").R
            self.chunks = [(triangle, torch.full((len(triangle),), MERGED, device=triangle.device))]

    def remove(self, label: int, embed: Callable[[], Tensor]) -> None:
        """Forgets a class exactly, as if it had never been added.

        Args:
            label: of the class.
            embed: its vectors, `[clips, dim]`; called only where its rows have been replaced together with others.
        """
        index = self.labels.index(label)
        alone = any(bool((own == label).any() or (own == -2 - label).any()) for _, own in self.chunks)
        if not alone:
            vectors = embed().double()
            merged, own = self.chunks[0]
            centred = vectors - self.means[index]
            values, axes = torch.linalg.eigh(merged.T @ merged - centred.T @ centred)
            rows = values.clamp_min(0).sqrt()[:, None] * axes.T
            self.chunks[0] = (rows, own.new_full((len(rows),), MERGED))
        kept = [(own != label) & (own != -2 - label) for _, own in self.chunks]
        chunks = [(rows[keep], own[keep]) for (rows, own), keep in zip(self.chunks, kept, strict=True)]
        self.chunks = [chunk for chunk in chunks if len(chunk[0])]
        others = [i for i in range(len(self.labels)) if i != index]
        self.counts, self.means = self.counts[others], self.means[others]
        del self.labels[index]

    def factor(self) -> tuple[Tensor, Tensor]:
        """C, `[rows, dim]`, and the label of each row (see `chunks`)."""
        if not self.chunks:
            return self.means.new_zeros(0, self.dim), torch.zeros(0, dtype=torch.int64, device=self.means.device)
        return torch.cat([rows for rows, _ in self.chunks]), torch.cat([own for _, own in self.chunks])

    def factor_of(self, label: int) -> Tensor:
        """C_c with C_c^T C_c = S_c, of a class that has rows of its own: `[rows, dim]`."""
        chosen = [rows for rows, own in self.chunks if len(own) and int(own[0]) in (label, -2 - label)]
        return torch.cat(chosen) if chosen else self.means.new_zeros(0, self.dim)

    def factors(self) -> dict[int, Tensor]:
        """`factor_of` of all classes that have rows of their own, by label, in one pass."""
        chunks: dict[int, list[Tensor]] = {}
        for rows, own in self.chunks:
            first = int(own[0]) if len(own) else MERGED
            if first != MERGED:
                chunks.setdefault(first if first >= 0 else -2 - first, []).append(rows)
        return {label: torch.cat(rows) if len(rows) > 1 else rows[0] for label, rows in chunks.items()}

    def parts(self, name: str) -> dict[str, dict[str, Tensor]]:
        """The statistics as parts of a state, whose names begin with `name`; a chunk's part does not change."""
        chunks = {f"{name}-{i}": {"rows": rows, "labels": own} for i, (rows, own) in enumerate(self.chunks)}
        labels = torch.tensor(self.labels, dtype=torch.int64)
        return {**chunks, name: {"labels": labels, "counts": self.counts, "means": self.means}}

    def load(self, parts: dict[str, dict[str, Tensor]], name: str) -> None:
        """Restores the statistics from `parts`."""
        device = self.means.device
        self.labels = parts[name]["labels"].tolist()
        self.counts, self.means = (parts[name][key].to(device) for key in ("counts", "means"))
        self.chunks = []
        while (part := f"{name}-{len(self.chunks)}") in parts:
            self.chunks.append((parts[part]["rows"].to(device), parts[part]["labels"].to(device)))

    def count_values(self) -> int:
        """Number of values stored."""
        return self.counts.numel() + self.means.numel() + sum(rows.numel() for rows, _ in self.chunks)
