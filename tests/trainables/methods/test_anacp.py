"""AnaCP: targets of the projection, the projection, and the classifier on replays."""

import pytest
import torch
from torch import nn

from tests.support.learning import generator, sessions, trained
from trainables.learners.features import Features
from trainables.methods.anacp import AnaCP, AnaCPSettings, separated

QUERIES = (0, 7, 20, 30, 44, 55)


def test_targets_by_hand() -> None:
    """Centred means (-3, 0), (3, 0), (0, -1), (0, 1): singular values 3 sqrt 2 and sqrt 2."""
    means = torch.tensor([[-3.0, 5.0], [3.0, 5.0], [0.0, 4.0], [0.0, 6.0]], dtype=torch.float64)
    torch.testing.assert_close(separated(means, 0.0), means - torch.tensor([0.0, 5.0], dtype=torch.float64))
    root = 0.5**0.5
    apart = torch.tensor([[-root, 0.0], [root, 0.0], [0.0, -root], [0.0, root]], dtype=torch.float64)
    torch.testing.assert_close(separated(means, 1.0), apart)
    assert torch.equal(separated(torch.ones(3, 2, dtype=torch.float64), 0.5), torch.zeros(3, 2, dtype=torch.float64))


@pytest.mark.parametrize("penalty", [None, 1.0])
def test_the_projection_is_the_mean_of_heads(features: Features, penalty: float | None) -> None:
    """Each head is a ridge regression to the target of the class, normalised."""
    learner = trained(AnaCP(AnaCPSettings(projection=80, penalty=penalty, shrinkage=0.5), features), 2)
    support = torch.cat([features.pooled(session.support) for session in sessions(features)[:2]])
    labels = torch.tensor([label for session in sessions(features)[:2] for label in session.support_labels])
    columns = (labels[:, None] == torch.tensor(learner.classes)).long().argmax(dim=1)
    means = torch.stack([support[columns == c].double().mean(0) for c in range(4)])
    centred = support.double() - means[columns]
    scatter = centred.T @ centred / len(centred)
    sigma = 0.5 * scatter + 0.5 * scatter.diagonal().mean() * torch.eye(len(scatter), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(sigma)
    targets = separated(means @ (vectors / values.sqrt()) @ vectors.T, 0.5)
    heads = []
    for index, ridge in enumerate(learner.ridges):
        weight = learner.fixed[f"head-{index}"]
        phi = nn.functional.gelu(support @ weight).double()
        gram = phi.T @ phi + ridge.penalty * torch.eye(80, dtype=torch.float64)
        theta = torch.linalg.solve(gram, phi.T @ targets[columns])
        query = nn.functional.gelu(features.pooled(QUERIES) @ weight).double()
        heads.append(nn.functional.normalize(query @ theta, dim=1))
    torch.testing.assert_close(learner.project(features.pooled(QUERIES)), sum(heads) / 3, atol=1e-4, rtol=1e-3)


def test_replays_of_a_class_are_the_same_in_every_session(features: Features) -> None:
    learner = AnaCP(AnaCPSettings(projection=80), features)
    noise = []
    for session in sessions(features):
        learner.learn(session, generator(session.index))
        noise.append(learner.noise(learner.classes[0]))
    assert torch.equal(noise[0], noise[2])
    assert not torch.equal(noise[0], learner.noise(learner.classes[1]))
    assert learner.noise(learner.classes[0]).std().item() == pytest.approx(1, abs=0.05)


def test_support_clips_are_recognised(features: Features) -> None:
    learner = trained(AnaCP(AnaCPSettings(projection=300), features), 3)
    for session in sessions(features):
        predicted = learner.score(session.support)["ridge"].argmax(dim=1).tolist()
        assert [learner.classes[column] for column in predicted] == list(session.support_labels)


def test_the_classifier_chooses_lambda_on_all_replays(features: Features) -> None:
    """More replays than features: 6 classes of 20, 16 random features."""
    learner = trained(AnaCP(AnaCPSettings(projection=16, replays=20), features), 3)
    assert all((own >= 0).all() for own in learner.classifier.columns)
    assert sum(map(len, learner.classifier.columns)) == 120
