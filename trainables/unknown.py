"""Clips of classes still to come, scored by a chain that does not know them yet: sounds that are unknown to it.

After session t these are the test clips of the classes that the next session brings, so that over a chain each class is
unknown once. The embeddings of a group of clips are shared, and the next session reads them in any case: scoring costs
one group a class, where the clips of all later classes would take as long as those of all earlier ones.

What such a clip gets depends on the stage and on these clips only. It is no part of the stage, whose address does not
depend on the classes that follow; it is stored beside the embeddings, under the address of both:

    STORE/features/ab/ADDRESS.npy   `[clips, heads, 3]`, float64: predicted label, highest score, second highest
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.records import UNKNOWN
from trainables.scoring import shortened
from trainables.store.layout import address_of

SCHEMA_VERSION = 1


class NotScoredError(Exception):
    """The scores are not stored and cannot be computed: without the weights, or because one is not finite."""


KEPT = 2
"""Scores of a clip that are kept: the highest ones."""


def classes_to_come(sessions: Sequence[Session], index: int) -> tuple[ClassClips, ...]:
    """The classes of the first session after `index` that brings any; none if no session does."""
    return next((session.classes for session in sessions[index + 1 :] if session.classes), ())


def unknown_address(stage: str, classes: Sequence[ClassClips]) -> str:
    """The address of what the clips of some classes get.

    Args:
        stage: address of the stage that scores them.
        classes: that the stage does not know.
    """
    clips = [[clips.label, clips.query] for clips in classes]
    return address_of({"kind": "unknown", "schema": SCHEMA_VERSION, "stage": stage, "clips": clips})


def best_scores(scores: dict[str, Tensor], classes: Sequence[int]) -> np.ndarray:
    """The predicted label and the highest scores of clips.

    Args:
        scores: head to `[clips, classes]`, finite.
        classes: the label of each column.

    Returns:
        `[clips, heads, 1 + KEPT]`, float64; NaN for a second score where there is one class.
    """
    labels = torch.tensor(list(classes), dtype=torch.float64)
    heads = []
    for values in scores.values():
        best = values.double().cpu().topk(min(KEPT, values.shape[1]), dim=1).values
        missing = torch.full((len(best), KEPT - best.shape[1]), float("nan"), dtype=torch.float64)
        heads.append(torch.cat([labels[values.argmax(dim=1).cpu()][:, None], best, missing], dim=1))
    return torch.stack(heads, dim=1).numpy()


def unknown_table(
    values: np.ndarray, classes: Sequence[ClassClips], heads: Sequence[str], ids: Sequence[str]
) -> pa.Table:
    """What the clips of classes still to come get, as a table of `trainables.records.UNKNOWN`, class by class.

    Args:
        values: from `best_scores`.
        classes: of the clips.
        heads: names of the heads.
        ids: of the clips.
    """
    labels = [clips.label for clips in classes for _ in clips.query]
    columns = {
        "clip_id": [clip for clip in ids for _ in heads],
        "label": [label for label in labels for _ in heads],
        "head": [head for _ in ids for head in heads],
        "prediction": values[:, :, 0].astype(np.int32).ravel(),
        "top_scores": [
            [float(score) for score in row if not np.isnan(score)]
            for row in shortened(torch.tensor(values[:, :, 1:].reshape(-1, KEPT)))
        ],
    }
    return pa.table(columns, schema=UNKNOWN)
