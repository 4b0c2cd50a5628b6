"""Calibration: scores become probabilities that agree with how often the model is right.

Guo et al. 2017, "On calibration of modern neural networks", arXiv 1706.04599:

    p        = softmax(scores / T)                            one temperature T per head: predictions do not change
    T        = argmin  - mean over clips of sum_c t_c log p_c       t: the class of the clip, smoothed (see below)
    ECE      = sum over bins b of  n_b / n |accuracy_b - confidence_b|

The confidence of a clip is its largest probability; the bins divide 0 to 1 evenly.

A model that is right about all n clips would get T = 0, hence certainty. So the targets are those of n + 1 clips, one
of them of unknown class: t = (n y + 1 / classes) / (n + 1), in the manner of Platt (1999).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from trainables.inference.description import CALIBRATION_BINS, Calibration, HeadCalibration

RANGE = (1e-6, 1e6)  # T lies within, times the standard deviation of the scores


def fit_temperature(scores: Tensor, columns: Tensor) -> float:
    """The temperature of a head.

    Args:
        scores: `[clips, classes]`.
        columns: the class of each clip, as a column of the scores.

    Returns:
        T; 1 if all classes have equal scores, so that no temperature changes anything.
    """
    values = scores.double()
    deviation = float((values - values.mean(dim=1, keepdim=True)).square().mean().sqrt())
    if not deviation > 0:
        return 1.0
    clips, classes = values.shape
    targets = (clips * nn.functional.one_hot(columns, classes).double() + 1 / classes) / (clips + 1)

    def loss(log_temperature: float) -> float:
        return float(nn.functional.cross_entropy(values / math.exp(log_temperature), targets))

    # the loss is convex in 1 / T, so it has one minimum in log T
    bounds = tuple(math.log(deviation * bound) for bound in RANGE)
    fitted = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(f"{math.exp(fitted.x):.5g}")  # what a repeated export on the same machine gives again


def expected_calibration_error(probabilities: Tensor, columns: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """ECE of the most probable classes, from 0 to 1.

    Args:
        probabilities: `[clips, classes]`.
        columns: the class of each clip, as a column of the probabilities.
        bins: number of bins of equal width; a confidence on an edge belongs to the lower bin.
    """
    confidence, predicted = probabilities.double().max(dim=1)
    excess = confidence - (predicted == columns).double()
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    sums = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, excess)
    return round(float(sums.abs().sum()) / len(columns), 6)


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
    calibrated, uncalibrated = (
        expected_calibration_error((scores.double() / divisor).softmax(dim=1), columns) for divisor in (temperature, 1)
    )
    return HeadCalibration(
        temperature=temperature,
        accuracy=round(float((scores.argmax(dim=1) == columns).double().mean()), 6),
        ece=calibrated,
        ece_uncalibrated=uncalibrated,
    )
