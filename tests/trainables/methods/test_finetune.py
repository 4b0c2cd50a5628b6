"""What makes fine-tuning: the new logits alone, and nothing remembered."""

import copy
from typing import Any

import torch

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from trainables.learners.features import Features
from trainables.learners.learner import Needs
from trainables.methods.finetune import Finetune, FinetuneSettings
from trainables.networks.backbone import weights_digest


def sessions(features: Features) -> tuple[Session, ...]:
    return make_sessions(Protocol(base=2, way=2, shot=3), features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, count: int, **settings: Any) -> Finetune:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    learner = Finetune(FinetuneSettings.model_validate(quick), features)
    for session in sessions(features)[:count]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


def test_one_step_of_a_later_session_by_hand(features: Features) -> None:
    """W <- W - lr (softmax(new logits) - y)^T e / n, for the new rows; the old rows stay."""
    learner = learned(features, 1)
    second = sessions(features)[1]
    assert learner._network is not None
    start = copy.deepcopy(learner._network)
    start.grow(4, torch.Generator().manual_seed(1))
    with torch.no_grad():
        embedded = start.embed(features.inputs(second.support)[:])
        wrong = start.head(embedded)[:, 2:].softmax(dim=1) - torch.eye(2).repeat_interleave(3, dim=0)

    lr = 0.05
    learner = learned(features, 2, incremental_epochs=1, incremental_lr=lr, incremental_weight_decay=0)
    assert learner._network is not None
    head = learner._network.head
    torch.testing.assert_close(head.weight[2:], start.head.weight[2:] - lr * wrong.T @ embedded / 6)
    torch.testing.assert_close(head.bias[2:], -lr * wrong.mean(dim=0))
    assert torch.equal(head.weight[:2], start.head.weight[:2])
    assert weights_digest(learner._network.backbone) != weights_digest(start.backbone)


def test_p_is_copied_and_the_network_goes_on_from_the_session_before(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    first, second = learned(features, 1), learned(features, 2, incremental_epochs=0)
    assert weights_digest(features.backbone) == pretrained
    assert first._network is not None and second._network is not None
    assert weights_digest(first._network.backbone) != pretrained
    assert weights_digest(second._network.backbone) == weights_digest(first._network.backbone)


def test_scores_are_the_logits(features: Features) -> None:
    learner = learned(features, 2)
    assert learner._network is not None
    with torch.inference_mode():
        expected = learner._network(features.inputs((1, 20, 33))[:])
    torch.testing.assert_close(learner.score((1, 20, 33))["linear"], expected)


def test_it_forgets(features: Features) -> None:
    """Its loss never sees an old class: new clips are told apart from each other, old ones no longer."""
    fitting = {"base_epochs": 40, "incremental_epochs": 40, "base_lr": 0.02, "incremental_lr": 0.02}
    learner = learned(features, 1, **fitting, base_milestones=(), incremental_milestones=())
    base, second, _ = sessions(features)
    columns = torch.tensor([0, 0, 0, 1, 1, 1])
    assert torch.equal(learner.score(base.support)["linear"].argmax(dim=1), columns)
    learner.learn(second, torch.Generator().manual_seed(1))
    assert torch.equal(learner.score(second.support)["linear"][:, 2:].argmax(dim=1), columns)
    assert not torch.equal(learner.score(base.support)["linear"].argmax(dim=1), columns)


def test_it_remembers_no_clip(features: Features) -> None:
    assert Finetune.needs(FinetuneSettings()) == Needs()
    state = learned(features, 2).state()
    assert set(state.notes) == {"classes"}
    assert set(state.parts) == {"network"}
