"""The unknown score, and its AUROC compared with scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from trainables.unknown_score import auroc, unknown_score


@pytest.mark.parametrize(
    ("known", "unknown", "expected"),
    [
        ([3, 2], [1, 0], 1.0),
        ([0, 1], [2, 3], 0.0),
        ([1, 1], [1], 0.5),
        ([3, 1], [2, 0], 0.75),
        ([2, 1], [2], 0.25),
        ([-math.inf, 5], [0], 0.5),
    ],
)
def test_auroc_by_hand(known: list[float], unknown: list[float], expected: float) -> None:
    assert auroc(known, unknown) == expected


@pytest.mark.parametrize("values", [3, 50, 10**6], ids=["many ties", "ties", "no ties"])
def test_auroc_is_that_of_scikit_learn(values: int) -> None:
    random = np.random.default_rng(values)
    known, unknown = random.integers(0, values, 70) + values // 5, random.integers(0, values, 30)
    labels = np.repeat([1, 0], [70, 30])
    expected = roc_auc_score(labels, np.concatenate([known, unknown]))
    assert auroc(known, unknown) == pytest.approx(expected, abs=1e-12)
    assert auroc(unknown, known) == pytest.approx(1 - expected, abs=1e-12)


def test_without_clips_of_either_kind_it_is_undefined() -> None:
    assert math.isnan(auroc([], [1])) and math.isnan(auroc([1], []))


def test_the_unknown_score_is_the_highest() -> None:
    assert unknown_score(torch.tensor([[-3.0, -1.0, -2.0], [0.5, 0.25, 0.0]])).tolist() == [-1.0, 0.5]
