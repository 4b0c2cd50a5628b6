"""Temperatures of an exported model."""

import math

import pytest
import torch

from trainables.inference.calibration import calibrate
from trainables.temperature import fit_temperature


def drawn(clips: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and classes drawn with the probabilities softmax(logits)."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(clips, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(dim=1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("temperature", [1e-3, 0.02, 1.0, 50.0])
def test_the_temperature_of_scores_on_any_scale(temperature: float) -> None:
    """Scores of a ridge differ by hundredths, distances by tens."""
    logits, columns = drawn(20_000, 10)
    scores = 0.1 + temperature * logits  # what all classes share changes nothing
    assert fit_temperature(scores, columns) == pytest.approx(temperature, rel=0.03)
    (head,) = calibrate({"a": scores}, columns.tolist()).heads.values()
    assert head.ece is not None and head.ece_uncalibrated is not None and head.accuracy is not None
    assert head.ece < 0.015
    assert temperature == 1 or head.ece_uncalibrated > 0.15
    assert head.accuracy == pytest.approx(float((scores.argmax(dim=1) == columns).double().mean()), abs=1e-6)


@pytest.mark.parametrize("clips", [1, 8, 40])
def test_a_model_that_is_always_right_is_not_certain(clips: int) -> None:
    """By hand: scores 1 and 0 of two classes have targets 1 - e and e, e = 1 / 2 (n + 1): 1 / T = log((1 - e) / e)."""
    smoothed = 0.5 / (clips + 1)
    temperature = fit_temperature(torch.tensor([[1.0, 0.0]] * clips), torch.zeros(clips, dtype=torch.int64))
    assert temperature == pytest.approx(1 / math.log((1 - smoothed) / smoothed), rel=1e-3)


def test_without_clips_or_without_differences_the_temperature_is_1() -> None:
    calibration = calibrate({"a": torch.empty(0)}, [])
    assert (calibration.clips, calibration.heads["a"].temperature, calibration.heads["a"].ece) == (0, 1, None)
    assert fit_temperature(torch.ones(4, 3), torch.tensor([0, 1, 2, 0])) == 1
