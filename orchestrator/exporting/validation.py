"""What validation clips decide of an exported model: temperatures, and thresholds for sounds of unknown classes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datasets.benchmark.shards import Shards
from trainables.inference.calibration import calibrate
from trainables.inference.exported_model import ExportedModel
from trainables.inference.thresholds import choose_thresholds

BATCH = 256  # clips in memory at a time


@dataclass(frozen=True)
class ValidationClips:
    """Clips that neither training nor test uses, as positions in the benchmark.

    Attributes:
        shards: of the benchmark.
        known: of the classes that the model knows.
        others: of other classes.
    """

    shards: Shards
    known: tuple[int, ...]
    others: tuple[int, ...]

    def labels(self, positions: Sequence[int]) -> list[int]:
        """The class of each clip."""
        return [int(self.shards.table.labels[position]) for position in positions]


def other_clips(shards: Shards, known: Collection[int], each: int, count: int) -> tuple[int, ...]:
    """Clips of the val split of classes that a model does not know, about as many as it has of known ones.

    Args:
        shards: of the benchmark.
        known: labels that the model knows.
        each: clips of a class, at most.
        count: clips of all classes together; where there are more classes, one of each.
    """
    others = [label for label in range(len(shards.table.class_names)) if label not in known]
    each = min(each, max(1, count // max(1, len(others))))
    return tuple(int(clip) for label in others for clip in shards.select(labels=[label], splits=["val"])[:each])


def validated_fields(model: ExportedModel, clips: ValidationClips, keep: float) -> dict[str, Any]:
    """The fields of a description that validation clips decide.

    A transductive model has no threshold: its scores of a clip depend on the batch.

    Args:
        model: without them.
        clips: to score.
        keep: fraction of the clips of known classes that get a class.
    """
    known = _scores(model, clips.shards, clips.known)
    column = {entry.label: index for index, entry in enumerate(model.description.classes)}
    calibration = calibrate(known, [column[label] for label in clips.labels(clips.known)])
    if model.transductive:
        return {"calibration": calibration, "thresholds": None}
    others = _scores(model, clips.shards, clips.others)
    classes = len(set(clips.labels(clips.others)))
    return {"calibration": calibration, "thresholds": choose_thresholds(known, others, keep, classes)}


def _scores(model: ExportedModel, shards: Shards, positions: tuple[int, ...]) -> dict[str, Tensor]:
    """`[clips, classes]` by head."""
    if not positions:
        return {head: torch.empty(0, 1) for head in model.description.heads}
    firsts = range(0, len(positions), BATCH)
    return model.score_parts(shards.audio(positions[first : first + BATCH]) for first in firsts)
