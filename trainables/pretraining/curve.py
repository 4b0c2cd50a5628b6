"""The learning curve as a picture."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from trainables.pretraining.training import Point

_SHADE = 0.25
_AVERAGED = 50  # steps


def curve(points: Sequence[Point], title: str) -> bytes:
    """PNG: loss of every step and its running mean, and the held-out scores.

    Args:
        points: of all steps so far, one at least.
        title: of the picture.
    """
    figure = Figure(figsize=(8, 3.6), dpi=144, layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold", parse_math=False)
    steps = [point.step for point in points]
    losses = [point.loss for point in points]
    means = [sum(losses[max(0, last - _AVERAGED) : last]) / min(last, _AVERAGED) for last in range(1, len(losses) + 1)]
    left.plot(steps, losses, color="#0072B2", alpha=_SHADE, linewidth=0.8)
    left.plot(steps, means, color="#0072B2", linewidth=1.8)
    left.set(xlabel="step", title=f"loss, and its mean over {_AVERAGED} steps")
    measured = [(point.step, point.retrieval) for point in points if point.retrieval]
    for name, color, values in (
        ("nearest clip is of the same source", "#D55E00", [100 * score.first for _, score in measured]),
        ("mean average precision", "#009E73", [100 * score.precision for _, score in measured]),
    ):
        right.plot([step for step, _ in measured], values, color=color, marker="o", markersize=3, label=name)
    right.set(xlabel="step", title="held-out sources (%)", ylim=(0, 100))
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
