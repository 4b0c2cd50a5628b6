"""The figure of an audit: ceilings per session; clips, label pairs, leaks and level per class.

Panels without data are omitted. The style is that of `orchestrator.reporting.figures`.
"""

from collections.abc import Callable, Sequence
from itertools import count as numbers

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc
from matplotlib.ticker import MaxNLocator

from datasets.benchmark.audit import Audit, Shared, Similar
from datasets.benchmark.manifest import SPLITS
from orchestrator.auditing.findings import merged_ceilings, percent, shorten
from orchestrator.reporting.figures import spread
from orchestrator.reporting.style import (
    DPI,
    GRID,
    INK,
    PALETTE,
    SOFT,
    drawable,
    head,
    head_width,
    own_settings,
    text_width,
)

BLUE, VERMILION, ORANGE, SKY = PALETTE[0], PALETTE[1], PALETTE[4], PALETTE[5]
LINES = tuple(colour for colour in PALETTE if colour != VERMILION)  # reserved for defects
SPLIT_COLOURS = dict(zip(SPLITS, (BLUE, SKY, ORANGE), strict=True))

_LEFT, _RIGHT, _TOP, _GAP = 0.72, 0.3, 1.05, 0.82  # inches
_MAX_NAMED = 30  # with more classes, the axis has numbers instead of names
_MAX_PAIRS, _MAX_NAMED_PAIRS = 300, 12  # arcs that are drawn; with more pairs, arcs have no labels
_ARC = 0.16  # height of the circle of an arc, as a fraction of the highest bar
_TEXT = 9.0  # font size in points
_LEAST_RANGE = 4.0  # dB, of the axis of levels

Panel = tuple[float, Callable[[Axes], None]]  # height in inches, drawing function
Line = tuple[str, dict[int, float]]  # names of protocols, accuracy by the number of classes seen


def audit_figure(audit: Audit) -> Figure:
    """Draws an audit."""
    classes, clips = len(audit.clips.table.class_names), len(audit.clips.table)
    title = f"Audit of {shorten(audit.name)}"
    origin = "" if audit.measures is not None else ", from lists only"
    subtitle = f"{classes} classes, {clips} clips of {audit.clips.clip_seconds:g} s{origin}"
    panels: list[Panel] = []
    if audit.ceiling == 1:
        subtitle += "; identical test clips do not limit the accuracy"
    if any(min(ceiling.accuracy) < 1 for ceiling in audit.ceilings):
        panels.append((1.75, lambda axes: _ceilings(axes, audit)))
    by_class = [(1.9 if audit.pairs else 1.6, lambda axes: _clips(axes, audit))]
    if any(shared.positions for _, shared, _ in _shared_with_train(audit)):
        by_class.append((1.15, lambda axes: _leaks(axes, audit)))
    if audit.loudness is not None and not np.isnan(audit.loudness).all():
        by_class.append((1.7, lambda axes: _loudness(axes, audit)))
    panels += by_class
    with own_settings():
        names = [drawable(shorten(name), str(label)) for label, name in enumerate(audit.clips.table.class_names)]
        show_names = len(names) <= _MAX_NAMED
        bottom = 0.35 + max(text_width(name, 8.0) for name in names) if show_names else 0.62
        width = max(_LEFT + 7.6 + _RIGHT, head_width(title, subtitle))
        height = _TOP + sum(size for size, _ in panels) + _GAP * (len(panels) - 1) + bottom
        figure = Figure(figsize=(width, height), dpi=DPI)
        y = height - _TOP
        for index, (size, draw) in enumerate(panels):
            y -= size
            rectangle = (_LEFT / width, y / height, (width - _LEFT - _RIGHT) / width, size / height)
            axes = figure.add_axes(rectangle)
            draw(axes)
            if index >= len(panels) - len(by_class):
                _class_axis(axes, audit, names if show_names else None, index == len(panels) - 1)
                if index == len(panels) - len(by_class):
                    _label_parts(axes, audit.clips.base_classes)
            y -= _GAP
        head(figure, title, subtitle)
        return figure


def _ceilings(axes: Axes, audit: Audit) -> None:
    """A_t that duplicates allow, with a step at each session.

    A protocol whose sessions all lie on the line of another one is not drawn separately; its end is labelled.
    """
    protocols = [(names, dict(zip(one.classes, one.accuracy, strict=True))) for names, one in merged_ceilings(audit)]
    lines = [
        (names, points)
        for names, points in protocols
        if not any(points.items() < other.items() for _, other in protocols)
    ]
    low = 100 - max(10, 10 * np.ceil((102 - 100 * min(min(points.values()) for _, points in protocols)) / 10))
    for number, (_, points) in enumerate(lines):
        x, steps = [*points], [100 * value for value in points.values()]
        style = {"color": LINES[number % len(LINES)], "linewidth": 1.9, "marker": "o", "markersize": 3}
        axes.step(x, steps, where="post", zorder=3, clip_on=False, **style)
        if len(lines) == 1:
            axes.fill_between(x, steps, 100, step="post", color=VERMILION, alpha=0.12, linewidth=0)
    axes.set_xlim(0, max(max(points) for _, points in protocols))
    axes.set_ylim(low, 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_yticks(np.arange(low, 100.5, 5 if low >= 80 else 10 if low >= 50 else 20))
    _label_ends(axes, protocols, lines)
    _set_style(axes, "Highest accuracy that identical test clips allow", "accuracy (%)")
    axes.set_xlabel("classes seen so far")
    entries = [(names, LINES[number % len(LINES)]) for number, (names, _) in enumerate(lines)]
    _legend(axes, entries if len(lines) > 1 else [("unreachable", VERMILION)])


def _label_ends(axes: Axes, protocols: Sequence[Line], lines: Sequence[Line]) -> None:
    """Marks the end of each protocol, with its label on the side that its line does not use."""
    has_legend = len(lines) > 1
    ends: dict[tuple[int, float], list[str]] = {}
    for names, points in protocols:
        ends.setdefault(list(points.items())[-1], []).extend([] if has_legend and (names, points) in lines else [names])
    for (x, accuracy), labels in ends.items():
        number, line = next((n, line) for n, (_, line) in enumerate(lines) if (x, accuracy) in line.items())
        later = [value for classes, value in line.items() if classes > x]
        above = later[0] < accuracy if later else has_legend and accuracy < 0.98
        early = x < 0.8 * axes.get_xlim()[1]
        axes.plot(
            x, 100 * accuracy, "o", color=LINES[number % len(LINES)], markersize=7, markeredgecolor="white", zorder=4,
            clip_on=False,
        )  # fmt: skip
        axes.annotate(
            f"{', '.join(labels)}  {percent(accuracy)}".strip(), (x, 100 * accuracy),
            (5 if early else 0, 5 if above else -6), textcoords="offset points", size=_TEXT, parse_math=False,
            ha="left" if early else "right", va="bottom" if above else "top", zorder=5,
        )  # fmt: skip


def _clips(axes: Axes, audit: Audit) -> None:
    """Stacked bars of clips per class; arcs above connect labels with the same audio."""
    x, base = np.arange(len(audit.counts)), np.zeros(len(audit.counts))
    for split, column in zip(SPLITS, audit.counts.T, strict=True):
        axes.bar(x, column, bottom=base, width=0.8, color=SPLIT_COLOURS[split], linewidth=0)
        base = base + column
    top = max(float(base.max(initial=0)), 1.0)
    axes.set_ylim(0, top * (1.42 if audit.pairs else 1.03))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if audit.pairs:
        axes.set_yticks([tick for tick in axes.get_yticks() if tick <= top * 1.001])
    for pair in audit.pairs[:_MAX_PAIRS]:
        centre, width = (pair.first + pair.second) / 2, pair.second - pair.first
        axes.add_patch(Arc((centre, top * 1.03), width, top * _ARC, theta2=180, color=VERMILION, linewidth=1.6))
        axes.plot([pair.first, pair.second], [top * 1.03] * 2, "o", color=VERMILION, markersize=2.6, zorder=4)
    if 0 < len(audit.pairs) <= _MAX_NAMED_PAIRS:
        _label_pairs(axes, audit, top)
    _set_style(axes, "Clips per class", "clips")
    entries = [
        (split, SPLIT_COLOURS[split]) for split, count in zip(SPLITS, audit.counts.sum(axis=0), strict=True) if count
    ]
    _legend(axes, entries + [("labels with the same audio", VERMILION)] * bool(audit.pairs))


def _label_pairs(axes: Axes, audit: Audit, top: float) -> None:
    """Writes the labels above each arc, shifted if they would overlap."""
    names = [f"{pair.first}={pair.second}" for pair in audit.pairs]
    centres = [(pair.first + pair.second) / 2 for pair in audit.pairs]
    count, inches = len(audit.counts), axes.get_window_extent().width / DPI
    gap = (max(text_width(name, 7.5) for name in names) + 0.08) * count / inches
    for centre, x, name in zip(centres, spread(centres, gap, gap / 2, count - gap / 2), names, strict=True):
        peak, foot = top * (1.03 + _ARC / 2), top * (1.13 + _ARC / 2)
        axes.plot([centre, x], [peak, foot], color=VERMILION, linewidth=0.6, alpha=0.7)
        axes.text(x, foot, name, ha="center", va="bottom", size=7.5, color=VERMILION)


def _leaks(axes: Axes, audit: Audit) -> None:
    """The fraction of test clips per class that share a recording or the audio with train clips."""
    x, tests = np.arange(len(audit.counts)), np.maximum(audit.counts[:, 2], 1)
    entries = []
    for name, shared, colour in _shared_with_train(audit):
        if shared.positions:
            axes.bar(x, 100 * np.array(shared.by_label) / tests, width=0.8, color=colour, linewidth=0)
            entries.append((name, colour))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    _set_style(axes, "Test clips shared with train", "of a class (%)")
    _legend(axes, entries)


def _shared_with_train(audit: Audit) -> list[tuple[str, Shared | Similar, str]]:
    """Name, clips and colour of what test clips may share with train clips; later ones are drawn over earlier ones."""
    recordings = audit.sources[0]
    if audit.groups and audit.groups[0].keys > recordings.keys:
        recordings = audit.groups[0]
    kinds: list[tuple[str, Shared | Similar, str]] = [
        ("names with one stem", audit.stems[0], SKY),
        ("the same recording", recordings, ORANGE),
    ]
    if recordings.keys:  # their names are equal
        del kinds[0]
    if audit.similar:
        kinds.append(("nearly the same audio", audit.similar[0], BLUE))
    return [*kinds, ("the same audio", audit.splits[0], VERMILION)]


def _loudness(axes: Axes, audit: Audit) -> None:
    """Mean RMS of each class, plus and minus one standard deviation."""
    assert audit.loudness is not None
    x, (mean, std) = np.arange(len(audit.counts)), audit.loudness.T
    deviation = np.nan_to_num(std)
    axes.vlines(x, mean - deviation, mean + deviation, color=BLUE, alpha=0.3, linewidth=max(1.2, min(5, 160 / len(x))))
    axes.plot(x, mean, "o", color=BLUE, markersize=4.2, markeredgecolor="white", markeredgewidth=0.5, zorder=3)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    low, high = axes.get_ylim()
    room = max(0.0, _LEAST_RANGE - (high - low)) / 2  # a hundredth of a decibel would look like a difference
    axes.set_ylim(low - room, high + room)
    _set_style(axes, "Level of the classes", "RMS (dBFS)")
    _legend(axes, [("mean and one standard deviation", BLUE)])


def _class_axis(axes: Axes, audit: Audit, names: Sequence[str] | None, last: bool) -> None:
    count = len(audit.counts)
    axes.set_xlim(-0.7, count - 0.3)
    if names is None:
        axes.set_xticks(range(0, count, _stride(count)))
    else:
        axes.set_xticks(range(count), names if last else [""] * count, rotation=90, size=8)
        for label in axes.get_xticklabels():
            label.set_parse_math(False)
    if last and names is None:
        axes.set_xlabel("class (label)")
    base = audit.clips.base_classes
    if base and base < count:
        axes.axvline(base - 0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 2)), zorder=5)


def _stride(count: int) -> int:
    """The smallest of 10, 20, 50, 100, 200, ... that gives at most 20 ticks."""
    return next(
        step for power in numbers(1) for step in (10**power, 2 * 10**power, 5 * 10**power) if count <= 20 * step
    )


def _label_parts(axes: Axes, base: int | None) -> None:
    if base:
        for text, side, offset in (("base", "right", -4), ("novel", "left", 4)):
            axes.annotate(
                text, (base - 0.5, 1), (offset, 1), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                ha=side, va="bottom", size=7.5, color=SOFT,
            )  # fmt: skip


def _set_style(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title, loc="left", size=10.5, weight="bold", pad=13)
    axes.set_ylabel(unit)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.spines["left"].set_visible(False)


def _legend(axes: Axes, entries: Sequence[tuple[str, str]]) -> None:
    """Writes coloured names, right-aligned, on the line of the title."""
    inches = axes.get_window_extent().width / DPI
    x = 1.0
    for name, colour in reversed(entries):
        axes.annotate(
            name, (x, 1), (0, 13), xycoords="axes fraction", textcoords="offset points", ha="right", size=_TEXT,
            color=colour, weight="bold",
        )  # fmt: skip
        x -= (text_width(name, _TEXT, bold=True) + 0.18) / inches
