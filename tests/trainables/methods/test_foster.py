"""FOSTER: weights by effective number, the losses of boosting and compression, one network after a session."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.foster import FOSTER, FOSTERSettings, class_weights
from trainables.networks.heads import linear_head
from trainables.networks.weights import weights_digest
from trainables.store.arrays import Rows

LR = 0.01


def learned(features: Features, count: int, **settings: Any) -> FOSTER:
    """One step of each stage, without weight decay, by default."""
    quick = {
        "base_epochs": 2,
        "base_lr": 0.05,
        "incremental_boosting_epochs": 1,
        "incremental_compression_epochs": 1,
        "incremental_lr": LR,
        "incremental_weight_decay": 0.0,
        **settings,
    }
    return trained(FOSTER(FOSTERSettings.model_validate(quick), features), count)


def rehearsed(learner: FOSTER, features: Features) -> tuple[Rows, Tensor, Tensor]:
    """Inputs, columns and class counts of the second session: 3 clips of each new class, 1 of each old."""
    groups, _ = learner.exemplars.with_support(sessions(features)[1])
    columns = [learner.classes.index(label) for label in learner.exemplars.labels]
    targets = torch.tensor([2, 2, 2, 3, 3, 3, *columns])
    return features.inputs_of_groups(groups), targets, torch.tensor([1, 1, 3, 3])


def after_a_step(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.detach() - LR * parameter.grad


@pytest.mark.parametrize(
    ("counts", "beta", "expected"),
    [
        ([1, 2], 0.5, [1.2, 0.8]),  # effective numbers 1 and 1.5
        ([1, 3], 0.5, [14 / 11, 8 / 11]),  # 1 and 1.75
        ([1, 5], 0.0, [1.0, 1.0]),  # every class has weight 1
        ([4, 4, 4], 0.96, [1.0, 1.0, 1.0]),
        ([1, 4], 1 - 1e-9, [1.6, 0.4]),  # by 1 / n in the limit
    ],
)
def test_class_weights(counts: list[int], beta: float, expected: list[float]) -> None:
    assert class_weights(torch.tensor(counts), beta).tolist() == pytest.approx(expected, rel=1e-5)


def test_one_step_of_boosting_follows_its_loss(features: Features) -> None:
    """CE(z / w, y) + CE(enhancement, y) + lambda KD_T(z[old], old logits), with w by hand for beta1 = 1/2."""
    learner = learned(features, 1, incremental_beta1=0.5, incremental_lambda_okd=3.0)
    inputs, targets, counts = rehearsed(learner, features)
    network = learner.network
    old = network.embed(inputs[:]).detach()
    old_logits = network.head(old)

    draws = generator(1)
    enhancement = linear_head(DIM, 4, draws)
    expanded = linear_head(2 * DIM, 4, draws, grown_from=network.head)
    branch = copy.deepcopy(network.backbone).requires_grad_(True)
    new = branch.embed(inputs[:])
    z = expanded(torch.cat([old, new], dim=1))
    w = torch.tensor([14 / 11, 14 / 11, 8 / 11, 8 / 11])  # 1 / (1, 1, 1.75, 1.75), their mean 1
    soft = (old_logits / 2).softmax(dim=1)
    distilled = -(soft * (z[:, :2] / 2).log_softmax(dim=1)).sum(dim=1).mean()
    loss = nn.functional.cross_entropy(z / w, targets) + nn.functional.cross_entropy(enhancement(new), targets)
    (loss + 3 * distilled).backward()

    trained, head = learner.boost(inputs, targets, counts, old, generator(1), "here")
    tolerance = {"atol": 1e-6, "rtol": 1e-4}
    torch.testing.assert_close(
        trained.backbone.ast.layernorm.bias.detach(), after_a_step(branch.ast.layernorm.bias), **tolerance
    )
    torch.testing.assert_close(head.weight.detach(), after_a_step(expanded.weight), **tolerance)
    torch.testing.assert_close(trained.head.weight.detach(), after_a_step(enhancement.weight), **tolerance)


def test_one_step_of_compression_follows_its_loss(features: Features) -> None:
    """- sum_c q_c log softmax(student / T)_c, q_c ~ w_c softmax(z / T)_c, with w by hand for beta2 = 1/2."""
    learner = learned(features, 1, incremental_beta2=0.5, incremental_temperature=3.0)
    inputs, _, counts = rehearsed(learner, features)
    z = 5 * torch.randn(len(inputs), 4, generator=generator(7))
    q = torch.tensor([14 / 11, 14 / 11, 8 / 11, 8 / 11]) * (z / 3).softmax(dim=1)
    q = q / q.sum(dim=1, keepdim=True)

    student = copy.deepcopy(learner.network).requires_grad_(True)
    student.grow(4, generator(1))
    (-(q * (student(inputs[:]) / 3).log_softmax(dim=1)).sum(dim=1).mean()).backward()

    trained = learner.compress(inputs, z, counts, generator(1), "here")
    norm = student.backbone.ast.layernorm
    torch.testing.assert_close(
        trained.backbone.ast.layernorm.bias.detach(), after_a_step(norm.bias), atol=1e-6, rtol=1e-4
    )
    torch.testing.assert_close(trained.head.weight.detach(), after_a_step(student.head.weight), atol=1e-6, rtol=1e-4)


def test_both_stages_start_from_the_old_network_and_do_not_change_it(features: Features) -> None:
    learner = learned(features, 1, incremental_boosting_epochs=0, incremental_compression_epochs=0)
    old = learner.network
    before, pretrained = weights_digest(old), weights_digest(features.backbone)
    inputs, targets, counts = rehearsed(learner, features)
    branch, expanded = learner.boost(inputs, targets, counts, old.embed(inputs[:]).detach(), generator(1), "here")
    assert weights_digest(branch.backbone) == weights_digest(old.backbone)
    assert torch.equal(expanded.weight[:2, :DIM], old.head.weight)
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(learner.network.backbone) == weights_digest(old.backbone)
    assert torch.equal(learner.network.head.weight[:2], old.head.weight)
    trained = learned(features, 2)  # the same, with a step of each stage
    assert weights_digest(trained.network.backbone) != weights_digest(old.backbone)
    assert (weights_digest(old), weights_digest(features.backbone)) == (before, pretrained)


def test_only_one_network_is_stored(features: Features) -> None:
    backbone = size(features.backbone)
    for count in (1, 2, 3):
        learner = learned(features, count)
        values = backbone + 2 * count * (DIM + 1)
        assert learner.parameter_counts() == (values, values)
        assert sum(v.numel() for part in learner.state().parts.values() for v in part.values()) == values


def test_boosting_learns_the_new_classes_and_does_not_forget_the_old(features: Features) -> None:
    """After enough steps the expanded network classifies the new support and the exemplars correctly."""
    learner = learned(features, 1, base_epochs=40, base_lr=LR, incremental_boosting_epochs=60)
    inputs, targets, counts = rehearsed(learner, features)
    old = learner.network.embed(inputs[:]).detach()
    branch, expanded = learner.boost(inputs, targets, counts, old, generator(1), "here")
    known = learner.network.head(old).argmax(dim=1)
    assert torch.equal(known[6:], targets[6:])
    assert torch.equal(expanded(torch.cat([old, branch.embed(inputs[:])], dim=1)).argmax(dim=1), targets)


def test_compression_brings_the_student_towards_the_expanded_network(features: Features) -> None:
    learner = learned(features, 1, incremental_beta2=0.0)
    inputs, _, counts = rehearsed(learner, features)
    z = torch.tensor([[4.0, 0.0, 2.0, 0.0]]).expand(len(inputs), 4)  # the same for every clip: a bias can learn it
    distances = []
    for epochs in (0, 5, 50):
        learner.settings = learner.settings.model_copy(update={"incremental_compression_epochs": epochs})
        student = learner.compress(inputs, z, counts, generator(1), "here")
        with torch.inference_mode():
            difference = (z / 2).softmax(dim=1) - (student(inputs[:]) / 2).softmax(dim=1)
        distances.append(difference.abs().sum(dim=1).mean().item())
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 10


def test_exemplars_are_herded_from_the_support(features: Features) -> None:
    learner = learned(features, 3)
    for session, exemplars in zip(sessions(features), learner.exemplars.groups, strict=True):
        assert len(exemplars) == 2
        assert set(exemplars) <= set(session.support)
    assert FOSTER.needs(FOSTERSettings()).exemplars == 1
