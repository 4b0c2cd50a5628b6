"""What makes PASS: label augmentation, augmented prototypes, feature distillation."""

import importlib
from typing import Any

import pytest
import torch
from torch import nn

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from datasets.utils.errors import EarshotError
from trainables.learners.features import Features
from trainables.methods.registry import check_protocol, find_method
from trainables.networks.backbone import weights_digest
from trainables.networks.classifier import Classifier

module = importlib.import_module("trainables.methods.pass")  # a keyword: no import statement can name it
PASS = find_method("pass")
FLIPS: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (1, 2))


def sessions(features: Features, shot: int = 3) -> tuple[Session, ...]:
    return make_sessions(Protocol(base=2, way=2, shot=shot), features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, count: int, **settings: Any) -> Any:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    learner = PASS(PASS.Settings.model_validate(quick), features)
    for session in sessions(features)[:count]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


def test_radius_by_hand() -> None:
    """Covariance traces 2 and 8 in two dimensions: r^2 = (2 / 2 + 8 / 2) / 2."""
    first, second = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 4.0]])
    assert module.radius((first, second)).item() == pytest.approx(2.5**0.5)


def test_augmented_prototypes() -> None:
    prototypes = torch.tensor([[100.0] * 8, [200.0] * 8, [300.0] * 8])
    drawn, rows = module.draw_prototypes(prototypes, torch.tensor(2.0), 3000, torch.Generator().manual_seed(0))
    noise = drawn - prototypes[rows]
    assert noise.mean().abs() < 0.05
    assert noise.std().item() == pytest.approx(2.0, rel=0.02)
    assert torch.bincount(rows).tolist() == pytest.approx([1000] * 3, rel=0.1)
    still, rows = module.draw_prototypes(prototypes, torch.tensor(0.0), 5, torch.Generator().manual_seed(0))
    assert torch.equal(still, prototypes[rows])


def test_the_base_session_by_hand(features: Features) -> None:
    """Two steps of Adam on the mean over the four flips of CE(logits / 0.1, 4 y + k)."""
    (base, *_) = sessions(features)
    clips, labels = features.inputs(base.support)[:], torch.tensor([0, 0, 0, 1, 1, 1])
    network = Classifier(features.backbone, 8, torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=2e-4)
    for _ in range(2):
        losses = [
            nn.functional.cross_entropy(network(clips.flip(axes)) / 0.1, 4 * labels + k) for k, axes in enumerate(FLIPS)
        ]
        optimiser.zero_grad()
        (sum(losses) / 4).backward()
        optimiser.step()
    head = learned(features, 1)._network.head
    torch.testing.assert_close(head.weight, network.head.weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(head.bias, network.head.bias, atol=1e-5, rtol=1e-4)


def test_scores_are_the_columns_of_the_untransformed(features: Features) -> None:
    for transforms, count in (("flips", 4), ("none", 1)):
        learner = learned(features, 2, transforms=transforms)
        assert learner._network.head.out_features == 4 * count
        with torch.inference_mode():
            logits = learner._network(features.inputs((1, 20, 33))[:])
        expected = logits[:, [0, count, 2 * count, 3 * count]]
        torch.testing.assert_close(learner.score((1, 20, 33))["linear"], expected, atol=1e-5, rtol=1e-5)


def test_prototypes_are_support_means_and_stay(features: Features) -> None:
    first, second = learned(features, 1), learned(features, 2)
    (base, *_) = sessions(features)
    with torch.inference_mode():
        embedded = first._network.embed(features.inputs(base.support)[:])
    torch.testing.assert_close(first._prototypes, embedded.reshape(2, 3, -1).mean(dim=1), atol=1e-5, rtol=1e-5)
    assert first._radius.item() == pytest.approx(embedded.reshape(2, 3, -1).var(dim=1).mean().item() ** 0.5, rel=1e-4)
    assert second._prototypes.shape == (4, 96)
    assert torch.equal(second._prototypes[:2], first._prototypes)
    assert torch.equal(second._radius, first._radius)


def test_feature_distillation_holds_f_and_prototypes_hold_the_head(features: Features) -> None:
    """Each against itself with weight 0: how far f moved on the new support; CE of the head on the old prototypes."""
    (_, second, _) = sessions(features)
    inputs = features.inputs(second.support)[:]
    base = {"base_epochs": 20}  # the head must know the base classes before it can forget them
    start = learned(features, 1, **base)

    def after(**settings: Any) -> tuple[float, float]:
        learner = learned(features, 2, incremental_epochs=15, **base, **settings)
        with torch.inference_mode():
            moved = (learner._network.embed(inputs) - start._network.embed(inputs)).norm()
            logits = learner._network.head(learner._prototypes[:2]) / 0.1
            return float(moved), float(nn.functional.cross_entropy(logits, torch.tensor([0, 4])))

    moved, lost = after()
    moved_freely, _ = after(incremental_distillation_weight=0.0)
    _, lost_freely = after(incremental_prototype_weight=0.0)
    assert moved < 0.5 * moved_freely
    assert lost < 0.5 * lost_freely


def test_p_is_copied_and_every_session_trains_the_copy(features: Features) -> None:
    digests = [weights_digest(features.backbone)]
    digests += [weights_digest(learned(features, count)._network.backbone) for count in (1, 2)]
    assert len(set(digests)) == 3
    assert weights_digest(features.backbone) == digests[0]


def test_what_is_stored_and_what_scores(features: Features) -> None:
    """Eight columns of 97 values, two prototypes of 96 and the radius; two columns score."""
    backbone = sum(p.numel() for p in features.backbone.parameters())
    stored = backbone + 8 * 97 + 2 * 96 + 1
    assert learned(features, 1).parameters() == (stored, backbone + 2 * 97)


def test_it_needs_no_exemplars_and_two_shots(features: Features) -> None:
    settings = PASS.Settings()
    forbidding = Protocol(base=2, way=2, shot=2, exemplars=0)
    check_protocol(PASS, settings, forbidding, sessions(features, shot=2))
    with pytest.raises(EarshotError, match="needs at least 2 support clips of a base class"):
        check_protocol(PASS, settings, forbidding, sessions(features, shot=1))
