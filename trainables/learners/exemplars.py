"""Exemplars: the clips of old classes that a method rehearses, chosen by herding."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.networks.heads import class_means

Group = tuple[int, ...]


class Exemplars:
    """The clips that a learner rehearses, in one group per session: what is stored about a group stays shared.

    Attributes:
        groups: positions of the exemplars, session by session.
        group_labels: their labels.
    """

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.group_labels: list[Group] = []

    @property
    def labels(self) -> list[int]:
        """The label of every exemplar, in the order of the groups."""
        return [label for group in self.group_labels for label in group]

    def with_support(self, session: Session) -> tuple[list[Group], list[int]]:
        """The training clips of a session with rehearsal: its support, then the exemplars.

        Returns:
            Groups of positions, and the label of every clip in the order of the groups.
        """
        return [session.support, *self.groups], [*session.support_labels, *self.labels]

    def add(self, session: Session, pools: Sequence[Group], vectors: Sequence[Tensor], count: int) -> None:
        """Herds exemplars of the session's new classes.

        Args:
            session: with the new classes.
            pools: the candidate clips of each class.
            vectors: per class, `[clips of its pool, dim]`, normalised by the caller where the method requires it.
            count: exemplars of a class.
        """
        positions: list[int] = []
        labels: list[int] = []
        for clips_of_class, pool, candidates in zip(session.classes, pools, vectors, strict=True):
            chosen = [pool[index] for index in herd(candidates, count)]
            positions += chosen
            labels += [clips_of_class.label] * len(chosen)
        self.groups.append(tuple(positions))
        self.group_labels.append(tuple(labels))

    def add_from_support(self, session: Session, embeddings: Tensor, count: int) -> None:
        """Herds exemplars of the session's new classes from their support.

        Args:
            session: with the new classes.
            embeddings: of its support, `[clips, dim]`; normalised here.
            count: exemplars of a class.
        """
        pools = [clips_of_class.support for clips_of_class in session.classes]
        vectors = nn.functional.normalize(embeddings, dim=1).split([len(pool) for pool in pools])
        self.add(session, pools, vectors, count)

    def means(self, embeddings: Tensor, classes: Sequence[int]) -> Tensor:
        """Exemplar means: L2-normalised means of L2-normalised embeddings, `[classes, dim]`.

        Args:
            embeddings: of the exemplars, in the order of the groups, `[clips, dim]`.
            classes: the order of the rows of the result.
        """
        means = class_means(nn.functional.normalize(embeddings, dim=1), self.labels, classes)
        return nn.functional.normalize(means, dim=1)

    def notes(self) -> dict[str, Any]:
        """The exemplars in JSON types."""
        return {"groups": list(self.groups), "labels": list(self.group_labels)}

    @classmethod
    def from_notes(cls, notes: dict[str, Any]) -> "Exemplars":
        """Restores exemplars from `notes()`."""
        exemplars = cls()
        exemplars.groups = [tuple(group) for group in notes["groups"]]
        exemplars.group_labels = [tuple(group) for group in notes["labels"]]
        return exemplars


def herd(vectors: Tensor, count: int) -> list[int]:
    """Herding (Rebuffi et al. 2017, iCaRL, algorithm 4).

    p_k = argmin_x || mean - (x + p_1 + ... + p_{k-1}) / k ||, without choosing a clip twice.

    Args:
        vectors: `[clips, dim]`, L2-normalised by the caller where the method requires it.
        count: how many to choose; all clips if there are fewer.

    Returns:
        Row numbers in the order of choice; the first of equals is chosen.
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
