"""Incremental ridge regression, compared with the closed form with an explicit Gram matrix and with least squares."""

import pytest
import torch
from torch import Tensor

from trainables.learners.analytic.ridge import PENALTIES, Ridge, held_out


def clips(count: int, dim: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(count, dim, generator=generator, dtype=torch.float64) + 0.5
    return embeddings, torch.arange(count) % classes


def closed_form(embeddings: Tensor, columns: Tensor, classes: int, penalty: float) -> Tensor:
    gram = embeddings.T @ embeddings
    targets = torch.nn.functional.one_hot(columns, classes).double()
    identity = torch.eye(len(gram), dtype=torch.float64)
    return torch.linalg.inv(gram + penalty * identity) @ embeddings.T @ targets


def least_squares(embeddings: Tensor, columns: Tensor, classes: int, penalty: float) -> Tensor:
    """The same solution, as least squares with the rows [X; sqrt(lambda) I] and targets [Y; 0], by QR.

    Its condition number is the square root of that of G + lambda I, so it is accurate for the smallest lambda, where
    the explicit inverse has few correct digits.
    """
    targets = torch.nn.functional.one_hot(columns, classes).double()
    dim = embeddings.shape[1]
    rows = torch.cat([embeddings, penalty**0.5 * torch.eye(dim, dtype=torch.float64)])
    orthogonal, triangle = torch.linalg.qr(rows)
    right = orthogonal.T @ torch.cat([targets, torch.zeros(dim, classes, dtype=torch.float64)])
    return torch.linalg.solve_triangular(triangle, right, upper=True)


def added(embeddings: Tensor, columns: Tensor, sizes: list[int], classes: int) -> Ridge:
    ridge = Ridge(embeddings.shape[1], "cpu")
    for rows in torch.arange(len(embeddings)).split(sizes):
        ridge.add(lambda index: embeddings[index], columns, classes, rows)
        assert sum(len(rows) for rows, _ in ridge.chunks) <= ridge.dim  # never more than M x M
    return ridge


@pytest.mark.parametrize("sizes", [[24], [1] * 24, [5, 5, 5, 5, 4], [20, 4]])
@pytest.mark.parametrize("dim", [60, 24, 7])  # more than, as many as, and fewer than clips
@pytest.mark.parametrize("penalty", [1e-2, 1.0, 1e4])
def test_the_solution_does_not_depend_on_chunks(sizes: list[int], dim: int, penalty: float) -> None:
    embeddings, columns = clips(24, dim, 3)
    ridge = added(embeddings, columns, sizes, 3)
    expected = closed_form(embeddings, columns, 3, penalty)
    torch.testing.assert_close(ridge.solution(penalty, 3), expected, atol=1e-9, rtol=1e-7)


def test_the_factor_keeps_both_statistics() -> None:
    """R^T R = G and R^T Z = Q, with far more clips than dimensions."""
    embeddings, columns = clips(5000, 6, 4)
    ((factor, targets),) = added(embeddings, columns, [5000], 4).chunks
    assert factor.shape == (6, 6)
    torch.testing.assert_close(factor.T @ factor, embeddings.T @ embeddings)
    torch.testing.assert_close(factor.T @ targets, embeddings.T @ torch.nn.functional.one_hot(columns, 4).double())


@pytest.mark.parametrize("dim", [40, 5])
def test_new_classes_are_new_columns(dim: int) -> None:
    embeddings, columns = clips(18, dim, 6)
    columns = columns.sort().values
    ridge = Ridge(dim, "cpu")
    penalties = []
    for classes in (2, 4, 6):  # each session has only its own clips
        new = (columns >= classes - 2) & (columns < classes)
        session, held = embeddings[new], torch.arange(6) % 3 == 0
        ridge.learn(lambda index, session=session: session[index], columns[new], classes, held)
        penalties.append(ridge.penalty)
        seen = columns < classes
        expected = least_squares(embeddings[seen], columns[seen], classes, ridge.penalty)
        torch.testing.assert_close(ridge.weights, expected, atol=1e-12, rtol=1e-9)
    assert dim == 5 or PENALTIES[0] in penalties  # the explicit inverse would be wrong by 1e-4 here
    torch.testing.assert_close(ridge.scores(embeddings.float()), (embeddings @ ridge.weights).float())


@pytest.mark.parametrize(("query", "penalty"), [(1, 1e-8), (2, 1.0), (11, 10.0), (101, 100.0)])
def test_lambda_by_hand(query: float, penalty: float) -> None:
    """One dimension, one class: fitted on phi = 1, w = 1 / (1 + lambda); phi w = 1 where lambda = phi - 1."""
    embeddings = torch.tensor([[1.0], [query]])
    ridge = Ridge(1, "cpu")
    ridge.learn(lambda rows: embeddings[rows], torch.tensor([0, 0]), 1, torch.tensor([False, True]))
    assert ridge.penalty == penalty
    # refitted with both
    torch.testing.assert_close(ridge.weights.item(), (1 + query) / (1 + query**2 + penalty))


@pytest.mark.parametrize(("alone", "penalty"), [(False, 1e-8), (True, 1.0)])
def test_lambda_with_the_earlier_sessions_by_hand(alone: bool, penalty: float) -> None:
    """An earlier clip phi = 10: w = (10 + 1) / (100 + 1 + lambda) is always below 1 / 2; without it, 2 w = 1 at 1."""
    earlier, embeddings = torch.tensor([[10.0]]), torch.tensor([[1.0], [2.0]])
    ridge = Ridge(1, "cpu")
    ridge.add(lambda rows: earlier[rows], torch.tensor([0]), 1, torch.tensor([0]))
    held = torch.tensor([False, True])
    ridge.learn(lambda rows: embeddings[rows], torch.tensor([0, 0]), 1, held, session_alone=alone)
    assert ridge.penalty == penalty
    torch.testing.assert_close(ridge.weights.item(), 13 / (105 + penalty))  # with all clips in both cases


@pytest.mark.parametrize("dim", [50, 8])
def test_lambda_has_the_lowest_error_on_held_out_clips(dim: int) -> None:
    generator = torch.Generator().manual_seed(3)
    columns = torch.arange(40) % 4
    means = torch.randn(4, dim, generator=generator, dtype=torch.float64)
    embeddings = means[columns] + 2 * torch.randn(40, dim, generator=generator, dtype=torch.float64)
    held = held_out(columns.tolist(), generator)
    expected = torch.nn.functional.one_hot(columns[held], 4).double()
    errors = {
        penalty: (embeddings[held] @ closed_form(embeddings[~held], columns[~held], 4, penalty) - expected)
        .square()
        .mean()
        for penalty in PENALTIES[6:]  # for smaller ones the explicit inverse is too inaccurate
    }
    best = min(errors, key=lambda penalty: float(errors[penalty]))
    assert PENALTIES[6] < best < PENALTIES[-1]
    ridge = Ridge(dim, "cpu")
    ridge.learn(lambda rows: embeddings[rows], columns, 4, held)
    assert ridge.penalty == best
    torch.testing.assert_close(ridge.weights, closed_form(embeddings, columns, 4, best))


def test_the_candidates_for_lambda() -> None:
    assert len(PENALTIES) == 17
    assert (PENALTIES[0], PENALTIES[8], PENALTIES[-1]) == pytest.approx((1e-8, 1, 1e8))


def test_identical_clips_of_two_classes_do_not_amplify_rounding_errors() -> None:
    """As in LS-100 as published: R R^T is singular and Z is not.

    Two identical clips of classes a and b have the targets (a + b) / 2.
    """
    embeddings, columns = clips(10, 200, 5)
    twice = 1e3 * torch.cat([embeddings, embeddings])
    ridge = added(twice, torch.cat([columns, columns + 5]), [20], 10)
    half = torch.nn.functional.one_hot(columns, 5).double() / 2
    expected = torch.linalg.pinv(1e3 * embeddings) @ torch.cat([half, half], dim=1)  # the limit of lambda to 0
    torch.testing.assert_close(ridge.solution(1e-8, 10), expected, atol=1e-12, rtol=1e-6)


@pytest.mark.parametrize(("shots", "held"), [(2, 1), (4, 1), (5, 1), (9, 1), (10, 2), (500, 100)])
def test_a_fifth_of_each_class_is_held_out(shots: int, held: int) -> None:
    labels = [7, 3, 9] * shots
    drawn = held_out(labels, torch.Generator().manual_seed(0))
    assert [int(drawn[torch.tensor(labels) == label].sum()) for label in (7, 3, 9)] == [held] * 3
    assert torch.equal(drawn, held_out(labels, torch.Generator().manual_seed(0)))


def test_held_out_clips_are_drawn() -> None:
    draws = {tuple(held_out([0] * 5, torch.Generator().manual_seed(seed)).tolist()) for seed in range(50)}
    assert len(draws) == 5


@pytest.mark.parametrize("dim", [30, 5])
def test_a_restored_ridge_continues_equally(dim: int) -> None:
    embeddings, columns = clips(12, dim, 3)
    held = torch.arange(12) % 4 == 0
    ridge = Ridge(dim, "cpu")
    ridge.learn(lambda rows: embeddings[rows], columns, 3, held)
    parts = ridge.parts()
    restored = Ridge.from_parts(parts, "cpu")
    later, later_columns = clips(12, dim, 3, seed=1)
    for copy in (ridge, restored):
        copy.learn(lambda rows: later[rows], later_columns + 3, 6, held)
    assert torch.equal(ridge.weights, restored.weights)
    assert ridge.penalty == restored.penalty
    assert ridge.count_values() == restored.count_values()
    if dim > 24:  # chunks that are not compressed have the same parts as before
        chunks = [name for name in parts if name.startswith("ridge-")]
        assert all(torch.equal(ridge.parts()[name]["rows"], parts[name]["rows"]) for name in chunks)
