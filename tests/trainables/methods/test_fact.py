"""FACT: the losses with virtual classes, the score with virtual prototypes, frozen parts."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from datasets.utils.errors import EarshotError
from tests.support.learning import DIM, PROTOCOL, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.fact import (
    FACT,
    FACTSettings,
    beta,
    forecast_loss,
    masked,
    virtual_loss,
    virtual_scores,
)
from trainables.methods.registry import check_protocol
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> FACT:
    return trained(
        FACT(FACTSettings.model_validate({"base_epochs": 2, "virtual_classes": 4, **settings}), features), count
    )


def cross_entropy(logits: list[float], target: float) -> torch.Tensor:
    return torch.tensor(logits).exp().sum().log() - target


def test_losses_by_hand() -> None:
    """Two base classes (3, 1), two virtual ones (0, 2)."""
    logits = torch.tensor([[3.0, 1.0, 0.0, 2.0]])
    # its class 0 is masked, the likeliest virtual class has logit 2
    torch.testing.assert_close(virtual_loss(logits, torch.tensor([0]), 2), cross_entropy([1.0, 0.0, 2.0], 2.0))
    # to the likeliest virtual class of all; then, without it, to the likeliest base class
    expected = cross_entropy([3.0, 1.0, 0.0, 2.0], 2.0) + cross_entropy([3.0, 1.0, 0.0], 3.0)
    torch.testing.assert_close(forecast_loss(logits, 2), expected)


def test_a_masked_class_has_no_probability_and_no_gradient() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0]], requires_grad=True)
    out = masked(logits, torch.tensor([0]))
    assert float(out.softmax(dim=1)[0, 0].detach()) == 0.0
    nn.functional.cross_entropy(out, torch.tensor([2])).backward()
    assert logits.grad is not None
    assert float(logits.grad[0, 0]) == 0.0


def test_virtual_scores_by_hand() -> None:
    virtual = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    prototypes = torch.tensor([[5.0, 0.0], [0.6, 0.8]])
    clip = torch.tensor([[3.0, 4.0]])  # cosines with the virtual ones: 0.6, 0.8, -0.6
    # prototypes' cosines with the virtual ones: (1, 0, -1) and (0.6, 0.8, -0.6)
    both = virtual_scores(clip, virtual, prototypes, 3)
    torch.testing.assert_close(both, torch.tensor([[0.6 + 0.6, 0.36 + 0.64 + 0.36]]))
    nearest = virtual_scores(clip, virtual, prototypes, 2)
    torch.testing.assert_close(nearest, torch.tensor([[0.6, 0.36 + 0.64]]))


def test_the_score_weighs_virtual_prototypes_from_session_1_on(features: Features) -> None:
    learner = learned(features, 1)
    clips = (1, 20, 33)
    scores = learner.score(clips)
    torch.testing.assert_close(scores["virtual"], scores["prototype"].softmax(dim=1))  # also with temperature 16
    learner.learn(sessions(features)[1], generator(1))
    scores = learner.score(clips)
    by_virtual = virtual_scores(learner.embed(clips), learner.virtual, learner.prototypes, 40)
    expected = 0.1 * by_virtual.softmax(dim=1) + 0.9 * scores["prototype"].softmax(dim=1)
    torch.testing.assert_close(scores["virtual"], expected)


def test_later_sessions_change_neither_network_nor_virtual_prototypes(features: Features) -> None:
    learner = learned(features, 1)
    network, virtual, prototypes = weights_digest(learner.network), learner.virtual, learner.prototypes
    assert network != weights_digest(features.backbone)
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(learner.network) == network
    assert torch.equal(learner.virtual, virtual)
    assert torch.equal(learner.prototypes[:2], prototypes)


def test_virtual_prototypes_start_orthogonal_and_learn_from_forecasts_only(features: Features) -> None:
    start = learned(features, 1, base_epochs=0).virtual
    torch.testing.assert_close(start @ start.T, torch.eye(4), atol=1e-5, rtol=0)
    unbalanced = learned(features, 1, base_balance=0.0, base_weight_decay=0.0).virtual
    assert torch.equal(unbalanced, start)
    balanced = learned(features, 1, base_balance=1.0, base_weight_decay=0.0).virtual
    assert not torch.equal(balanced, start)
    # batches of one clip cannot be mixed; L_v gives virtual prototypes no gradient
    unmixed = learned(features, 1, base_balance=1.0, base_weight_decay=0.0, batch_size=1).virtual
    assert torch.equal(unmixed, start)


def test_balance_changes_the_network(features: Features) -> None:
    with_virtual, without = (learned(features, 1, base_balance=balance) for balance in (1.0, 0.0))
    assert weights_digest(with_virtual.network) != weights_digest(without.network)


def test_mixing_ratio_is_drawn_from_the_given_generator() -> None:
    draws = [beta(2.0, torch.Generator().manual_seed(seed)) for seed in range(200)]
    assert beta(2.0, generator(3)) == draws[3]
    assert all(0 < draw < 1 for draw in draws)
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.05)


def test_number_of_stored_values(features: Features) -> None:
    backbone = size(features.backbone)
    assert learned(features, 2).parameter_counts() == (backbone + (4 + 4) * DIM,) * 2


def test_one_base_class_is_rejected(features: Features) -> None:
    base, *later = sessions(features)
    one_class = replace(base, classes=base.classes[:1])
    with pytest.raises(EarshotError, match=r"needs at least 2 base classes \(clips of two classes are mixed\)"):
        check_protocol(FACT, FACTSettings(), PROTOCOL, [one_class, *later])
