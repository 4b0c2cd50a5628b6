"""Checks of a chain: embeddings before a session learns from them, scores before they are published."""

from collections.abc import Sequence

import torch
from torch import Tensor

from datasets.benchmark.protocol import Session
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.learners.features import Features
from trainables.learners.learner import Learner


def check_embeddings(features: Features, clip_ids: Sequence[str], session: Session) -> None:
    """Checks that the clips of a session have finite embeddings, as statistics of one that is not are worthless.

    Args:
        features: of the chain.
        clip_ids: by position.
        session: whose clips are checked.

    Raises:
        EarshotError: an embedding is not finite; names the clip.
    """
    groups = [group for clips in session.classes for group in (clips.validation, clips.query)]
    for positions in filter(None, (session.support, *groups)):
        infinite = (~torch.isfinite(features.pooled(positions)).all(dim=1)).nonzero().flatten().tolist()
        if infinite:
            clip = printable(clip_ids[positions[infinite[0]]])
            raise EarshotError(
                f"session {session.index}: clip '{clip}': expected a finite embedding, found NaN or infinity "
                f"({len(infinite)} of {len(positions)} clips); remove such clips, or use another --backbone"
            )


def check_scores(scores: dict[str, Tensor], learner: Learner, clips: int, session: int) -> None:
    """Checks that scores are complete and finite: an argmax over NaN would be published as a prediction.

    Args:
        scores: of every head, `[clips, classes]`.
        learner: that scored.
        clips: number of clips.
        session: its index, for the message.

    Raises:
        EarshotError: a head or a class has no scores, or a score is not finite.
    """
    if tuple(scores) != learner.heads:
        raise EarshotError(
            f"method {learner.name}: score: expected the heads {', '.join(learner.heads)}, found {', '.join(scores)}"
        )
    for head, values in scores.items():
        if tuple(values.shape) != (clips, len(learner.classes)):
            raise EarshotError(
                f"method {learner.name}: score: head '{head}': expected [{clips} clips, {len(learner.classes)} classes "
                f"seen], found {list(values.shape)}"
            )
        if not torch.isfinite(values).all():
            raise EarshotError(
                f"session {session}: head '{head}' gives scores that are not finite: training diverged; "
                "lower the learning rate"
            )
