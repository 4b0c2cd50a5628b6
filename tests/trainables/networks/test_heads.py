"""Heads compared with values computed by hand."""

import math

import pytest
import torch
from torch import nn

from trainables.networks.heads import (
    align_weights,
    class_means,
    cosine_scores,
    distance_scores,
    distillation,
    linear_head,
)


def test_class_means() -> None:
    embeddings = torch.tensor([[0.0, 2.0], [2.0, 0.0], [5.0, 5.0]])
    assert class_means(embeddings, [7, 7, 3], [3, 7]).tolist() == [[5.0, 5.0], [1.0, 1.0]]


def test_cosine_scores() -> None:
    scores = cosine_scores(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 2.0], [-4.0, 0.0]]))
    assert scores.tolist() == [[16.0, 0.0, -16.0]]


def test_distance_scores() -> None:
    assert distance_scores(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])).tolist() == [[-5.0]]


def test_an_extended_head_keeps_its_old_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    old = nn.Linear(2, 3)
    grown = linear_head(4, 5, generator, grown_from=old)
    assert torch.equal(grown.weight[:3, :2], old.weight)
    assert torch.equal(grown.bias[:3], old.bias)
    assert not grown.bias[3:].any()
    assert grown.weight[3:].abs().max() <= (3 / 4) ** 0.5
    assert grown.weight[3:].abs().min() > 0


def test_weight_aligning_scales_new_classes_to_the_mean_norm_of_old_ones() -> None:
    head = nn.Linear(2, 3)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]]))  # norms 5, 1 | 10
    bias = head.bias.clone()
    align_weights(head, 2)
    torch.testing.assert_close(head.weight, torch.tensor([[3.0, 4.0], [0.0, 1.0], [1.8, 2.4]]))  # norm 3
    assert torch.equal(head.bias, bias)


def test_distillation_by_hand() -> None:
    """T = 2: softmax([2 ln 3, 0] / 2) = [3/4, 1/4]; equal logits give log 1/2 for both."""
    teacher = torch.tensor([[2 * math.log(3.0), 0.0]])
    assert distillation(torch.zeros(1, 2), teacher, 2.0).item() == pytest.approx(math.log(2.0))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # the minimum
    assert distillation(teacher, teacher, 2.0).item() == pytest.approx(entropy, rel=1e-5)
