"""The objective: classify a clip by the nearest prototype of the sources' other clips."""

import torch
from torch import Tensor, nn


class Prototypes(nn.Module):
    """Classifies each clip by its cosine with the mean of every source's clips, excluding the clip itself.

    The generalised end-to-end loss of speaker verification (Wan et al. 2018, arXiv 1710.10467; softmax variant,
    equation 6, with the exclusive centroids of equation 8). The prototype classifier of a chain does the same with new
    classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))  # logarithm of the temperature's inverse

    def forward(self, embeddings: Tensor, sources: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy, and fraction of clips that are classified correctly.

        Args:
            embeddings: `[sources * clips, width]`, the clips of a source in a row, at least two.
            sources: number of sources.
        """
        clips = embeddings.unflatten(0, (sources, -1))
        count = clips.shape[1]
        total = clips.sum(1)
        rows = nn.functional.normalize(embeddings, dim=1)
        scores = rows @ nn.functional.normalize(total, dim=1).T
        own = (rows * nn.functional.normalize((total[:, None] - clips).flatten(0, 1), dim=1)).sum(1)
        labels = torch.arange(sources, device=embeddings.device).repeat_interleave(count)
        scores = torch.where(nn.functional.one_hot(labels, sources).bool(), own[:, None], scores)
        logits = scores * self.scale.exp().clamp(max=100)
        return nn.functional.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()
