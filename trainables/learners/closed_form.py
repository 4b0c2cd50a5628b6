"""Base of methods that solve a classifier from statistics of the frozen embedding: nothing is trained.

A session takes a fraction of a second, so a sweep of such methods runs in one process (docs/performance.md), and all
clips of a session are scored together: a product with few rows takes about as long as one with many.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from trainables.learners.features import FeatureRequest
from trainables.learners.learner import Learner

CLIPS = 256  # scored at a time: more, and their random features no longer fit into the cache


class ClosedForm(Learner):
    """Reads `features.pooled` and nothing else of a clip."""

    closed_form: ClassVar[bool] = True

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    @abstractmethod
    def classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        """Scores of clips from their embeddings, `[clips, dim]`: see `score`."""

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return self._classify(self.features.pooled(positions))

    def score_groups(self, groups: Sequence[tuple[int, ...]]) -> list[dict[str, Tensor]]:
        if not groups:
            return []
        scores = self._classify(torch.cat([self.features.pooled(group) for group in groups]))
        sizes = [len(group) for group in groups]
        heads = [values.split(sizes) for values in scores.values()]
        return [dict(zip(scores, own, strict=True)) for own in zip(*heads, strict=True)]

    def _classify(self, embeddings: Tensor) -> dict[str, Tensor]:
        parts = [self.classify(part) for part in embeddings.split(CLIPS)]
        return {head: torch.cat([part[head] for part in parts]) for head in parts[0]}
