"""Which clips of a class are remembered."""

import torch
from torch import Tensor


def herd(vectors: Tensor, count: int) -> list[int]:
    """Herding (Rebuffi et al. 2017, iCaRL, algorithm 4).

    p_k = argmin_x || mean - (x + p_1 + ... + p_{k-1}) / k ||, without choosing a clip twice.

    Args:
        vectors: `[clips, dim]`, L2-normalised by the caller where the method says so.
        count: how many to choose; all clips where there are fewer.

    Returns:
        Row numbers in the order of choice; the first of equals wins.
    """
    vectors = vectors.double()
    mean = vectors.mean(dim=0)
    total = torch.zeros_like(mean)
    free = torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)
    chosen: list[int] = []
    for k in range(1, min(count, len(vectors)) + 1):
        distance = torch.linalg.norm(mean - (vectors + total) / k, dim=1)
        index = int(torch.where(free, distance, torch.inf).argmin())
        chosen.append(index)
        free[index] = False
        total = total + vectors[index]
    return chosen
