"""The learning curve as a figure."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from trainables.pretraining.training import Point

_ALPHA = 0.25
_WINDOW = 50  # steps of the running mean


def curve(points: Sequence[Point], title: str) -> bytes:
    """PNG: loss of every step and its running mean, and the held-out scores.

    Args:
        points: of all steps so far, at least one.
        title: of the figure.
    """
    figure = Figure(figsize=(8, 3.6), dpi=144, layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", parse_math=False)
    steps = [point.step for point in points]
    losses = [point.loss for point in points]
    means = [sum(losses[max(0, last - _WINDOW) : last]) / min(last, _WINDOW) for last in range(1, len(losses) + 1)]
    left.plot(steps, losses, color="#0072B2", alpha=_ALPHA, linewidth=0.8)
    left.plot(steps, means, color="#0072B2", linewidth=1.8)
    left.set(xlabel="step", title=f"loss, and its mean over {_WINDOW} steps")
    retrieval = [(point.step, point.retrieval) for point in points if point.retrieval]
    for name, color, values in (
        ("nearest clip is from the same source", "#D55E00", [100 * score.first for _, score in retrieval]),
        ("mean average precision", "#009E73", [100 * score.precision for _, score in retrieval]),
    ):
        right.plot([step for step, _ in retrieval], values, color=color, marker="o", markersize=3, label=name)
    right.set(xlabel="step", title="held-out sources (%)", ylim=(0, 100))
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
