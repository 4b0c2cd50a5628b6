"""SLDA and KLDA on the embeddings of clips, against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.support.learning import sessions, trained
from trainables.learners.analytic.median_distance import median_distance
from trainables.learners.features import Features
from trainables.methods.klda import KLDA, KLDASettings
from trainables.methods.slda import SLDA, SLDASettings

QUERIES = (0, 7, 20, 30, 44, 55)


def test_scores_of_slda_are_those_of_scikit_learn(features: Features) -> None:
    learner = trained(SLDA(SLDASettings(shrinkage=0.6), features), 3)
    support = torch.cat([features.pooled(session.support) for session in sessions(features)])
    labels = [label for session in sessions(features) for label in session.support_labels]
    columns = [learner.classes.index(label) for label in labels]
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.6, priors=[1 / 6] * 6)
    reference.fit(support.double(), columns)
    expected = features.pooled(QUERIES).double().numpy() @ reference.coef_.T + reference.intercept_ - math.log(1 / 6)
    np.testing.assert_allclose(learner.score(QUERIES)["discriminant"].numpy(), expected, rtol=1e-4)


def test_klda_is_discriminant_analysis_of_fourier_features(features: Features) -> None:
    settings = KLDASettings(projection=200, shrinkage=0.6)
    learner = trained(KLDA(settings, features), 3)
    (fixed,) = learner.fixed
    assert fixed["weight"].shape == (features.backbone.dim, 200)
    width = median_distance(features.pooled(sessions(features)[0].support))
    assert fixed["weight"].std().item() == pytest.approx(1 / width, rel=0.05)
    (member,) = learner.members
    expanded = math.sqrt(2 / 200) * torch.cos(features.pooled(QUERIES) @ fixed["weight"] + fixed["bias"])
    expected = expanded.double() @ member.weights + member.biases
    torch.testing.assert_close(learner.score(QUERIES)["discriminant"], expected.float())


def test_an_ensemble_averages_posteriors(features: Features) -> None:
    learner = trained(KLDA(KLDASettings(projection=100, ensembles=3), features), 2)
    alone = [
        member.scores(learner.expand(features.pooled(QUERIES), index)).softmax(dim=1)
        for index, member in enumerate(learner.members)
    ]
    expected = torch.stack(alone).mean(dim=0)
    torch.testing.assert_close(learner.score(QUERIES)["discriminant"].exp().double(), expected, atol=1e-5, rtol=1e-4)


def test_the_published_width() -> None:
    assert (KLDASettings().projection, KLDASettings(ensembles=5).ensembles) == (5000, 5)
