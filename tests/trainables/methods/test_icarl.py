"""What makes iCaRL: distillation, herding, the nearest mean of exemplars."""

import copy
from typing import Any

import torch
from torch import nn

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from trainables.learners.features import Features
from trainables.methods.icarl import ICaRL, ICaRLSettings
from trainables.networks.backbone import weights_digest


def sessions(features: Features) -> tuple[Session, ...]:
    return make_sessions(Protocol(base=2, way=2, shot=3), features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, count: int, **settings: Any) -> ICaRL:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    learner = ICaRL(ICaRLSettings.model_validate(quick), features)
    for session in sessions(features)[:count]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


def unit_embeddings(learner: ICaRL, positions: tuple[int, ...]) -> torch.Tensor:
    assert learner._network is not None
    with torch.inference_mode():
        return nn.functional.normalize(learner._network.embed(learner.features.inputs(positions)[:]), dim=1)


def test_a_later_session_by_hand(features: Features) -> None:
    """Three steps of SGD on CE(z, y) - mean sum_c softmax(t / T)_c log softmax(z / T)_c, c old; the teacher t is run
    anew in every step, and the batch holds the new support and one exemplar of each old class."""
    temperature, lr = 2.0, 0.05
    settings = {"incremental_lr": lr, "incremental_weight_decay": 0.0}
    learner = learned(features, 1)
    assert learner._network is not None
    clips = features.inputs(sessions(features)[1].support + learner._exemplars.groups[0])[:]
    columns = torch.tensor([2, 2, 2, 3, 3, 3, 0, 1])
    teacher, network = learner._network, copy.deepcopy(learner._network).requires_grad_(True)
    network.grow(4, torch.Generator().manual_seed(1))
    optimiser = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    kept = []
    for _ in range(3):
        z, t = network(clips), teacher(clips).detach()
        soft = (t / temperature).exp() / (t / temperature).exp().sum(dim=1, keepdim=True)
        student = (z[:, :2] / temperature).exp() / (z[:, :2] / temperature).exp().sum(dim=1, keepdim=True)
        kept.append(-(soft * student.log()).sum() / 8)
        loss = kept[-1] - torch.stack([z.log_softmax(dim=1)[i, c] for i, c in enumerate(columns.tolist())]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert kept[2] > kept[0] + 1e-5  # the teacher has something to hold back

    learner = learned(features, 2, incremental_epochs=3, **settings)
    assert learner._network is not None
    torch.testing.assert_close(dict(learner._network.named_parameters()), dict(network.named_parameters()))
    other = learned(features, 2, incremental_epochs=3, incremental_temperature=1.0, **settings)
    assert other._network is not None
    assert not torch.allclose(other._network.head.weight, network.head.weight, atol=1e-5)


def test_exemplars_are_herded_from_the_support_and_kept(features: Features) -> None:
    """Algorithm 4, k = 1: the clip nearest to the class mean; k = 2: the one that brings the mean of both nearest."""
    first = learned(features, 1, exemplars_per_class=2)
    (base, *_) = sessions(features)
    expected: list[int] = []
    for one in base.classes:
        units = unit_embeddings(first, one.support)
        mean = units.mean(dim=0)
        nearest = int((units - mean).norm(dim=1).argmin())
        left = [row for row in range(3) if row != nearest]
        second = min(left, key=lambda row: float(((units[nearest] + units[row]) / 2 - mean).norm()))
        expected += [one.support[nearest], one.support[second]]
    assert first._exemplars.groups == [tuple(expected)]
    assert learned(features, 3, exemplars_per_class=2)._exemplars.groups[0] == tuple(expected)


def test_nearest_mean_of_exemplars(features: Features) -> None:
    learner = learned(features, 2, exemplars_per_class=2)
    means = torch.cat([unit_embeddings(learner, group) for group in learner._exemplars.groups])
    means = nn.functional.normalize(means.reshape(4, 2, -1).mean(dim=1), dim=1)
    query = (1, 20, 33)
    expected = -(unit_embeddings(learner, query)[:, None] - means[None]).norm(dim=2)
    torch.testing.assert_close(learner.score(query)["nme"], expected, atol=1e-5, rtol=1e-5)
    assert list(learner.score(query)) == ["nme", "linear"]


def test_p_is_copied_and_every_session_trains_the_copy(features: Features) -> None:
    digests = [weights_digest(features.backbone)]
    for count in (1, 2):
        learner = learned(features, count)
        assert learner._network is not None
        digests.append(weights_digest(learner._network.backbone))
    assert len(set(digests)) == 3
    assert weights_digest(features.backbone) == digests[0]


def test_it_needs_the_exemplars_that_it_rehearses() -> None:
    assert ICaRL.needs(ICaRLSettings()).exemplars == 1
    assert ICaRL.needs(ICaRLSettings(exemplars_per_class=4)).exemplars == 4
