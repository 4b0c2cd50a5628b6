"""The objective: which source made this clip, by the nearest prototype of the other clips."""

import torch
from torch import Tensor, nn


class Prototypes(nn.Module):
    """Each clip is classified by cosine against the mean of every source's clips, itself left out.

    The generalised end-to-end loss of speaker verification (Wan et al. 2018, arXiv 1710.10467; softmax variant,
    equation 6, with the exclusive centroids of equation 8). A chain's prototype classifier does the same with
    embeddings of new classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))  # logarithm

    def forward(self, embeddings: Tensor, sources: int) -> tuple[Tensor, Tensor]:
        """Cross-entropy and share of clips that are classified right.

        Args:
            embeddings: `[sources * clips, width]`, the clips of a source one after the other, two at least.
            sources: how many there are.
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
