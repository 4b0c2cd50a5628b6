"""The table of predictions made from scores."""

import pytest
import torch

from trainables.records import SCORED_PREDICTIONS
from trainables.scoring import ScoredClips, predictions_table
from trainables.temperature import fit_temperature

CLASSES = [7, 3, 5, 0, 2, 9]


def test_the_best_classes_and_the_probability_of_the_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    validation = torch.randn(6, 6, generator=generator) + 2 * torch.eye(6)
    test = torch.tensor([[0.5, 4.0, 3.0, 1.0, 2.0, -1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    groups = [ScoredClips("val", label, [f"v{label}"], {"a": validation[i : i + 1]}) for i, label in enumerate(CLASSES)]
    table = predictions_table([*groups, ScoredClips("test", 3, ["t0", "t1"], {"a": test})], CLASSES)
    assert table.schema == SCORED_PREDICTIONS and table.num_rows == 8
    temperature = fit_temperature(validation, torch.arange(6))
    first, second = table.to_pylist()[-2:]
    assert (first["clip_id"], first["split"], first["label"], first["head"]) == ("t0", "test", 3, "a")
    assert (first["prediction"], first["top_classes"]) == (3, [3, 5, 2, 0, 7])
    assert first["top_scores"] == [4.0, 3.0, 2.0, 1.0, 0.5]
    expected = float((test[0].double() / temperature).softmax(dim=0).max())
    assert first["confidence"] == pytest.approx(expected, rel=1e-3)
    assert (second["prediction"], second["top_classes"]) == (7, CLASSES[:5])  # of equal scores the first
    assert second["confidence"] == pytest.approx(1 / 6, rel=1e-3)


def test_scores_keep_three_digits() -> None:
    values = torch.tensor([[1234.5678, -0.00012345678, 3.4e30, 1e-40, 0.0, -7.0]])
    table = predictions_table([ScoredClips("test", 7, ["t"], {"a": values})], CLASSES)
    (row,) = table.to_pylist()
    assert row["top_scores"] == pytest.approx([3.4e30, 1234.5678, 1e-40, 0.0, -0.00012345678], rel=1e-3)
    assert row["confidence"] is None  # no validation clips: no temperature


def test_fewer_classes_than_five() -> None:
    table = predictions_table([ScoredClips("test", 3, ["t"], {"a": torch.tensor([[0.0, 1.0]])})], [7, 3])
    assert table["top_classes"].to_pylist() == [[3, 7]]
