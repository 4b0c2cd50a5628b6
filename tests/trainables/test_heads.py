"""Heads by hand."""

import torch
from torch import nn

from trainables.heads import class_means, cosine_scores, distance_scores, linear_head


def test_class_means() -> None:
    embeddings = torch.tensor([[0.0, 2.0], [2.0, 0.0], [5.0, 5.0]])
    assert class_means(embeddings, [7, 7, 3], [3, 7]).tolist() == [[5.0, 5.0], [1.0, 1.0]]


def test_cosine_scores() -> None:
    scores = cosine_scores(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0], [-4.0, 0.0]]))
    assert scores.tolist() == [[16.0, 0.0, -16.0]]


def test_distance_scores() -> None:
    assert distance_scores(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])).tolist() == [[-5.0]]


def test_a_grown_head_keeps_its_old_block() -> None:
    generator = torch.Generator().manual_seed(0)
    old = nn.Linear(2, 3)
    grown = linear_head(4, 5, generator, grown_from=old)
    assert torch.equal(grown.weight[:3, :2], old.weight)
    assert torch.equal(grown.bias[:3], old.bias)
    assert not grown.bias[3:].any()
    assert grown.weight[3:].abs().max() <= (3 / 4) ** 0.5
    assert grown.weight[3:].abs().min() > 0
