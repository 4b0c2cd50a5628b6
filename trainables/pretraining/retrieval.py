"""The held-out score: retrieval of clips from the same source, for sources that are not used in training."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Retrieval:
    """Scores on held-out sources.

    Attributes:
        first: fraction of clips whose nearest other clip (cosine) is from the same source.
        precision: mean average precision of all other clips, ranked by cosine.
    """

    first: float
    precision: float


def score(embeddings: Tensor, sources: Tensor) -> Retrieval:
    """Retrieval among clips.

    Args:
        embeddings: `[clips, width]`.
        sources: the source of each clip, int64 `[clips]`; every source has at least two clips.
    """
    rows = nn.functional.normalize(embeddings.float(), dim=1)
    similarity = rows @ rows.T
    similarity.fill_diagonal_(-torch.inf)
    order = similarity.argsort(1, descending=True)[:, :-1]
    hits = (sources[order] == sources[:, None]).float()
    ranks = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = ((hits.cumsum(1) / ranks) * hits).sum(1) / hits.sum(1)
    return Retrieval(float(hits[:, 0].mean()), float(precision.mean()))
