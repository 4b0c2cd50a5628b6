"""Calibration of an exported model: a temperature for each head, and how well its probabilities fit."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainables.inference.description import CALIBRATION_BINS, Calibration, HeadCalibration
from trainables.metrics import expected_calibration_error
from trainables.temperature import fit_temperature


def calibrate(scores: Mapping[str, Tensor], columns: Sequence[int]) -> Calibration:
    """Fits a temperature for every head to validation clips.

    Args:
        scores: `[clips, classes]` by head.
        columns: the class of each clip, as a column of the scores; if there are none, every temperature is 1.
    """
    return Calibration(
        clips=len(columns),
        bins=CALIBRATION_BINS,
        heads={head: _calibrate_head(values, torch.tensor(columns)) for head, values in scores.items()},
    )


def _calibrate_head(scores: Tensor, columns: Tensor) -> HeadCalibration:
    if not len(columns):
        return HeadCalibration(temperature=1.0)
    temperature = fit_temperature(scores, columns)
    correct = (scores.argmax(dim=1) == columns).numpy()
    calibrated, uncalibrated = (
        expected_calibration_error(
            (scores.double() / divisor).softmax(dim=1).amax(dim=1).numpy(), correct, CALIBRATION_BINS
        )
        for divisor in (temperature, 1)
    )
    return HeadCalibration(
        temperature=temperature,
        accuracy=round(float(correct.mean()), 6),
        ece=round(calibrated, 6),
        ece_uncalibrated=round(uncalibrated, 6),
    )
