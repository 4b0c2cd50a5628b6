"""From embeddings to class scores."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

COSINE_SCALE = 16.0  # of the released EDE; it changes scores, not predictions


def class_means(embeddings: Tensor, labels: Sequence[int], classes: Sequence[int]) -> Tensor:
    """Prototypes: the mean embedding of each class (Snell et al. 2017, eq. 1).

    Args:
        embeddings: `[clips, dim]`.
        labels: of the clips.
        classes: the order of the rows of the result.

    Returns:
        `[classes, dim]`.
    """
    index = torch.tensor(labels)
    return torch.stack([embeddings[index == label].mean(dim=0) for label in classes])


def cosine_scores(embeddings: Tensor, prototypes: Tensor) -> Tensor:
    """16 cos(e, p): `[clips, dim]` and `[classes, dim]` to `[clips, classes]`."""
    normalised = nn.functional.normalize(embeddings, dim=1)
    return COSINE_SCALE * normalised @ nn.functional.normalize(prototypes, dim=1).T


def distance_scores(embeddings: Tensor, means: Tensor) -> Tensor:
    """Negative Euclidean distance: `[clips, dim]` and `[classes, dim]` to `[clips, classes]`."""
    return -torch.cdist(embeddings, means, compute_mode="donot_use_mm_for_euclid_dist")


def linear_head(
    inputs: int, outputs: int, generator: torch.Generator, grown_from: nn.Linear | None = None
) -> nn.Linear:
    """A linear head; where it grows from an old one, the old block of weights is kept and the rest is new.

    Weights are uniform with variance 1 / inputs, biases 0 (as in PyCIL, on which the released EDE is built).

    Args:
        inputs: size of the embedding.
        outputs: number of classes seen so far.
        generator: draws the new weights.
        grown_from: the head over the first of these inputs and classes.
    """
    head = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = math.sqrt(3.0 / inputs)
    with torch.no_grad():
        head.weight.uniform_(-bound, bound, generator=generator)
        head.bias.zero_()
        if grown_from is not None:
            head.weight[: grown_from.out_features, : grown_from.in_features] = grown_from.weight
            head.bias[: grown_from.out_features] = grown_from.bias
    return head
