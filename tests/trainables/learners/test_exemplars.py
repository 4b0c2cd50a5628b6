"""Herding."""

import numpy as np
import torch

from trainables.learners.exemplars import herd


def test_order_of_the_release(golden: dict[str, np.ndarray]) -> None:
    assert herd(torch.from_numpy(golden["herding_vectors"]), 5) == golden["herding_order"].tolist()


def test_by_hand() -> None:
    """Mean of 0, 1, 2, 9 is 3: 2 is nearest; then (2 + x) / 2 nearest 3 is x = 1 (1.5) against 9 (5.5)."""
    vectors = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    assert herd(vectors, 1) == [2]
    assert herd(vectors, 2) == [2, 1]
    assert herd(vectors, 3) == [2, 1, 3]  # (2 + 1 + 9) / 3 = 4 is nearer 3 than (2 + 1 + 0) / 3 = 1


def test_no_clip_twice_and_no_more_than_there_are() -> None:
    assert sorted(herd(torch.zeros(3, 2), 5)) == [0, 1, 2]
