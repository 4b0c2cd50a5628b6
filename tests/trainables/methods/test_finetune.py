"""Fine-tuning: the loss uses the new logits only, and no clips are stored."""

import copy
from typing import Any

import torch

from tests.support.learning import generator, sessions, trained
from trainables.learners.features import Features
from trainables.learners.learner import Needs
from trainables.methods.finetune import Finetune, FinetuneSettings
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> Finetune:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    return trained(Finetune(FinetuneSettings.model_validate(quick), features), count)


def test_one_step_of_a_later_session_by_hand(features: Features) -> None:
    """W <- W - lr (softmax(new logits) - y)^T e / n, for the new rows; the old rows do not change."""
    learner = learned(features, 1)
    second = sessions(features)[1]
    start = copy.deepcopy(learner.network)
    start.grow(4, generator(1))
    with torch.no_grad():
        embedded = start.embed(features.inputs(second.support)[:])
        error = start.head(embedded)[:, 2:].softmax(dim=1) - torch.eye(2).repeat_interleave(3, dim=0)

    lr = 0.05
    learner = learned(features, 2, incremental_epochs=1, incremental_lr=lr, incremental_weight_decay=0)
    head = learner.network.head
    torch.testing.assert_close(head.weight[2:], start.head.weight[2:] - lr * error.T @ embedded / 6)
    torch.testing.assert_close(head.bias[2:], -lr * error.mean(dim=0))
    assert torch.equal(head.weight[:2], start.head.weight[:2])
    assert weights_digest(learner.network.backbone) != weights_digest(start.backbone)


def test_p_is_copied_and_a_session_starts_from_the_previous_network(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    first, second = learned(features, 1), learned(features, 2, incremental_epochs=0)
    assert weights_digest(features.backbone) == pretrained
    assert weights_digest(first.network.backbone) != pretrained
    assert weights_digest(second.network.backbone) == weights_digest(first.network.backbone)


def test_scores_are_the_logits(features: Features) -> None:
    learner = learned(features, 2)
    with torch.inference_mode():
        expected = learner.network(features.inputs((1, 20, 33))[:])
    torch.testing.assert_close(learner.score((1, 20, 33))["linear"], expected)


def test_it_forgets(features: Features) -> None:
    """Old classes are not in its loss: new clips are classified correctly among the new classes, old ones no longer."""
    fitting = {"base_epochs": 40, "incremental_epochs": 40, "base_lr": 0.02, "incremental_lr": 0.02}
    learner = learned(features, 1, **fitting, base_milestones=(), incremental_milestones=())
    base, second, _ = sessions(features)
    columns = torch.tensor([0, 0, 0, 1, 1, 1])
    assert torch.equal(learner.score(base.support)["linear"].argmax(dim=1), columns)
    learner.learn(second, generator(1))
    assert torch.equal(learner.score(second.support)["linear"][:, 2:].argmax(dim=1), columns)
    assert not torch.equal(learner.score(base.support)["linear"].argmax(dim=1), columns)


def test_no_clips_are_stored(features: Features) -> None:
    assert Finetune.needs(FinetuneSettings()) == Needs()
    state = learned(features, 2).state()
    assert set(state.notes) == {"classes"}
    assert set(state.parts) == {"network"}
