"""Errors that go to the newest classes, compared with values computed by hand."""

import math

import numpy as np
import pytest

from trainables.metrics import SessionPredictions, score_chain
from trainables.recency import errors_to_newest, newest_classes

NAN = float("nan")


def test_by_hand() -> None:
    """Five classes, of which 3 and 4 are the newest. Errors: 0 -> 3, 0 -> 4, 1 -> 2, 3 -> 4; three of four go to them.

    Expected of an error of an old class: 2 of the 4 others, of one of the newest: 1 of 4; (3 * 2/4 + 1/4) / 4.
    """
    labels, predictions = [0, 0, 0, 1, 1, 2, 3, 4], [0, 3, 4, 1, 2, 2, 4, 4]
    assert errors_to_newest(labels, predictions, [3, 4], range(5)) == pytest.approx((3 / 4, (3 * 2 / 4 + 1 / 4) / 4))


@pytest.mark.parametrize(
    ("labels", "predictions", "newest", "present"),
    [
        ([0, 1], [0, 1], [1], [0, 1]),  # no error
        ([0, 1], [1, 0], [0, 1], [0, 1]),  # all classes are of the newest session
        ([0, 1], [1, 0], [2], [0, 1]),  # the newest class has left
        ([], [], [1], [0, 1]),
    ],
)
def test_where_it_is_undefined(
    labels: list[int], predictions: list[int], newest: list[int], present: list[int]
) -> None:
    assert all(map(math.isnan, errors_to_newest(labels, predictions, newest, present)))


def test_errors_without_preference_have_the_expected_share() -> None:
    """Every class is confused with every other class once."""
    pairs = [(label, other) for label in range(12) for other in range(12) if label != other]
    share, expected = errors_to_newest(*zip(*pairs, strict=True), newest=[9, 10, 11], present=range(12))
    assert share == pytest.approx(expected) == pytest.approx(3 * 11 / (12 * 11))


def test_in_a_chain_the_newest_classes_are_those_of_the_last_session_that_brought_any() -> None:
    """Session 1 brings class 2; in session 2 class 1 leaves: of its errors 0 -> 2 and 2 -> 1 one goes to class 2.

    Expected: K = 2 classes are present, so an error of class 0 would go to class 2, and one of class 2 to class 0.
    """
    assert newest_classes([[0, 1], [2], []]) == [2] and newest_classes([[], []]) == ()
    sessions = [
        SessionPredictions([0, 1], [1, 1]),
        SessionPredictions([0, 1, 2], [2, 1, 2]),
        SessionPredictions([0, 0, 2], [2, 0, 1]),
    ]
    scores = score_chain(sessions, [[0, 1], [2], []], planned=4, left=[[], [], [1]])
    np.testing.assert_allclose(scores.recency, [NAN, 1, 1 / 2, NAN])
    np.testing.assert_allclose(scores.recency_expected, [NAN, 1 / 2, 1 / 2, NAN])
