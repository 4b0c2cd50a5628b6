"""ACIL, DS-AL and GKEAL: random layers, kernels and what the compensation stream learns."""

import torch
from torch import nn

from datasets.benchmark.protocol import Protocol
from tests.support.learning import generator, sessions, trained
from trainables.learners.analytic.median_distance import median_distance
from trainables.learners.features import Features
from trainables.methods.acil import ACIL, ACILSettings
from trainables.methods.ds_al import DSAL, DSALSettings
from trainables.methods.gkeal import GKEAL, GKEALSettings

QUERIES = (0, 7, 20, 30, 44, 55)


def closed_form(features: torch.Tensor, targets: torch.Tensor, penalty: float) -> torch.Tensor:
    gram = features.T @ features + penalty * torch.eye(features.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, features.T @ targets)


def test_acil_is_ridge_regression_of_all_support(features: Features) -> None:
    learner = trained(ACIL(ACILSettings(projection=60, penalty=0.1), features), 3)
    assert ACILSettings().projection == 8192
    weight = learner.fixed["weight"]
    assert weight.abs().max() <= features.backbone.dim**-0.5
    support = torch.cat([features.pooled(session.support) for session in sessions(features)])
    labels = torch.tensor([label for session in sessions(features) for label in session.support_labels])
    targets = (labels[:, None] == torch.tensor(learner.classes)).double()
    solution = closed_form((support @ weight).clamp_min(0).double(), targets, 0.1)
    expected = (features.pooled(QUERIES) @ weight).clamp_min(0).double() @ solution
    torch.testing.assert_close(learner.score(QUERIES)["ridge"], expected.float(), atol=1e-4, rtol=1e-3)


def test_the_compensation_stream_learns_the_residuals_of_new_classes(features: Features) -> None:
    settings = DSALSettings(projection=60, penalty=10.0, compensation_penalty=1.0, compensation=0.7)
    learner = DSAL(settings, features)
    products = torch.zeros(60, 0, dtype=torch.float64)
    gram = torch.zeros(60, 60, dtype=torch.float64)
    for session in sessions(features)[:2]:
        old = len(learner.classes)
        learner.learn(session, generator(session.index))
        layer = features.pooled(session.support) @ learner.fixed["weight"]
        targets = (torch.tensor(session.support_labels)[:, None] == torch.tensor(learner.classes)).double()
        residuals = targets - layer.clamp_min(0).double() @ learner.ridge.weights
        residuals[:, :old] = 0  # previous label cleansing
        saturated = layer.tanh().double()
        gram += saturated.T @ saturated
        products = nn.functional.pad(products, (0, residuals.shape[1] - products.shape[1])) + saturated.T @ residuals
    solution = torch.linalg.solve(gram + torch.eye(60, dtype=torch.float64), products)
    torch.testing.assert_close(learner.compensation.weights, solution, atol=1e-6, rtol=1e-4)
    layer = features.pooled(QUERIES) @ learner.fixed["weight"]
    expected = layer.clamp_min(0).double() @ learner.ridge.weights + 0.7 * layer.tanh().double() @ solution
    torch.testing.assert_close(learner.score(QUERIES)["ridge"], expected.float(), atol=1e-5, rtol=1e-4)


def test_without_compensation_ds_al_is_acil(features: Features) -> None:
    dsal = trained(DSAL(DSALSettings(projection=60, compensation=0.0), features), 3)
    acil = trained(ACIL(ACILSettings(projection=60), features), 3)
    assert torch.equal(dsal.score(QUERIES)["ridge"], acil.score(QUERIES)["ridge"])


def test_gkeal_compares_with_every_support_clip(features: Features) -> None:
    learner = trained(GKEAL(GKEALSettings(penalty=0.1), features), 3)
    support = torch.cat([features.pooled(session.support) for session in sessions(features)]).double()
    labels = torch.tensor([label for session in sessions(features) for label in session.support_labels])
    width = 0.5 * median_distance(features.pooled(sessions(features)[0].support))
    targets = (labels[:, None] == torch.tensor(learner.classes)).double()
    kernel = torch.exp(-(torch.cdist(support, support) ** 2) / (2 * width**2))
    coefficients = torch.linalg.solve(kernel + 0.1 * torch.eye(len(support)), targets)
    query = torch.exp(-(torch.cdist(features.pooled(QUERIES).double(), support) ** 2) / (2 * width**2))
    torch.testing.assert_close(learner.score(QUERIES)["ridge"], (query @ coefficients).float(), atol=1e-4, rtol=1e-3)


def test_gkeal_as_published_compares_with_base_clips(features: Features) -> None:
    published = GKEALSettings(centres="base", sigma=10.0, penalty=0.1)
    learner = trained(GKEAL(published, features), 3)
    base, *_ = sessions(features)
    assert torch.equal(learner.kernel.centres, features.pooled(base.support))
    support = torch.cat([features.pooled(session.support) for session in sessions(features)]).double()
    labels = torch.tensor([label for session in sessions(features) for label in session.support_labels])
    targets = (labels[:, None] == torch.tensor(learner.classes)).double()

    def kernel(clips: torch.Tensor) -> torch.Tensor:
        return torch.exp(-(torch.cdist(clips.double(), features.pooled(base.support).double()) ** 2) / 200)

    expected = kernel(features.pooled(QUERIES)) @ closed_form(kernel(support), targets, 0.1)
    torch.testing.assert_close(learner.score(QUERIES)["ridge"], expected.float(), atol=1e-4, rtol=1e-3)


def test_gkeal_draws_clips_of_large_classes(features: Features) -> None:
    chain = Protocol(base=2, way=2, shot=5)
    learner = trained(GKEAL(GKEALSettings(clips_per_class=3), features), 2, chain)
    assert torch.bincount(learner.kernel.columns).tolist() == [3, 3, 3, 3]
    every = trained(GKEAL(GKEALSettings(clips_per_class=5), features), 2, chain)
    assert all((every.kernel.centres == centre).all(dim=1).any() for centre in learner.kernel.centres)
