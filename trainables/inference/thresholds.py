"""Thresholds of an exported model: a sound whose unknown score is below that of its head is of none of the classes."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from trainables.inference.description import HeadThreshold, Thresholds
from trainables.unknown_score import unknown_score


def choose_thresholds(
    known: Mapping[str, Tensor], others: Mapping[str, Tensor], keep: float, classes: int
) -> Thresholds | None:
    """Chooses for every head the highest threshold that keeps a fraction of the validation clips of known classes.

    Clips of other classes are not used to choose, only to say how many of them the threshold rejects: the sounds that a
    model meets later are others again.

    Args:
        known: `[clips, classes]` by head: scores of validation clips of the classes that the model knows.
        others: the same for clips of classes that it does not know; there may be none.
        keep: fraction of the known clips that is kept, at least; above 0, at most 1.
        classes: number of classes of the others.

    Returns:
        None without clips of known classes.
    """
    count = len(next(iter(known.values())))
    if not count:
        return None
    other_count = len(next(iter(others.values()), torch.empty(0)))
    return Thresholds(
        keep=keep,
        clips=count,
        other_clips=other_count,
        other_classes=classes,
        heads={head: _threshold(scores, others.get(head), keep) for head, scores in known.items()},
    )


def _threshold(known: Tensor, others: Tensor | None, keep: float) -> HeadThreshold:
    scores = unknown_score(known).sort().values
    rejected = math.floor((1 - keep) * len(scores) + 1e-9)  # clips that may be below
    value = float(scores[min(rejected, len(scores) - 1)])
    others_rejected = (
        round(float((unknown_score(others) < value).double().mean()), 6) if others is not None and len(others) else None
    )
    return HeadThreshold(
        value=value,
        kept=round(float((scores >= value).double().mean()), 6),
        rejected=others_rejected,
    )
