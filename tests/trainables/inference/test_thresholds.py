"""Thresholds below which a sound is of none of the classes."""

import pytest
import torch

from trainables.inference.thresholds import choose_thresholds

KNOWN = torch.tensor([[float(score), -100.0] for score in range(1, 21)])  # unknown scores 1 to 20


@pytest.mark.parametrize(
    ("keep", "threshold", "kept"),
    [
        (1.0, 1, 1.0),
        (0.96, 1, 1.0),
        (0.95, 2, 0.95),
        (0.9, 3, 0.9),
        (0.5, 11, 0.5),
        (0.01, 20, 0.05),
        (1e-15, 20, 0.05),
    ],
)
def test_the_highest_threshold_that_keeps_a_fraction(keep: float, threshold: float, kept: float) -> None:
    chosen = choose_thresholds({"a": KNOWN}, {"a": torch.empty(0, 1)}, keep, 0)
    assert chosen is not None
    head = chosen.heads["a"]
    assert (head.value, head.kept, head.rejected) == (threshold, kept, None)
    assert (chosen.keep, chosen.clips, chosen.other_clips) == (keep, 20, 0)


def test_equal_scores_are_kept_together() -> None:
    chosen = choose_thresholds({"a": torch.ones(10, 3)}, {}, 0.5, 0)
    assert chosen is not None
    assert (chosen.heads["a"].value, chosen.heads["a"].kept) == (1, 1)


def test_other_classes_are_counted_and_do_not_change_it() -> None:
    """Each head on its own scale: 1 to 20, and a hundredth of that."""
    others = torch.tensor([[0.0, 1.0], [1.5, 0.0], [2.0, 0.0], [15.0, 3.0]])
    chosen = choose_thresholds({"a": KNOWN, "b": KNOWN / 100}, {"a": others, "b": others / 100}, 0.95, 2)
    assert chosen is not None and (chosen.other_clips, chosen.other_classes) == (4, 2)
    assert chosen.heads["a"].value == 2 and chosen.heads["b"].value == pytest.approx(0.02)
    assert [head.rejected for head in chosen.heads.values()] == [0.5, 0.5]


def test_without_validation_clips_there_is_none() -> None:
    assert choose_thresholds({"a": torch.empty(0, 1)}, {"a": KNOWN}, 0.95, 1) is None
