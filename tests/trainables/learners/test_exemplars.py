"""Herding, and the training clips of a session with rehearsal."""

import numpy as np
import torch

from tests.support.learning import sessions
from trainables.learners.exemplars import Exemplars, herd
from trainables.learners.features import Features


def test_herding_has_the_order_of_the_release(golden: dict[str, np.ndarray]) -> None:
    assert herd(torch.from_numpy(golden["herding_vectors"]), 5) == golden["herding_order"].tolist()


def test_herding_by_hand() -> None:
    """Mean of 0, 1, 2, 9 is 3: 2 is nearest; then (2 + x) / 2 nearest 3 is x = 1 (1.5) against 9 (5.5)."""
    vectors = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    assert herd(vectors, 1) == [2]
    assert herd(vectors, 2) == [2, 1]
    assert herd(vectors, 3) == [2, 1, 3]  # (2 + 1 + 9) / 3 = 4 is nearer 3 than (2 + 1 + 0) / 3 = 1


def test_herding_chooses_no_clip_twice_and_no_more_than_there_are() -> None:
    assert sorted(herd(torch.zeros(3, 2), 5)) == [0, 1, 2]


def test_exemplars_follow_the_support_and_survive_json(features: Features) -> None:
    base, second, _ = sessions(features)
    exemplars = Exemplars()
    assert exemplars.with_support(base) == ([base.support], list(base.support_labels))
    exemplars.add_from_support(base, torch.eye(6), 2)
    first = base.classes[0].support[:2] + base.classes[1].support[:2]  # of equals the first are chosen
    labels = [label for label in base.labels for _ in range(2)]
    assert exemplars.groups == [first]
    assert exemplars.with_support(second) == ([second.support, first], [*second.support_labels, *labels])
    assert Exemplars.from_notes(exemplars.notes()).with_support(second) == exemplars.with_support(second)
