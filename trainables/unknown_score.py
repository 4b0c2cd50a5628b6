"""The unknown score: how much a clip looks like one of the classes that a model knows; low for a sound of none of them.

It is the highest score of the clip: for prototypes the similarity to the nearest one, for a linear head the largest
logit. This is the usual baseline of open-set recognition (Vaze et al., "Open-set recognition: a good closed-set
classifier is all you need?", ICLR 2022, arXiv 2110.06207; Hendrycks et al., "Scaling out-of-distribution detection for
real-world settings", ICML 2022, arXiv 1911.11132). It needs no temperature, and no clips of unknown classes.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from torch import Tensor


def unknown_score(scores: "Tensor") -> "Tensor":
    """The unknown score of clips: their highest score, `[clips]`, float64.

    Args:
        scores: `[clips, classes]`.
    """
    return scores.double().amax(dim=1)


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Area under the ROC curve: how often a known clip has a higher score than an unknown one, ties counted by half.

    (1 / (n m)) sum_i sum_j ( [known_i > unknown_j] + [known_i = unknown_j] / 2 ), the statistic of Mann and Whitney.

    Args:
        known: score of each clip of a known class, [n].
        unknown: score of each clip of an unknown class, [m].

    Returns:
        From 0 to 1, 1/2 for a score that does not depend on the class; NaN without clips of either kind.
    """
    known, unknown = np.asarray(known, dtype=float), np.sort(np.asarray(unknown, dtype=float))
    if not known.size or not unknown.size:
        return float("nan")
    below, not_above = (np.searchsorted(unknown, known, side=side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * unknown.size))
