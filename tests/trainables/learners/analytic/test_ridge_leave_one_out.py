"""Leave-one-out and forgetting of the incremental ridge, against scikit-learn and against fits without the clip."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from torch import Tensor, nn

from trainables.learners.analytic.ridge import RELATIVE, UNCHOSEN, Ridge


def clips(count: int, dim: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    columns = torch.arange(count) % classes
    centres = torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    return centres[columns] + torch.randn(count, dim, generator=generator, dtype=torch.float64), columns


def fitted(embeddings: Tensor, columns: Tensor, classes: int, penalty: float | None = None, rows: int = 4096) -> Ridge:
    ridge = Ridge(embeddings.shape[1], "cpu", rows)
    ridge.fit(lambda index: embeddings[index], columns, classes, penalty)
    return ridge


@pytest.mark.parametrize("dim", [5, 40])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_weights_are_those_of_scikit_learn(dim: int, penalty: float) -> None:
    embeddings, columns = clips(18, dim, 3)
    targets = nn.functional.one_hot(columns, 3).double()
    reference = SklearnRidge(alpha=penalty, fit_intercept=False, solver="cholesky").fit(embeddings, targets)
    weights = fitted(embeddings, columns, 3, penalty).weights
    np.testing.assert_allclose(weights.numpy(), reference.coef_.T, atol=1e-10)


@pytest.mark.parametrize("dim", [5, 40])
def test_lambda_has_the_lowest_error_of_fits_without_the_clip(dim: int) -> None:
    """Every clip is left out by fitting the others, with scikit-learn."""
    embeddings, columns = clips(18, dim, 3)
    targets = nn.functional.one_hot(columns, 3).double().numpy()
    scale = float(embeddings.square().sum(dim=1).mean())
    errors = []
    for relative in RELATIVE:
        error = 0.0
        for left_out in range(18):
            others = np.arange(18) != left_out
            model = SklearnRidge(alpha=relative * scale, fit_intercept=False, solver="svd")
            predicted = model.fit(embeddings[others], targets[others]).predict(embeddings[[left_out]])
            error += ((predicted - targets[left_out]) ** 2).sum()
        errors.append(error)
    assert fitted(embeddings, columns, 3).penalty == pytest.approx(RELATIVE[int(np.argmin(errors))] * scale)


def test_lambda_is_relative_to_the_data() -> None:
    embeddings, columns = clips(18, 40, 3)
    once, scaled = fitted(embeddings, columns, 3), fitted(100 * embeddings, columns, 3)
    assert scaled.penalty == pytest.approx(1e4 * once.penalty)
    torch.testing.assert_close(scaled.scores(100 * embeddings), once.scores(embeddings))


def test_a_clip_that_is_alone_in_its_class_is_not_left_out() -> None:
    """With a second class of one clip, lambda is that of the first class's clips; with one shot nothing is left out."""
    embeddings, columns = clips(3, 8, 3)
    scale = float(embeddings.square().sum(dim=1).mean())
    assert fitted(embeddings, columns, 3).penalty == pytest.approx(UNCHOSEN * scale)


def test_lambda_is_relative_to_the_data_where_all_rows_were_replaced() -> None:
    embeddings, columns = clips(60, 8, 3)
    ridge, scaled = fitted(embeddings, columns, 3, rows=0), fitted(100 * embeddings, columns, 3, rows=0)
    assert not any((own >= 0).any() for own in ridge.columns)
    assert ridge.penalty == pytest.approx(UNCHOSEN * float(embeddings.square().sum(dim=1).mean()))
    torch.testing.assert_close(scaled.scores(100 * embeddings), ridge.scores(embeddings))
    ridge.fit(lambda index: 100 * embeddings[index], columns, 3)
    assert ridge.penalty == pytest.approx(scaled.penalty / 1e4)  # the last lambda stays


@pytest.mark.parametrize(
    "embeddings",
    [torch.zeros(6, 4), torch.ones(6, 4), torch.eye(4)[[0, 0, 0, 1, 1, 1]]],
    ids=["zero", "the same clip", "one clip a class"],
)
def test_degenerate_embeddings_give_finite_scores(embeddings: Tensor) -> None:
    ridge = fitted(embeddings.double(), torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    assert torch.isfinite(ridge.scores(embeddings)).all()
    if embeddings[0].ne(embeddings[3]).any():
        assert ridge.scores(embeddings).argmax(dim=1).tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("dim", "rows"), [(40, 4096), (5, 4096), (5, 0)])  # (5, 0): rows have been replaced
def test_a_forgotten_class_leaves_nothing(dim: int, rows: int) -> None:
    embeddings, columns = clips(24, dim, 4)
    columns = columns.sort().values
    ridge = Ridge(dim, "cpu", rows)
    for first in (0, 2):
        session = (columns >= first) & (columns < first + 2)
        own = embeddings[session]
        ridge.fit(lambda index, own=own: own[index], columns[session], first + 2, 1.0)
    assert (sum(map(len, ridge.columns)) == 24) == (rows > 0 or dim == 40)
    ridge.remove(1, lambda: embeddings[columns == 1])
    ridge.solve(3, 1.0)
    kept = columns != 1
    expected = fitted(embeddings[kept], torch.where(columns > 1, columns - 1, columns)[kept], 3, 1.0).weights
    torch.testing.assert_close(ridge.weights, expected, atol=1e-10, rtol=1e-8)


def test_a_class_that_left_comes_back() -> None:
    embeddings, columns = clips(12, 30, 2)
    ridge = fitted(embeddings, columns, 2)
    before = ridge.scores(embeddings)
    ridge.remove(1, lambda: embeddings[columns == 1])
    own = embeddings[columns == 1]
    ridge.fit(lambda index: own[index], torch.ones(6, dtype=torch.int64), 2)
    torch.testing.assert_close(ridge.scores(embeddings), before, atol=1e-6, rtol=1e-5)


def test_without_classes_there_are_no_scores() -> None:
    embeddings, columns = clips(4, 6, 1)
    ridge = fitted(embeddings, columns, 1)
    ridge.remove(0, lambda: embeddings)
    ridge.solve(0)
    assert ridge.scores(embeddings).shape == (4, 0)
