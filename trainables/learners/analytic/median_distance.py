"""The median distance between clips, the width of a Gaussian kernel that is relative to the data."""

import torch
from torch import Tensor

MOST = 1000  # clips: more are thinned out evenly


def median_distance(embeddings: Tensor) -> float:
    """Median of the Euclidean distances between two clips that differ; 1 where all clips are the same.

    Args:
        embeddings: `[clips, dim]`.
    """
    chosen = embeddings.double()
    if len(chosen) > MOST:
        chosen = chosen[torch.linspace(0, len(chosen) - 1, MOST).long()]
    distances = torch.nn.functional.pdist(chosen)
    distances = distances[distances > 0]
    return float(distances.median()) if len(distances) else 1.0
