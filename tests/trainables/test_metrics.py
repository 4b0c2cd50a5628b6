"""Metrics compared with values computed by hand."""

import math

import numpy as np
import pytest

from trainables import metrics
from trainables.metrics import SessionPredictions

NAN = float("nan")

# Three sessions; the last row has the final accuracies of each session's classes.
MATRIX = np.array(
    [
        [0.9, NAN, NAN],
        [0.8, 0.6, NAN],
        [0.5, 0.7, 0.4],
    ]
)


@pytest.mark.parametrize(
    ("labels", "predictions", "micro", "macro"),
    [
        ([0, 0, 0, 1], [0, 0, 0, 0], 0.75, 0.5),
        ([0, 0, 1, 1], [0, 1, 1, 1], 0.75, 0.75),
        ([3, 7, 7, 7], [7, 7, 7, 3], 0.5, (0 + 2 / 3) / 2),
        ([2], [2], 1.0, 1.0),
        ([], [], NAN, NAN),
    ],
)
def test_micro_and_macro_accuracy(labels: list[int], predictions: list[int], micro: float, macro: float) -> None:
    assert metrics.accuracy(labels, predictions) == pytest.approx(micro, nan_ok=True)
    assert metrics.macro_accuracy(labels, predictions) == pytest.approx(macro, nan_ok=True)


def test_class_accuracies_name_only_classes_with_clips() -> None:
    assert metrics.class_accuracies([5, 5, 9], [5, 9, 9]) == {5: 0.5, 9: 1.0}


def test_session_of_labels() -> None:
    np.testing.assert_array_equal(metrics.session_of_labels([[4, 0], [2]]), [0, -1, 1, -1, 0])
    assert len(metrics.session_of_labels([])) == 0
    with pytest.raises(ValueError, match="two sessions"):
        metrics.session_of_labels([[0, 1], [1]])


def test_accuracy_row_groups_by_the_session_that_introduced_the_label() -> None:
    session_of = metrics.session_of_labels([[4, 0], [2], [1]])
    row = metrics.accuracy_row([4, 0, 0, 0, 2, 2], [4, 0, 2, 0, 4, 2], session_of, 4)
    np.testing.assert_allclose(row, [0.75, 0.5, NAN, NAN])


def test_score_chain() -> None:
    classes = [[1, 0], [2]]
    sessions = [
        SessionPredictions([0, 0, 0, 1], [0, 0, 1, 1]),
        SessionPredictions([0, 0, 0, 1, 2, 2], [0, 2, 2, 1, 2, 0]),
    ]
    scores = metrics.score_chain(sessions, classes, planned=2)
    np.testing.assert_allclose(scores.matrix, [[0.75, NAN], [0.5, 0.5]])
    np.testing.assert_allclose(scores.micro, [0.75, 0.5])
    np.testing.assert_allclose(scores.macro, [(2 / 3 + 1) / 2, (1 / 3 + 1 + 1 / 2) / 3])
    np.testing.assert_allclose(scores.base, [0.75, 0.5])
    np.testing.assert_allclose(scores.novel, [NAN, 0.5])
    np.testing.assert_allclose(scores.harmonic, [NAN, 0.5])
    np.testing.assert_array_equal(scores.clips, [4, 6])


def test_the_expected_calibration_error() -> None:
    """Confidences 0.9, 0.8 (one right) and 0.6 (right): (|1 - 1.7| + |1 - 0.6|) / 3 with five bins."""
    confidences, correct = [0.9, 0.8, 0.6], [True, False, True]
    assert metrics.expected_calibration_error(confidences, correct, 2) == pytest.approx(abs(2 - 2.3) / 3)
    assert metrics.expected_calibration_error(confidences, correct, 5) == pytest.approx((0.1 + 0.8 + 0.4) / 3)
    assert math.isnan(metrics.expected_calibration_error([], []))
    assert math.isnan(metrics.expected_calibration_error([0.5, NAN], [True, True]))


def test_top_5_and_calibration_of_a_chain() -> None:
    """Five classes have no top-5 accuracy; predictions without scores have neither."""
    base = SessionPredictions(range(5), range(5), [1.0] * 5, [True] * 5)
    later = SessionPredictions(range(6), [0, 1, 2, 3, 4, 0], [1.0] * 6, [True, True, True, True, True, False])
    scores = metrics.score_chain([base, later], [range(5), [5]], planned=3)
    np.testing.assert_allclose(scores.top5, [NAN, 5 / 6, NAN])
    np.testing.assert_allclose(scores.ece, [0, 1 / 6, NAN])
    assert math.isnan(metrics.summarise(scores).final_top5)
    summary = metrics.summarise(metrics.score_chain([base, later], [range(5), [5]], planned=2))
    assert (summary.final_top5, summary.final_ece) == pytest.approx((5 / 6, 1 / 6))
    unknown = metrics.score_chain([SessionPredictions(range(6), range(6))], [range(6)], planned=1)
    assert math.isnan(unknown.top5[0]) and math.isnan(unknown.ece[0])


def test_classes_that_leave() -> None:
    """By hand: class 1 leaves in session 1; one of four clips is still predicted to be of it."""
    sessions = [
        SessionPredictions([0, 0, 1, 1], [0, 1, 1, 1]),
        SessionPredictions([0, 0], [0, 1]),
        SessionPredictions([0, 0, 2, 2], [0, 0, 2, 1]),
    ]
    scores = metrics.score_chain(sessions, [[0, 1], [], [2]], planned=3, left=[[], [1], []])
    np.testing.assert_allclose(scores.matrix, [[0.75, NAN, NAN], [0.5, NAN, NAN], [1.0, NAN, 0.5]])
    np.testing.assert_allclose(scores.micro, [0.75, 0.5, 0.75])
    np.testing.assert_allclose(scores.residual, [NAN, 0.5, 0.25])
    summary = metrics.summarise(scores)
    assert (summary.aa, summary.final_residual) == pytest.approx((2 / 3, 0.25))
    assert summary.forgetting == pytest.approx(0.75 - 1.0)


def test_missing_sessions_are_nan_and_never_zero() -> None:
    scores = metrics.score_chain(
        [SessionPredictions([0, 1], [0, 1]), SessionPredictions([0, 1, 2], [0, 0, 2])], [[0, 1], [2]], planned=4
    )
    np.testing.assert_allclose(scores.micro, [1.0, 2 / 3, NAN, NAN])
    np.testing.assert_allclose(scores.macro, [1.0, 2 / 3, NAN, NAN])
    assert np.isnan(scores.matrix[2:]).all()
    np.testing.assert_array_equal(scores.clips, [2, 3, 0, 0])
    summary = metrics.summarise(scores)
    for name in ("aa", "aa_macro", "pd", "final", "forgetting", "bwt", "ar", "msr", "cpi"):
        assert math.isnan(getattr(summary, name)), name


def test_a_chain_without_sessions() -> None:
    scores = metrics.score_chain([], [], planned=3)
    assert np.isnan(scores.micro).all()
    assert math.isnan(metrics.summarise(scores).aa)


@pytest.mark.parametrize(
    ("base", "novel", "expected"),
    [
        (0.8, 0.4, 0.64 / 1.2),
        (0.5, 0.5, 0.5),
        (1.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.9, NAN, NAN),
        (NAN, 0.9, NAN),
    ],
)
def test_harmonic_mean(base: float, novel: float, expected: float) -> None:
    assert metrics.harmonic_mean(base, novel) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("accuracies", "aa", "drop", "final"),
    [
        ([0.9, 0.6, 0.3], 0.6, 0.6, 0.3),
        ([0.4, 0.5], 0.45, -0.1, 0.5),
        ([0.7], 0.7, 0.0, 0.7),
        ([0.9, 0.6, NAN], NAN, NAN, NAN),
        ([], NAN, NAN, NAN),
    ],
)
def test_averages(accuracies: list[float], aa: float, drop: float, final: float) -> None:
    assert metrics.average_accuracy(accuracies) == pytest.approx(aa, nan_ok=True)
    assert metrics.performance_drop(accuracies) == pytest.approx(drop, nan_ok=True)
    assert metrics.final_accuracy(accuracies) == pytest.approx(final, nan_ok=True)


def test_forgetting_takes_the_best_before_the_last_session() -> None:
    # j = 0: max(0.9, 0.8) - 0.5 = 0.4; j = 1: 0.6 - 0.7 = -0.1. With l = T included, the second would be 0.
    assert metrics.forgetting(MATRIX) == pytest.approx(0.15)


def test_forgetting_is_not_the_difference_from_the_first_accuracy() -> None:
    matrix = np.array([[0.5, NAN, NAN], [0.9, 0.6, NAN], [0.4, 0.6, 0.8]])
    assert metrics.forgetting(matrix) == pytest.approx((0.5 + 0.0) / 2)
    assert metrics.backward_transfer(matrix) == pytest.approx((-0.1 + 0.0) / 2)


def test_backward_transfer() -> None:
    assert metrics.backward_transfer(MATRIX) == pytest.approx((-0.4 + 0.1) / 2)


def test_forgetting_and_backward_transfer_need_two_sessions() -> None:
    assert math.isnan(metrics.forgetting([[0.9]]))
    assert math.isnan(metrics.backward_transfer([[0.9]]))


def test_a_session_without_clips_is_left_out_of_forgetting() -> None:
    matrix = np.array([[0.9, NAN, NAN], [0.8, NAN, NAN], [0.5, NAN, 0.4]])
    assert metrics.forgetting(matrix) == pytest.approx(0.4)
    assert metrics.backward_transfer(matrix) == pytest.approx(-0.4)


def test_the_three_forgettings_differ() -> None:
    # the classes of session 0: 0.5, 0.9, 0.4; those of session 1: 0.6, 0.7
    matrix = np.array([[0.5, NAN, NAN], [0.9, 0.6, NAN], [0.4, 0.7, 0.8]])
    assert metrics.forgetting(matrix) == pytest.approx(((0.9 - 0.4) + (0.6 - 0.7)) / 2)
    assert metrics.forgetting_including_last(matrix) == pytest.approx(((0.9 - 0.4) + (0.7 - 0.7)) / 2)
    assert metrics.forgetting_avalanche(matrix) == pytest.approx(((0.5 - 0.4) + (0.6 - 0.7)) / 2)
    assert metrics.forgetting_avalanche(matrix) == pytest.approx(-metrics.backward_transfer(matrix))
    for metric in (metrics.forgetting, metrics.forgetting_including_last, metrics.forgetting_avalanche):
        assert math.isnan(metric([[0.9]])) and math.isnan(metric([[0.9, NAN], [NAN, NAN]]))


def test_intransigence_is_the_difference_from_joint_training_on_new_classes() -> None:
    joint = np.array([[0.9, NAN, NAN], [0.9, 0.8, NAN], [0.9, 0.8, 0.7]])
    assert metrics.intransigence(MATRIX, joint) == pytest.approx(((0.8 - 0.6) + (0.7 - 0.4)) / 2)
    assert metrics.intransigence(joint, joint) == pytest.approx(0)
    without = np.array([[0.9, NAN, NAN], [0.8, NAN, NAN], [0.5, NAN, 0.4]])  # session 1 has no clips
    assert metrics.intransigence(without, joint) == pytest.approx(0.3)
    unfinished = np.array([[0.9, NAN, NAN], [0.8, 0.6, NAN], [NAN, NAN, NAN]])
    assert math.isnan(metrics.intransigence(unfinished, joint))
    assert math.isnan(metrics.intransigence(joint, unfinished))
    assert math.isnan(metrics.intransigence([[0.9]], [[1.0]]))


def test_confusion_has_true_labels_in_rows() -> None:
    counts = metrics.confusion([0, 0, 1, 2, 2], [0, 1, 1, 0, 0], 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 0], [2, 0, 0]])
    np.testing.assert_array_equal(metrics.confusion([], [], 2), np.zeros((2, 2)))


def test_ar_msr_cpi() -> None:
    base, novel = [0.8, 0.7, 0.6], [NAN, 0.5, 0.3]
    assert metrics.ar(base) == pytest.approx(0.25)
    assert metrics.msr(base) == pytest.approx(0.75)
    assert metrics.cpi(base, novel) == pytest.approx((0.75 + 0.4) / 2)
    assert math.isnan(metrics.ar([0.0, 0.0]))
    assert math.isnan(metrics.cpi([0.8], [NAN]))
    assert math.isnan(metrics.cpi([0.8, 0.7, NAN], [NAN, 0.5, NAN]))


def test_summary_of_a_whole_chain() -> None:
    # one class per session, four clips each: correct after each session [4], [3, 2], [2, 3, 1]
    correct = [[4], [3, 2], [2, 3, 1]]
    sessions = []
    for row in correct:
        labels = np.repeat(np.arange(len(row)), 4)
        right = np.concatenate([np.arange(4) < count for count in row])
        sessions.append(SessionPredictions(labels, np.where(right, labels, (labels + 1) % 3)))
    summary = metrics.summarise(metrics.score_chain(sessions, [[0], [1], [2]], planned=3))
    assert summary.aa == pytest.approx((1 + 5 / 8 + 6 / 12) / 3)
    assert summary.aa_macro == pytest.approx(summary.aa)
    assert summary.pd == pytest.approx(0.5)
    assert summary.final == pytest.approx(0.5)
    assert summary.forgetting == pytest.approx((0.5 - 0.25) / 2)
    assert summary.bwt == pytest.approx((-0.5 + 0.25) / 2)
    assert summary.ar == pytest.approx(0.5)
    assert summary.msr == pytest.approx(0.5)
    assert summary.cpi == pytest.approx((0.5 + (0.5 + 0.5) / 2) / 2)
    assert (summary.final_base, summary.final_novel) == pytest.approx((0.5, (0.75 + 0.25) / 2))
    assert summary.final_harmonic == pytest.approx(0.5)
    assert (summary.forgetting_including_last, summary.forgetting_avalanche) == pytest.approx((0.5 / 2, 0.25 / 2))


def test_micro_and_macro_differ_if_classes_have_unequal_numbers_of_clips() -> None:
    # session 0: class 0, four clips, all right; session 1: class 1, one clip, wrong, and class 0 has 2 of 4
    sessions = [SessionPredictions([0] * 4, [0] * 4), SessionPredictions([0, 0, 0, 0, 1], [0, 0, 1, 1, 0])]
    summary = metrics.summarise(metrics.score_chain(sessions, [[0], [1]], planned=2))
    assert (summary.final, summary.final_macro) == pytest.approx((2 / 5, (1 / 2 + 0) / 2))
    assert (summary.pd, summary.pd_macro) == pytest.approx((1 - 2 / 5, 1 - 1 / 4))
    assert (summary.aa, summary.aa_macro) == pytest.approx(((1 + 2 / 5) / 2, (1 + 1 / 4) / 2))


def test_unknown_auroc_of_a_chain() -> None:
    """By hand: 3 of 4 pairs are in order after session 0, half of them after session 1; nothing comes after 2."""
    first = SessionPredictions([0, 1], [0, 1], scores=[3, 1], unknown_scores=[2, 0])
    second = SessionPredictions([0, 1, 2], [0, 1, 2], scores=[1, 1, 1], unknown_scores=[1])
    third = SessionPredictions([0, 1, 2, 3], [0, 1, 2, 3], scores=[4, 3, 2, 1])
    classes = [[0, 1], [2], [3]]
    scores = metrics.score_chain([first, second, third], classes, planned=3)
    np.testing.assert_allclose(scores.unknown_auroc, [0.75, 0.5, NAN])
    assert metrics.summarise(scores).unknown_auroc == 0.625
    unfinished = metrics.score_chain([first, second], classes[:2], planned=3)
    assert math.isnan(metrics.summarise(unfinished).unknown_auroc)
    old = second._replace(unknown_scores=None)  # a session of an earlier version
    assert math.isnan(metrics.summarise(metrics.score_chain([first, old, third], classes, planned=3)).unknown_auroc)
    one = metrics.score_chain([third], [[0, 1, 2, 3]], planned=1)
    assert math.isnan(metrics.summarise(one).unknown_auroc)


def test_unknown_auroc_where_classes_leave() -> None:
    """The mean is over the sessions before the last one that brings classes."""
    kept = SessionPredictions([0, 1], [0, 1], scores=[2, 2], unknown_scores=[1])
    left = SessionPredictions([0], [0], scores=[1], unknown_scores=[2])
    last = SessionPredictions([0, 2], [0, 2], scores=[1, 1])
    end = SessionPredictions([2], [2], scores=[1])
    classes: list[list[int]] = [[0, 1], [], [2], []]
    scores = metrics.score_chain([kept, left, last, end], classes, 4, left=[[], [1], [], [0]])
    np.testing.assert_allclose(scores.unknown_auroc, [1, 0, NAN, NAN])
    assert metrics.summarise(scores).unknown_auroc == 0.5
