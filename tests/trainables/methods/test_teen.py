"""TEEN: the calibration, and that nothing else changes after the base session."""

import math
from typing import Any

import torch
from torch import nn

from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.teen import TEEN, TEENSettings, calibrated
from trainables.networks.classifier import trainable
from trainables.networks.heads import linear_head
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> TEEN:
    return trained(TEEN(TEENSettings.model_validate({"base_epochs": 2, **settings}), features), count)


def test_calibration_by_hand() -> None:
    """cos = 0.6 and 0.8; tau = 5 log 3 makes the second weight three times the first: 1/4 and 3/4."""
    new, base = torch.tensor([[6.0, 8.0]]), torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    moved = calibrated(new, base, alpha=0.5, tau=5 * math.log(3))
    torch.testing.assert_close(moved, torch.tensor([[0.5 * 6 + 0.5 * 0.5, 0.5 * 8 + 0.5 * 3]]))
    assert torch.equal(calibrated(new, base, alpha=1.0, tau=16.0), new)
    torch.testing.assert_close(calibrated(new, base, alpha=0.0, tau=1e4), base[1:])


def test_one_step_of_the_base_session_follows_its_loss(features: Features) -> None:
    """CE over 16 cos(phi(x), w_c)."""
    base = sessions(features)[0]
    network = trainable(features.backbone)
    head = linear_head(network.dim, 2, generator(0))
    embedded = network.embed(features.inputs(base.support)[:])
    logits = 16 * nn.functional.cosine_similarity(embedded[:, None], head.weight[None], dim=2)
    nn.functional.cross_entropy(logits, torch.tensor([0, 0, 0, 1, 1, 1])).backward()
    bias = network.ast.layernorm.bias
    assert bias.grad is not None
    expected = bias.detach() - 0.1 * bias.grad

    learner = learned(features, 1, base_epochs=1, base_lr=0.1, base_weight_decay=0.0)
    torch.testing.assert_close(learner.network.ast.layernorm.bias, expected, atol=1e-6, rtol=1e-4)


def test_only_new_prototypes_are_calibrated(features: Features) -> None:
    learner = learned(features, 3)
    first, second = learner.score((1, 20, 33)).values()
    assert torch.equal(first[:, :2], second[:, :2])
    assert not torch.isclose(first[:, 2:], second[:, 2:]).all()


def test_prototypes_are_means_of_the_trained_embedding(features: Features) -> None:
    learner = learned(features, 2)
    network = learner.network
    for session in sessions(features)[:2]:
        for of_class in session.classes:
            with torch.inference_mode():
                expected = network.embed(features.inputs(of_class.support)[:]).mean(dim=0)
            row = learner.prototypes[learner.classes.index(of_class.label)]
            torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)
    query = sessions(features)[0].classes[0].query
    expected = 16 * nn.functional.cosine_similarity(learner.embed(query)[:, None], learner.prototypes[None], dim=2)
    torch.testing.assert_close(learner.score(query)["uncalibrated"], expected, atol=1e-4, rtol=1e-4)


def test_the_base_session_trains_a_copy_and_later_ones_train_nothing(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1)
    digest, prototypes = weights_digest(learner.network), learner.prototypes.clone()
    assert digest != pretrained
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(learner.network) == digest
    assert weights_digest(features.backbone) == pretrained
    assert torch.equal(learner.prototypes[:2], prototypes)


def test_without_training_the_embedding_is_that_of_p(features: Features) -> None:
    learner = learned(features, 1, base_epochs=0)
    assert torch.equal(learner.embed((1, 20)), features.pooled((1, 20)))


def test_training_separates_the_base_classes(features: Features) -> None:
    (base, *_) = sessions(features)

    def loss(epochs: int) -> float:
        learner = learned(features, 1, base_epochs=epochs, base_lr=0.003, base_milestones=())
        columns = torch.tensor([learner.classes.index(label) for label in base.support_labels])
        return float(nn.functional.cross_entropy(learner.score(base.support)["prototype"], columns))

    assert loss(150) < 0.5 * loss(0)


def test_milestones_multiply_the_learning_rate_by_gamma() -> None:
    schedule = TEENSettings().base_schedule()
    assert [schedule.lr_after(epoch) for epoch in (0, 50, 100)] == [4e-3, 1e-3, 2.5e-4]


def test_number_of_stored_values(features: Features) -> None:
    backbone = size(features.backbone)
    assert learned(features, 2).parameter_counts() == (backbone + 4 * DIM,) * 2
