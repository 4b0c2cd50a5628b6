"""Base of transductive methods, which see the clips that are scored together as one batch.

    e       = embed(clips)            of each clip alone
    scores  = score_batch(e)          of each clip, given those of all others

What `score_batch` gets are embeddings: no labels, and no groups. A chain scores the query clips of a session as one
batch and its validation clips as another. Such a method uses more than a method that classifies one clip at a time, so
tables, reports and comparisons keep the two tracks apart.
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.learners.learner import Learner

_ORDER_SEED = 0  # of the order of the rows of a batch


class TransductiveLearner(Learner):
    """A method whose scores of a clip depend on the other clips of its batch; it declares `transductive = True`."""

    @abstractmethod
    def embed(self, positions: tuple[int, ...]) -> Tensor:
        """What the method reads of clips, of each alone: `[clips, dim]`, float32."""

    @abstractmethod
    def score_batch(self, embeddings: Tensor) -> dict[str, Tensor]:
        """Scores of the clips of one batch from every head, as `score`.

        Args:
            embeddings: from `embed`, `[clips, dim]`. The order of the rows must not matter.
        """

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        """Scores of clips that are a batch of their own."""
        return self.score_batch(self.embed(positions))

    def score_groups(self, groups: Sequence[tuple[int, ...]]) -> list[dict[str, Tensor]]:
        """Scores of groups of clips, all of them one batch, in an order that says nothing about the groups."""
        if not groups:
            return []
        embeddings = torch.cat([self.embed(group) for group in groups])
        order = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(_ORDER_SEED))
        back = torch.argsort(order)
        scores = {head: values[back] for head, values in self.score_batch(embeddings[order]).items()}
        lengths = [len(group) for group in groups]
        parts = {head: values.split(lengths) for head, values in scores.items()}
        return [{head: values[index] for head, values in parts.items()} for index in range(len(groups))]
