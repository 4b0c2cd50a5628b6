"""The held-out score: are the nearest clips those of the same source, for sources that training never hears?"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Retrieval:
    """Scores on held-out sources.

    Attributes:
        first: share of clips whose nearest other clip (cosine) is of the same source.
        precision: mean average precision of all other clips, ranked by cosine.
    """

    first: float
    precision: float


def score(embeddings: Tensor, sources: Tensor) -> Retrieval:
    """Retrieval among clips.

    Args:
        embeddings: `[clips, width]`.
        sources: the source of each clip, int64 `[clips]`; every source has two clips at least.
    """
    rows = nn.functional.normalize(embeddings.float(), dim=1)
    near = rows @ rows.T
    near.fill_diagonal_(-torch.inf)
    order = near.argsort(1, descending=True)[:, :-1]
    hits = (sources[order] == sources[:, None]).float()
    ranks = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    precision = ((hits.cumsum(1) / ranks) * hits).sum(1) / hits.sum(1)
    return Retrieval(float(hits[:, 0].mean()), float(precision.mean()))
