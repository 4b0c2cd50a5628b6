"""Temperature scaling: scores become probabilities that agree with how often the model is right.

Guo et al. 2017, "On calibration of modern neural networks", arXiv 1706.04599:

    p        = softmax(scores / T)                            one temperature T per head: predictions do not change
    T        = argmin  - mean over clips of sum_c t_c log p_c       t: the class of the clip, smoothed (see below)

A model that is right about all n clips would get T = 0, hence certainty. So the targets are those of n + 1 clips, one
of them of unknown class: t = (n y + 1 / classes) / (n + 1), in the manner of Platt (1999).
"""

import math

from scipy.optimize import minimize_scalar
from torch import Tensor, nn

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
