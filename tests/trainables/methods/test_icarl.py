"""iCaRL: distillation, herding, the nearest mean of exemplars."""

import copy
from typing import Any

import torch
from torch import nn

from tests.support.learning import generator, sessions, trained
from trainables.learners.features import Features
from trainables.methods.icarl import ICaRL, ICaRLSettings
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> ICaRL:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    return trained(ICaRL(ICaRLSettings.model_validate(quick), features), count)


def unit_embeddings(learner: ICaRL, positions: tuple[int, ...]) -> torch.Tensor:
    with torch.inference_mode():
        return nn.functional.normalize(learner.network.embed(learner.features.inputs(positions)[:]), dim=1)


def test_a_later_session_by_hand(features: Features) -> None:
    """Three steps of SGD on CE(z, y) - mean sum_c softmax(t / T)_c log softmax(z / T)_c, c old; the teacher t runs
    in every step, and the batch has the new support and one exemplar of each old class."""
    temperature, lr = 2.0, 0.05
    settings = {"incremental_lr": lr, "incremental_weight_decay": 0.0}
    learner = learned(features, 1)
    clips = features.inputs(sessions(features)[1].support + learner.exemplars.groups[0])[:]
    columns = torch.tensor([2, 2, 2, 3, 3, 3, 0, 1])
    teacher, network = learner.network, copy.deepcopy(learner.network).requires_grad_(True)
    network.grow(4, generator(1))
    optimiser = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    distillation = []
    for _ in range(3):
        z, t = network(clips), teacher(clips).detach()
        soft = (t / temperature).exp() / (t / temperature).exp().sum(dim=1, keepdim=True)
        student = (z[:, :2] / temperature).exp() / (z[:, :2] / temperature).exp().sum(dim=1, keepdim=True)
        distillation.append(-(soft * student.log()).sum() / 8)
        loss = (
            distillation[-1] - torch.stack([z.log_softmax(dim=1)[i, c] for i, c in enumerate(columns.tolist())]).mean()
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert distillation[2] > distillation[0] + 1e-5  # the network moves away from the teacher

    learner = learned(features, 2, incremental_epochs=3, **settings)
    torch.testing.assert_close(dict(learner.network.named_parameters()), dict(network.named_parameters()))
    other = learned(features, 2, incremental_epochs=3, incremental_temperature=1.0, **settings)
    assert not torch.allclose(other.network.head.weight, network.head.weight, atol=1e-5)


def test_exemplars_are_herded_from_the_support_and_do_not_change(features: Features) -> None:
    """Algorithm 4, k = 1: the clip nearest to the class mean; k = 2: the one with which the mean of both is nearest."""
    first = learned(features, 1, exemplars_per_class=2)
    (base, *_) = sessions(features)
    expected: list[int] = []
    for of_class in base.classes:
        units = unit_embeddings(first, of_class.support)
        mean = units.mean(dim=0)
        nearest = int((units - mean).norm(dim=1).argmin())
        left = [row for row in range(3) if row != nearest]
        second = min(left, key=lambda row: float(((units[nearest] + units[row]) / 2 - mean).norm()))
        expected += [of_class.support[nearest], of_class.support[second]]
    assert first.exemplars.groups == [tuple(expected)]
    assert learned(features, 3, exemplars_per_class=2).exemplars.groups[0] == tuple(expected)


def test_nearest_mean_of_exemplars(features: Features) -> None:
    learner = learned(features, 2, exemplars_per_class=2)
    means = torch.cat([unit_embeddings(learner, group) for group in learner.exemplars.groups])
    means = nn.functional.normalize(means.reshape(4, 2, -1).mean(dim=1), dim=1)
    query = (1, 20, 33)
    expected = -(unit_embeddings(learner, query)[:, None] - means[None]).norm(dim=2)
    torch.testing.assert_close(learner.score(query)["nme"], expected, atol=1e-5, rtol=1e-5)
    assert list(learner.score(query)) == ["nme", "linear"]


def test_p_is_copied_and_every_session_trains_the_copy(features: Features) -> None:
    digests = [weights_digest(features.backbone)]
    for count in (1, 2):
        learner = learned(features, count)
        digests.append(weights_digest(learner.network.backbone))
    assert len(set(digests)) == 3
    assert weights_digest(features.backbone) == digests[0]


def test_it_needs_the_exemplars_that_it_rehearses() -> None:
    assert ICaRL.needs(ICaRLSettings()).exemplars == 1
    assert ICaRL.needs(ICaRLSettings(exemplars_per_class=4)).exemplars == 4
