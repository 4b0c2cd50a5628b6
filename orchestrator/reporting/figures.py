"""Figures of results: accuracy curves, one panel of heads per method, accuracy matrices, trade-offs.

Functions take plain data and return a `matplotlib.figure.Figure` in the style of `orchestrator.reporting.style`. Series
have the styles of `orchestrator.reporting.series_styles`, and are labelled at their ends instead of in a legend. The
same data give the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from datasets.utils.text import one_line
from orchestrator.reporting.series_styles import SeriesStyle
from orchestrator.reporting.style import (
    DPI,
    GRID,
    INK,
    NUMBER_POINTS,
    SOFT,
    drawable,
    head,
    head_width,
    own_settings,
    text_width,
)

STROKES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (9, 3))}
"""Dashes of `series_styles` in Matplotlib."""
MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-down": "v", "triangle-up": "^", "pentagon": "p", "x": "X",
    "cross": "P", "star": "*",
}  # fmt: skip
"""Symbols of `series_styles` in Matplotlib."""
MATRIX_COLOURS = LinearSegmentedColormap.from_list(
    "earshot", ["#f5f9fd", "#cfe3f1", "#8fc1e0", "#3d93c6", "#0072B2", "#00456f"]
)
CEILING = SeriesStyle(SOFT, "dash", "")
"""Style of the curve that shows the highest possible accuracy."""
_LONGEST_NAME = 28  # characters


@dataclass(frozen=True)
class Curve:
    """Accuracy after each session.

    Attributes:
        name: label of the curve.
        mean: mean over chains of A_t as a fraction of one, [sessions]; NaN if no chain has finished the session.
        std: sample standard deviation, [sessions]; NaN if fewer than two chains have.
        style: colour, dash and symbol, or `CEILING`.
        faint: whether it is drawn in the background, without a band.
    """

    name: str
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    style: SeriesStyle
    faint: bool = False


@dataclass(frozen=True)
class Cloud:
    """Configurations of a method by two objectives.

    Attributes:
        name: name of the method.
        x: one objective, [configurations].
        y: the other objective, [configurations].
        optimal: mask of the Pareto set, [configurations].
        style: colour, dash and symbol.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    optimal: NDArray[np.bool_]
    style: SeriesStyle


@dataclass(frozen=True)
class Axis:
    """An objective on an axis.

    Attributes:
        label: label of the axis.
        up: whether higher is better.
        percent: whether it is a percentage; otherwise a count.
    """

    label: str
    up: bool
    percent: bool


def accuracy_curves(
    curves: Sequence[Curve], ticks: Sequence[str], title: str, subtitle: str, counted: str = "seen so far"
) -> Figure:
    """Draws A_t of several methods in one panel: a line for the mean, a band of +- one std.

    Args:
        curves: one per method.
        ticks: tick label of each session, [sessions].
        title: title of the figure.
        subtitle: explanation below the title.
        counted: which classes the ticks count: "seen so far", "present".
    """
    with own_settings():
        right = 0.52 + max(text_width(_label(curve), NUMBER_POINTS) for curve in curves)
        width, height = max(5.4 + right, head_width(title, subtitle)), max(4.6, 2.2 + 0.25 * len(curves))
        figure = Figure(figsize=(width, height), dpi=DPI)
        axes = figure.add_axes((0.72 / width, 0.72 / height, (width - 0.72 - right) / width, 1 - 1.5 / height))
        _panel(axes, curves, ticks, _limits(curves))
        axes.set_xlabel(f"session (classes {counted})")
        axes.set_ylabel("accuracy (%)")
        head(figure, title, subtitle)
        return figure


def head_panels(
    panels: Sequence[tuple[str, Sequence[Curve]]], ticks: Sequence[str], title: str, subtitle: str
) -> Figure:
    """Draws A_t of every head, one panel per method, with equal axes.

    Args:
        panels: (name of the method, one curve per head).
        ticks: tick label of each session, [sessions].
        title: title of the figure.
        subtitle: explanation below the title.
    """
    with own_settings():
        columns = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 9: 3}.get(len(panels), 4)
        rows = -(-len(panels) // columns)
        all_curves = [curve for _, curves in panels for curve in curves]
        right = 0.5 + max(text_width(_label(curve), NUMBER_POINTS) for curve in all_curves)
        cell_width, cell_height, left, top, bottom = 2.5 + right, 2.55, 0.72, 0.78, 0.6
        width, height = (
            max(left + columns * cell_width, head_width(title, subtitle)),
            top + rows * cell_height + bottom - 0.25,
        )
        figure = Figure(figsize=(width, height), dpi=DPI)
        limits = _limits(all_curves)
        for index, (name, curves) in enumerate(panels):
            row, column = divmod(index, columns)
            x, y = left + column * cell_width, height - top - (row + 1) * cell_height + 0.25
            panel_width = cell_width - right if columns > 1 else width - left - right
            axes = figure.add_axes((x / width, y / height, panel_width / width, (cell_height - 0.7) / height))
            _panel(axes, curves, ticks, limits)
            axes.set_title(_short(name), loc="left", size=10.5, weight="bold", pad=7, parse_math=False)
            if column == 0:
                axes.set_ylabel("accuracy (%)")
            else:
                axes.tick_params(labelleft=False)
            if index + columns >= len(panels):
                axes.set_xlabel("session")
        head(figure, title, subtitle)
        return figure


def accuracy_matrix(matrix: NDArray[np.float64], ticks: Sequence[str], title: str, subtitle: str) -> Figure:
    """Draws a[t, j] as a lower triangle of coloured cells; a column shows how its classes are forgotten.

    Args:
        matrix: a[t, j] as fractions of one, [sessions, sessions]; NaN is left blank.
        ticks: tick label of each session on the column axis, [sessions].
        title: title of the figure.
        subtitle: explanation below the title.
    """
    with own_settings():
        size = len(matrix)
        cell = min(0.62, max(0.2, 6.2 / size))
        side = max(cell * size, 1.9)
        left, top, bottom, right = 0.8, 0.98, 0.56, 1.15
        width = max(left + side + right, head_width(title, subtitle))
        height = top + side + bottom
        figure = Figure(figsize=(width, height), dpi=DPI)
        axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
        image = axes.imshow(100 * matrix, cmap=MATRIX_COLOURS, vmin=0, vmax=100, aspect="equal")
        edges = np.arange(size + 1) - 0.5
        axes.set_xticks(edges, minor=True)
        axes.set_yticks(edges, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.4)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        stride = -(-size // 20)
        axes.set_xticks(range(0, size, stride), [ticks[t] for t in range(0, size, stride)])
        axes.set_yticks(range(0, size, stride), [str(t) for t in range(0, size, stride)])
        axes.set_xlabel("classes of session j")
        axes.set_ylabel("after session t")
        if cell >= 0.34:
            for t, j in np.argwhere(~np.isnan(matrix)):
                ink = "white" if matrix[t, j] > 0.5 else INK
                text = f"{100 * matrix[t, j]:.1f}"
                axes.text(j, t, text, ha="center", va="center", color=ink, size=18 * cell - 2.4)
        bar = figure.add_axes(((left + side + 0.22) / width, bottom / height, 0.13 / width, side / height))
        figure.colorbar(image, cax=bar, ticks=[0, 25, 50, 75, 100])
        bar.tick_params(length=0, labelsize=8.5)
        bar.spines[:].set_visible(False)
        bar.set_title("%", fontsize=9, color=SOFT, loc="left", pad=6)
        head(figure, title, subtitle)
        return figure


def trade_off(clouds: Sequence[Cloud], x: Axis, y: Axis, title: str, subtitle: str, *, line: bool) -> Figure:
    """Draws configurations by two objectives; those of the Pareto set are filled.

    Args:
        clouds: one per method.
        x: objective on the horizontal axis.
        y: objective on the vertical axis.
        title: title of the figure.
        subtitle: explanation below the title.
        line: whether to draw the Pareto front as a step line; it would mislead for more than two objectives.
    """
    with own_settings():
        right = 0.52 + max(text_width(_short(cloud.name), NUMBER_POINTS) for cloud in clouds)
        width, height = max(5.4 + right, head_width(title, subtitle)), max(4.6, 2.2 + 0.25 * len(clouds))
        left = 0.95
        figure = Figure(figsize=(width, height), dpi=DPI)
        axes = figure.add_axes((left / width, 0.72 / height, (width - left - right) / width, 1 - 1.5 / height))
        for cloud in clouds:
            colour, stroke, marker = _line_style(cloud.style)
            points: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none", "clip_on": False}
            others, x_front, y_front = ~cloud.optimal, cloud.x[cloud.optimal], cloud.y[cloud.optimal]
            axes.plot(cloud.x[others], cloud.y[others], **points, markersize=5, markerfacecolor="none", alpha=0.55)
            axes.plot(x_front, y_front, **points, markersize=7, markeredgecolor="white", zorder=4)
            if line:
                order = np.argsort(x_front, kind="stable")
                axes.plot(
                    x_front[order], y_front[order], color=colour, linestyle=stroke,
                    drawstyle="steps-pre" if x.up else "steps-post", linewidth=1.2, alpha=0.6, zorder=3,
                )  # fmt: skip
        axes.margins(0.06)
        axes.set_xlim(axes.get_xlim())
        axes.set_ylim(axes.get_ylim())
        axes.set_xlabel(f"{x.label}, {'higher' if x.up else 'lower'} is better")
        axes.set_ylabel(f"{y.label}, {'higher' if y.up else 'lower'} is better")
        for axis, objective in ((axes.xaxis, x), (axes.yaxis, y)):
            axis.set_major_locator(MaxNLocator(5, integer=not objective.percent))
            axis.set_major_formatter(StrMethodFormatter("{x:g}") if objective.percent else EngFormatter(sep=""))
        axes.grid(color=GRID, linewidth=0.8)
        ends = []
        for cloud in clouds:
            if cloud.optimal.any():
                last = np.flatnonzero(cloud.optimal)[np.argmax(cloud.x[cloud.optimal])]
                colour, stroke, _ = _line_style(cloud.style)
                ends.append(End(float(cloud.x[last]), float(cloud.y[last]), _short(cloud.name), colour, ":", 0.45))
        _write_names(axes, ends, axes.get_ylim())
        head(figure, title, subtitle)
        return figure


def _panel(axes: Axes, curves: Sequence[Curve], ticks: Sequence[str], limits: tuple[float, float]) -> None:
    sessions = len(ticks)
    x = np.arange(sessions)
    for order, curve in enumerate(curves):
        colour, line, marker = _line_style(curve.style)
        mean, std = 100 * curve.mean, 100 * curve.std
        if not curve.faint:
            axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.13, linewidth=0, zorder=2)
        if sessions == 1:
            axes.errorbar(x, mean, np.nan_to_num(std), color=colour, capsize=4, linewidth=1.4, zorder=3 + order)
        axes.plot(
            x, mean, color=colour, linestyle=line, marker=marker, markersize=3 if curve.faint else 4.6,
            markeredgecolor="white", markeredgewidth=0.6, linewidth=1.0 if curve.faint else 1.9,
            alpha=0.45 if curve.faint else 1, zorder=3 + order, clip_on=False,
        )  # fmt: skip
    pad = 0.06 * max(sessions - 1, 1)
    axes.set_xlim(-pad if sessions > 1 else -1, sessions - 1 + pad if sessions > 1 else 1)
    axes.set_ylim(*limits)
    stride = -(-sessions // 12)
    axes.set_xticks(x[::stride], [ticks[t] for t in x[::stride]])
    axes.set_yticks(np.arange(limits[0], limits[1] + 1e-9, _step(limits[1] - limits[0])))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.spines["left"].set_visible(False)
    _name_ends(axes, curves, limits)


def _name_ends(axes: Axes, curves: Sequence[Curve], limits: tuple[float, float]) -> None:
    """Writes the name and last accuracy of each curve to the right of its end."""
    ends = []
    for curve in curves:
        finished = np.flatnonzero(~np.isnan(curve.mean))
        if len(finished):
            colour, line, _ = _line_style(curve.style)
            early = finished[-1] < len(curve.mean) - 1
            stroke, alpha = (":", 0.45) if early else (line, 0.75)  # must not look like a continuation of the curve
            y = float(100 * curve.mean[finished[-1]])
            ends.append(End(float(finished[-1]), y, _label(curve), colour, stroke, alpha))
    _write_names(axes, ends, limits)


@dataclass(frozen=True)
class End:
    """End of a series: its position, its label, and the style of the line that leads to the label."""

    x: float
    y: float
    text: str
    colour: str
    stroke: Any
    alpha: float


def _write_names(axes: Axes, ends: Sequence[End], limits: tuple[float, float]) -> None:
    """Writes labels to the right of the panel, moved apart where they would overlap."""
    box = axes.get_window_extent()
    inches = box.height / DPI / (limits[1] - limits[0])
    positions = spread([end.y for end in ends], gap=0.172 / inches, low=limits[0], high=limits[1])
    edge = axes.get_xlim()[1]
    per_inch = (edge - axes.get_xlim()[0]) / (box.width / DPI)
    for end, position in zip(ends, positions, strict=True):
        xs = [end.x, edge + 0.03 * per_inch, edge + 0.2 * per_inch, edge + 0.28 * per_inch]
        axes.plot(
            xs, [end.y, end.y, position, position], color=end.colour, linestyle=end.stroke, linewidth=0.9,
            alpha=end.alpha, clip_on=False, zorder=2,
        )  # fmt: skip
        axes.text(
            edge + 0.33 * per_inch, position, end.text, va="center_baseline", size=NUMBER_POINTS,
            parse_math=False, clip_on=False,
        )  # fmt: skip


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves values apart by the least squares until they are at least `gap` apart.

    Values that touch form a block around their mean; blocks that touch are merged (pool adjacent violators).

    Args:
        values: desired positions.
        gap: least distance between two positions.
        low: lower limit, as long as all positions fit.
        high: upper limit, as long as all positions fit.
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    blocks: list[list[float]] = []  # desired position of each member, minus the gaps before it
    for rank, index in enumerate(order):
        blocks.append([values[index] - rank * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    starts = [float(np.mean(block)) for block in blocks for _ in block]
    top = high - (len(values) - 1) * gap
    positions = [0.0] * len(values)
    for rank, index in enumerate(order):
        positions[index] = max(min(starts[rank], top), low) + rank * gap
    return positions


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """Axis limits in percent: multiples of the step around all means, within 0 to 100, at least 20 apart.

    Of a single session, around the error bars. Bands of few chains would leave little room for the curves.
    """
    margins = [np.nan_to_num(curve.std) if len(curve.std) == 1 else np.zeros_like(curve.std) for curve in curves]
    spans = np.concatenate(
        [100 * np.stack([c.mean - margin, c.mean + margin]) for c, margin in zip(curves, margins, strict=True)]
    )
    if np.isnan(spans).all():
        return 0.0, 100.0
    least, most = float(np.nanmin(spans)), float(np.nanmax(spans))
    step = _step(most - least)
    low = max(0.0, step * np.floor((least - 1) / step))
    high = min(100.0, step * np.ceil((most + 1) / step))
    if high - low < 20:
        low, high = max(0.0, high - 20), max(high, 20.0)
    return float(low), float(high)


def _step(span: float) -> int:
    """Distance of grid lines for a span in percent."""
    return 5 if span <= 25 else 10 if span <= 55 else 20


def _line_style(style: SeriesStyle) -> tuple[str, Any, str]:
    """Colour, line style and marker, as Matplotlib calls them."""
    return style.colour, STROKES[style.dash], MARKERS.get(style.symbol, "None")


def _short(name: str) -> str:
    name = drawable(one_line(name))
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _label(curve: Curve) -> str:
    """The name and last accuracy of a curve, with the session if it is not the last one."""
    finished = np.flatnonzero(~np.isnan(curve.mean))
    if not len(finished):
        return _short(curve.name)
    early = f" (session {finished[-1]})" if finished[-1] < len(curve.mean) - 1 else ""
    return f"{_short(curve.name)}  {100 * curve.mean[finished[-1]]:.1f}{early}"
