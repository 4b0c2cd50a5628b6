"""Recency bias: errors that go to the classes learned last, and how many would if errors had no preference.

A classifier that is trained on the newest classes alone tends to predict them for clips of older ones, which shows as a
band at the right edge of a confusion matrix in the order of sessions.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike


def errors_to_newest(
    labels: ArrayLike, predictions: ArrayLike, newest: Collection[int], present: Collection[int]
) -> tuple[float, float]:
    """Share of the errors whose prediction is a class of the newest session, and the share expected without preference.

    With E errors, N newest classes and K classes present: (1/E) sum over errors of [prediction in newest]; expected,
    if the prediction were each of the K - 1 other classes with the same probability: (1/E) sum over errors of
    (N - [label in newest]) / (K - 1).

    Args:
        labels: true label of each clip, [clips].
        predictions: predicted label of each clip, [clips].
        newest: labels that the last session with new classes introduced.
        present: labels of all classes that have come and not left.

    Returns:
        The two shares, fractions of one; NaN without errors, and where all classes present are of the newest session.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    wrong = labels != predictions
    recent = list(set(newest) & set(present))
    if not wrong.any() or not recent or len(recent) == len(set(present)):
        return float("nan"), float("nan")
    share = np.isin(predictions[wrong], recent).mean()
    others = len(recent) - np.isin(labels[wrong], recent)
    return float(share), float(others.mean() / (len(set(present)) - 1))


def newest_classes(classes: Sequence[Sequence[int]]) -> Sequence[int]:
    """The labels that the last session with new classes introduced; a session in which classes leave brings none.

    Args:
        classes: the labels that each session introduced, in session order.
    """
    return next((labels for labels in reversed(classes) if labels), ())
