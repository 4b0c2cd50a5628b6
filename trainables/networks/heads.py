"""Heads: class scores from embeddings."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

COSINE_SCALE = 16.0  # of the released EDE; affects scores, not predictions


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
    return scaled_cosines(embeddings, prototypes, COSINE_SCALE)


def scaled_cosines(embeddings: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    """temperature cos(e, p), in float32 even under autocast: `[clips, dim]`, `[classes, dim]` to `[clips, classes]`."""
    with torch.autocast(embeddings.device.type, enabled=False):
        normalised = nn.functional.normalize(embeddings.float(), dim=1)
        return temperature * normalised @ nn.functional.normalize(prototypes, dim=1).T


def distance_scores(embeddings: Tensor, means: Tensor) -> Tensor:
    """Negative Euclidean distance: `[clips, dim]` and `[classes, dim]` to `[clips, classes]`."""
    return -torch.cdist(embeddings, means, compute_mode="donot_use_mm_for_euclid_dist")


def linear_head(
    inputs: int, outputs: int, generator: torch.Generator, grown_from: nn.Linear | None = None
) -> nn.Linear:
    """A linear head; if it extends an old one, the old weights are copied.

    Weights are uniform with variance 1 / inputs, biases 0 (as in PyCIL, which the released EDE is based on).

    Args:
        inputs: size of the embedding.
        outputs: number of classes seen so far.
        generator: draws the new weights.
        grown_from: a head for the first of these inputs and classes.
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


def align_weights(head: nn.Linear, known: int) -> None:
    """Weight aligning (Zhao et al. 2020, arXiv 1911.07053, eq. 6-8): scales new weights to the mean norm of old ones.

    Args:
        head: changed in place.
        known: number of old classes, which come first.
    """
    with torch.no_grad():
        norms = head.weight.norm(dim=1)
        head.weight[known:] *= norms[:known].mean() / norms[known:].mean()


def distillation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy with a teacher's softened probabilities (Hinton et al. 2015, arXiv 1503.02531, eq. 1).

    Args:
        logits: `[clips, classes]`.
        teacher: `[clips, classes]`, fixed.
        temperature: T.

    Returns:
        Mean over clips of `- sum_c softmax(teacher / T)_c log softmax(logits / T)_c`.
    """
    soft = nn.functional.softmax(teacher / temperature, dim=1)
    return -(soft * nn.functional.log_softmax(logits / temperature, dim=1)).sum(dim=1).mean()
