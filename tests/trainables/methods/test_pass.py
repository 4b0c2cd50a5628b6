"""PASS: label augmentation, augmented prototypes, feature distillation."""

import importlib
from typing import Any

import pytest
import torch
from torch import nn

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from tests.support.learning import DIM, generator, sessions, size
from trainables.learners.features import Features
from trainables.methods.registry import check_protocol, find_method
from trainables.networks.classifier import Classifier
from trainables.networks.weights import weights_digest

module = importlib.import_module("trainables.methods.pass")  # an import statement cannot name a keyword
PASS = find_method("pass")
FLIPS: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))


def learned(features: Features, count: int, **settings: Any) -> Any:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    learner = PASS(PASS.Settings.model_validate(quick), features)
    for session in sessions(features)[:count]:
        learner.learn(session, generator(session.index))
    return learner


def test_radius_by_hand() -> None:
    """Covariance traces 2 and 8 in two dimensions: r^2 = (2 / 2 + 8 / 2) / 2."""
    first, second = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 4.0]])
    assert module.radius((first, second)).item() == pytest.approx(2.5**0.5)


def test_augmented_prototypes() -> None:
    prototypes = torch.tensor([[100.0] * 8, [200.0] * 8, [300.0] * 8])
    drawn, rows = module.draw_prototypes(prototypes, torch.tensor(2.0), 3000, generator(0))
    noise = drawn - prototypes[rows]
    assert noise.mean().abs() < 0.05
    assert noise.std().item() == pytest.approx(2.0, rel=0.02)
    assert torch.bincount(rows).tolist() == pytest.approx([1000] * 3, rel=0.1)
    undisturbed, rows = module.draw_prototypes(prototypes, torch.tensor(0.0), 5, generator(0))
    assert torch.equal(undisturbed, prototypes[rows])


def test_the_base_session_by_hand(features: Features) -> None:
    """Two steps of Adam on the mean over the four flips of CE(logits / 0.1, 4 y + k)."""
    (base, *_) = sessions(features)
    clips, labels = features.inputs(base.support)[:], torch.tensor([0, 0, 0, 1, 1, 1])
    network = Classifier(features.backbone, 8, generator(0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=2e-4)
    for _ in range(2):
        losses = [
            nn.functional.cross_entropy(network(clips.flip(axes)) / 0.1, 4 * labels + k) for k, axes in enumerate(FLIPS)
        ]
        optimiser.zero_grad()
        (sum(losses) / 4).backward()
        optimiser.step()
    head = learned(features, 1).network.head
    torch.testing.assert_close(head.weight, network.head.weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(head.bias, network.head.bias, atol=1e-5, rtol=1e-4)


def test_scores_are_the_columns_of_the_untransformed(features: Features) -> None:
    for transforms, count in (("flips", 4), ("none", 1)):
        learner = learned(features, 2, transforms=transforms)
        assert learner.network.head.out_features == 4 * count
        with torch.inference_mode():
            logits = learner.network(features.inputs((1, 20, 33))[:])
        expected = logits[:, [0, count, 2 * count, 3 * count]]
        torch.testing.assert_close(learner.score((1, 20, 33))["linear"], expected, atol=1e-5, rtol=1e-5)


def test_prototypes_are_support_means_and_do_not_change(features: Features) -> None:
    first, second = learned(features, 1), learned(features, 2)
    (base, *_) = sessions(features)
    with torch.inference_mode():
        embedded = first.network.embed(features.inputs(base.support)[:])
    torch.testing.assert_close(first.prototypes, embedded.reshape(2, 3, -1).mean(dim=1), atol=1e-5, rtol=1e-5)
    assert first.radius.item() == pytest.approx(embedded.reshape(2, 3, -1).var(dim=1).mean().item() ** 0.5, rel=1e-4)
    assert second.prototypes.shape == (4, 96)
    assert torch.equal(second.prototypes[:2], first.prototypes)
    assert torch.equal(second.radius, first.radius)


def test_feature_distillation_limits_the_change_of_f_and_prototypes_that_of_the_head(features: Features) -> None:
    """Change of f on the new support, and CE of the head on the old prototypes, compared with weights of 0."""
    (_, second, _) = sessions(features)
    inputs = features.inputs(second.support)[:]
    base = {"base_epochs": 20}  # the head must fit the base classes before it can forget them
    start = learned(features, 1, **base)

    def after(**settings: Any) -> tuple[float, float]:
        learner = learned(features, 2, incremental_epochs=15, **base, **settings)
        with torch.inference_mode():
            change = (learner.network.embed(inputs) - start.network.embed(inputs)).norm()
            logits = learner.network.head(learner.prototypes[:2]) / 0.1
            return float(change), float(nn.functional.cross_entropy(logits, torch.tensor([0, 4])))

    change, loss = after()
    change_without_distillation, _ = after(incremental_distillation_weight=0.0)
    _, loss_without_prototypes = after(incremental_prototype_weight=0.0)
    assert change < 0.5 * change_without_distillation
    assert loss < 0.5 * loss_without_prototypes


def test_p_is_copied_and_every_session_trains_the_copy(features: Features) -> None:
    digests = [weights_digest(features.backbone)]
    digests += [weights_digest(learned(features, count).network.backbone) for count in (1, 2)]
    assert len(set(digests)) == 3
    assert weights_digest(features.backbone) == digests[0]


def test_number_of_values_that_are_stored_and_used(features: Features) -> None:
    """Eight columns of 97 values, two prototypes of 96 and the radius; two columns are used to score."""
    backbone = size(features.backbone)
    stored = backbone + 8 * (DIM + 1) + 2 * DIM + 1
    assert learned(features, 1).parameter_counts() == (stored, backbone + 2 * (DIM + 1))


def test_it_needs_no_exemplars_and_two_shots(features: Features) -> None:
    settings = PASS.Settings()
    forbidding = Protocol(base=2, way=2, shot=2, exemplars=0)
    check_protocol(PASS, settings, forbidding, sessions(features, Protocol(base=2, way=2, shot=2)))
    with pytest.raises(EarshotError, match="needs at least 2 support clips of a base class"):
        check_protocol(PASS, settings, forbidding, sessions(features, Protocol(base=2, way=2, shot=1)))
