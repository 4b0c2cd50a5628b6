"""Kernel ridge regression and the median distance, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from torch import Tensor, nn

from trainables.learners.analytic.kernel_ridge import PENALTIES, UNCHOSEN, KernelRidge
from trainables.learners.analytic.median_distance import median_distance
from trainables.learners.analytic.random_features import draw_fourier, fourier, gaussian

SIGMA = 2.0
GAMMA = 1 / (2 * SIGMA**2)


def clips(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    columns = torch.arange(count) % 3
    noise = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return noise + columns[:, None], columns


def fitted(embeddings: Tensor, columns: Tensor, penalty: float | None) -> KernelRidge:
    model = KernelRidge(embeddings.shape[1], "cpu")
    model.sigma = SIGMA
    model.add(embeddings, columns)
    model.solve(int(columns.max()) + 1, penalty)
    return model


@pytest.mark.parametrize("penalty", [0.1, 3.0])
def test_scores_are_those_of_scikit_learn(penalty: float) -> None:
    embeddings, columns = clips(15)
    query, _ = clips(6, seed=1)
    targets = nn.functional.one_hot(columns).double().numpy()
    reference = SklearnKernelRidge(alpha=penalty, kernel="rbf", gamma=GAMMA).fit(embeddings.double(), targets)
    expected = reference.predict(query.double())
    np.testing.assert_allclose(fitted(embeddings, columns, penalty).scores(query).numpy(), expected, atol=1e-5)


def test_lambda_has_the_lowest_error_of_fits_without_the_clip() -> None:
    embeddings, columns = clips(15)
    targets = nn.functional.one_hot(columns).double().numpy()
    errors = []
    for penalty in PENALTIES:
        error = 0.0
        for left_out in range(15):
            others = np.arange(15) != left_out
            model = SklearnKernelRidge(alpha=penalty, kernel="rbf", gamma=GAMMA)
            model.fit(embeddings.double()[others], targets[others])
            error += ((model.predict(embeddings.double()[[left_out]]) - targets[left_out]) ** 2).sum()
        errors.append(error)
    assert fitted(embeddings, columns, None).penalty == PENALTIES[int(np.argmin(errors))]


def test_one_shot_and_identical_clips() -> None:
    embeddings, columns = clips(3)
    assert fitted(embeddings, columns, None).penalty == UNCHOSEN
    assert fitted(embeddings, columns, None).scores(embeddings).argmax(dim=1).tolist() == [0, 1, 2]
    same = torch.ones(6, 4)
    assert torch.isfinite(fitted(same, torch.arange(6) % 2, None).scores(same)).all()


def test_a_forgotten_class_leaves_nothing() -> None:
    embeddings, columns = clips(15)
    model = fitted(embeddings, columns, None)
    model.remove(1)
    model.solve(2, None)
    kept = columns != 1
    expected = fitted(embeddings[kept], (columns[kept] > 0).long(), None)
    assert model.penalty == expected.penalty
    assert torch.equal(model.scores(embeddings), expected.scores(embeddings))


def test_the_median_distance_by_hand() -> None:
    """Distances 3, 4 and 5; twins are no pair that differs; 1 where there is none."""
    triangle = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    assert median_distance(triangle) == 4
    assert median_distance(torch.tensor([[0.0], [0.0], [2.0]])) == 2
    assert median_distance(torch.ones(5, 3)) == median_distance(torch.ones(1, 3)) == 1
    many = torch.arange(5000.0)[:, None]
    assert median_distance(many) == pytest.approx(5000 * (1 - 0.5**0.5), rel=0.01)  # of the triangular distribution


def test_fourier_features_approximate_the_kernel() -> None:
    embeddings, _ = clips(10)
    drawn = draw_fourier(4, 200_000, SIGMA, torch.Generator().manual_seed(0))
    features = fourier(embeddings, **drawn).double()
    torch.testing.assert_close(features @ features.T, gaussian(embeddings, embeddings, SIGMA), atol=0.01, rtol=0)
