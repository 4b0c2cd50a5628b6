"""The predictions of a session as a table: the class with the highest score, its probability, and the best classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainables.records import SCORED_PREDICTIONS
from trainables.temperature import fit_temperature

TOP = 5
"""Best classes of a clip whose scores are kept."""
_ROUNDED_BITS = 13  # of the 23 bits of a mantissa; the other 10 give three digits and take half the space


@dataclass(frozen=True)
class ScoredClips:
    """Clips of one class and split, with their scores.

    Attributes:
        split: `val` or `test`.
        label: of all of them.
        clip_ids: of each.
        scores: head to `[clips, classes seen so far]`, finite.
    """

    split: str
    label: int
    clip_ids: Sequence[str]
    scores: dict[str, Tensor]


def predictions_table(groups: Sequence[ScoredClips], classes: Sequence[int]) -> pa.Table:
    """Predictions of every head for all clips.

    The probability of a prediction is softmax(scores / T), where T is fitted for each head to the validation clips of
    the session (`trainables.temperature`); it is null if there are none.

    Args:
        groups: with the same heads.
        classes: the label of each column of the scores.

    Returns:
        A table of `trainables.records.SCORED_PREDICTIONS`, in the order of the groups.
    """
    temperatures = _temperatures(groups, classes)
    labels = np.array(classes, dtype=np.int32)
    columns: dict[str, list[Any]] = {name: [] for name in SCORED_PREDICTIONS.names}
    for group in groups:
        for head, scores in group.scores.items():
            temperature = temperatures.get(head)
            best, order = (it[:, :TOP].cpu() for it in scores.sort(dim=1, descending=True, stable=True))
            predicted = scores.argmax(dim=1).cpu()
            columns["split"] += [group.split] * len(scores)
            columns["clip_id"] += group.clip_ids
            columns["label"] += [group.label] * len(scores)
            columns["head"] += [head] * len(scores)
            columns["prediction"] += labels[predicted.numpy()].tolist()
            columns["confidence"] += (
                [None] * len(scores)
                if temperature is None
                else shortened((scores.double() / temperature).softmax(dim=1).amax(dim=1)).tolist()
            )
            columns["top_classes"] += labels[order.numpy()].tolist()
            columns["top_scores"] += shortened(best).tolist()
    return pa.table(columns, schema=SCORED_PREDICTIONS)


def _temperatures(groups: Sequence[ScoredClips], classes: Sequence[int]) -> dict[str, float]:
    """Head to its temperature; empty without validation clips."""
    validation = [group for group in groups if group.split == "val"]
    if not validation:
        return {}
    column = {label: index for index, label in enumerate(classes)}
    columns = torch.tensor([column[group.label] for group in validation for _ in group.clip_ids])
    return {
        head: fit_temperature(torch.cat([group.scores[head] for group in validation]).cpu(), columns)
        for head in validation[0].scores
    }


def shortened(values: Tensor) -> Any:
    """Finite values as float32, NumPy, with a mantissa rounded to 10 bits."""
    bits = values.float().cpu().numpy().view(np.int32)
    half = np.int32(1 << (_ROUNDED_BITS - 1))
    rounded = (bits + half) & ~np.int32((1 << _ROUNDED_BITS) - 1)
    return rounded.view(np.float32)
