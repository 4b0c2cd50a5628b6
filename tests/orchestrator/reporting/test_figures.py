"""Figures: their contents, readable labels, and the same bytes every time."""

import io
import itertools
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from orchestrator.reporting.figures import (
    Axis,
    Cloud,
    Curve,
    accuracy_curves,
    accuracy_matrix,
    head_panels,
    spread,
    trade_off,
)
from orchestrator.reporting.options import FORMATS
from orchestrator.reporting.series_styles import METHODS, method_style
from orchestrator.reporting.style import DPI, png, render

NAN = float("nan")
STYLES = [method_style(name) for name in METHODS]


def curves(count: int, sessions: int) -> list[Curve]:
    """Falling curves that end close to each other."""
    steps = np.arange(sessions, dtype=np.float64)
    return [
        Curve(f"method-{i}", 0.9 - 0.004 * i - 0.02 * steps, np.full(sessions, 0.01), method_style(f"method-{i}"))
        for i in range(count)
    ]


def ticks(sessions: int) -> list[str]:
    return [f"{t}\n({5 * (t + 1)})" for t in range(sessions)]


def assert_readable(figure: Figure, texts: list[str]) -> None:
    """All texts are drawn inside the figure, and no two overlap."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    visible = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert set(texts) <= {t.get_text() for t in visible}
    labels = [t for t in visible if t.get_text() in texts]
    boxes = [t.get_window_extent(canvas.get_renderer()) for t in labels]
    width, height = canvas.get_width_height()
    for label, box in zip(labels, boxes, strict=True):
        assert min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height, label.get_text()
    for (first, a), (second, b) in itertools.combinations(zip(labels, boxes, strict=True), 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 0 or along <= 0.15 * min(a.height, b.height), (first.get_text(), second.get_text())


@pytest.mark.parametrize(("count", "sessions"), [(1, 1), (1, 2), (2, 5), (8, 5), (8, 10), (16, 2)])
def test_every_curve_is_labelled_at_its_end(count: int, sessions: int) -> None:
    drawn = curves(count, sessions)
    figure = accuracy_curves(drawn, ticks(sessions), "Title", "explanation")
    labels = [f"{c.name}  {100 * c.mean[-1]:.1f}" for c in drawn]
    assert_readable(figure, ["Title", "explanation", *labels, *(ticks(sessions) if sessions <= 5 else [])])


@pytest.mark.parametrize(("count", "sessions"), [(1, 2), (2, 5), (5, 10)])
def test_head_panels_share_the_axis_of_accuracy(count: int, sessions: int) -> None:
    heads = [
        Curve(name, np.full(sessions, 0.8 - 0.1 * i), np.full(sessions, NAN), STYLES[i])
        for i, name in enumerate(["prototype", "linear", "nme"])
    ]
    names = [f"method-{i}" for i in range(count)]
    figure = head_panels([(name, heads) for name in names], [str(t) for t in range(sessions)], "Heads", "of all")
    assert_readable(figure, ["Heads", "of all", *names, "prototype  80.0", "linear  70.0", "nme  60.0"])
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_the_matrix_shows_defined_numbers_only() -> None:
    matrix = np.array([[0.9, NAN], [0.125, 1.0]])
    figure = accuracy_matrix(matrix, ["0", "1"], "ede: accuracy matrix a[t, j]", "prototype head")
    numbers = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert numbers == {(0, 0): "90.0", (0, 1): "12.5", (1, 1): "100.0"}
    assert_readable(figure, ["ede: accuracy matrix a[t, j]", "prototype head", "90.0", "12.5"])


@pytest.mark.parametrize("sessions", [1, 10, 30])
def test_matrices_of_any_size_are_readable(sessions: int) -> None:
    matrix = np.where(np.tri(sessions, dtype=bool), 0.5, NAN)
    figure = accuracy_matrix(matrix, [str(t) for t in range(sessions)], "matrix", "mean over 3 chains")
    assert_readable(figure, ["matrix", "mean over 3 chains"])


def test_the_label_of_a_curve_that_ends_early_names_the_session() -> None:
    short = Curve("ede", np.array([0.9, 0.8, NAN]), np.full(3, NAN), STYLES[0])
    complete = Curve("icarl", np.array([0.9, 0.8, 0.7]), np.full(3, NAN), STYLES[1])
    subtitle = "a subtitle that is wider than the axes and the labels of the curves together, so the figure is widened"
    figure = accuracy_curves([short, complete], ticks(3), "Title", subtitle)
    assert_readable(figure, ["Title", subtitle, "ede  80.0 (session 1)", "icarl  70.0"])


def test_the_line_is_the_mean_and_the_band_one_std() -> None:
    curve = Curve("ede", np.array([0.9, 0.8, NAN]), np.array([0.05, NAN, NAN]), STYLES[0])
    other = Curve("icarl", np.array([0.7, 0.6, 0.5]), np.array([0.1, 0.1, 0.1]), STYLES[1])
    axes = accuracy_curves([curve, other], ["0", "1", "2"], "", "").axes[0]
    marked = [line for line in axes.lines if line.get_marker() != "None"]
    np.testing.assert_allclose(np.asarray(marked[0].get_ydata(), dtype=float), np.array([90, 80, NAN]))
    band = np.asarray(axes.collections[1].get_paths()[0].vertices)
    assert band[:, 1].min() == pytest.approx(40) and band[:, 1].max() == pytest.approx(80)


@pytest.mark.parametrize("mean", [[0.0, 0.0], [1.0, 1.0], [NAN, NAN], [0.5, NAN]])
def test_limits_with_extreme_and_missing_values(mean: list[float]) -> None:
    figure = accuracy_curves([Curve("ede", np.array(mean), np.full(2, NAN), STYLES[0])], ticks(2), "Title", "x")
    low, high = figure.axes[0].get_ylim()
    assert 0 <= low < high <= 100 and high - low >= 20
    assert_readable(figure, ["Title"])


@pytest.mark.parametrize("name", ["$\\frac{", "a\nb", "%s {0} \\", "m" * 200])
def test_names_are_not_parsed_as_mathematics_and_are_shortened(name: str) -> None:
    mean = np.array([0.9, 0.8])
    figure = accuracy_curves([Curve(name, mean, mean * 0, STYLES[0])], ticks(2), "Title", "x")
    assert png(figure)
    shown = " ".join(name.split())
    shown = shown if len(shown) <= 28 else shown[:27] + "…"
    assert_readable(figure, [f"{shown}  80.0"])


def test_the_same_data_give_the_same_bytes_with_any_user_settings() -> None:
    def draw() -> bytes:
        return png(accuracy_curves(curves(3, 5), ticks(5), "Title", "how"))

    first = draw()
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "red", "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        assert draw() == first
        assert dict(matplotlib.rcParams) == before
    with Image.open(io.BytesIO(first)) as image:
        assert image.format == "PNG" and "Software" not in image.info
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)


def test_every_format_gives_the_same_bytes_in_any_order() -> None:
    def draw() -> Figure:
        return accuracy_curves(curves(2, 3), ticks(3), "Title", "how")

    figure, again = draw(), draw()
    first = {form: render(figure, form) for form in FORMATS}
    assert {form: render(again, form) for form in reversed(FORMATS)} == first
    assert ElementTree.fromstring(first["svg"]).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"Date" not in first["pdf"] and b"/FontFile2" in first["pdf"] and b"/Type3" not in first["pdf"]
    with Image.open(io.BytesIO(first["png"])) as image:
        points = tuple(round(72 * size / DPI, 1) for size in image.size)
    box = re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ([0-9.]+) \]", first["pdf"])
    assert box is not None and tuple(map(float, box.groups())) == pytest.approx(points, abs=1)


@pytest.mark.parametrize("line", [True, False])
def test_a_trade_off_fills_the_pareto_set_and_labels_methods_at_its_end(line: bool) -> None:
    """Higher AA over fewer parameters: the front is constant up to the next point."""
    x, y = np.array([3e6, 1e6, 2e6]), np.array([60.0, 40.0, 30.0])
    clouds = [
        Cloud("ede", x, y, np.array([True, True, False]), STYLES[0]),
        Cloud("icarl", x + 1e5, y + 0.1, np.array([True, True, False]), STYLES[1]),
        Cloud("empty set", np.full(1, NAN), np.full(1, NAN), np.array([False]), STYLES[2]),
    ]
    axis = Axis("parameters", up=False, percent=False), Axis("validation AA (%)", up=True, percent=True)
    figure = trade_off(clouds, *axis, "Title", "explanation", line=line)
    labels = ["parameters, lower is better", "validation AA (%), higher is better"]
    assert_readable(figure, ["Title", "explanation", "ede", "icarl", *labels])
    lines = figure.axes[0].lines
    open_points, filled = lines[0], lines[1]
    assert open_points.get_markerfacecolor() == "none" and list(np.asarray(open_points.get_ydata())) == [30]
    assert filled.get_markerfacecolor() != "none" and sorted(np.asarray(filled.get_ydata())) == [40, 60]
    steps = [artist for artist in lines if artist.get_drawstyle().startswith("steps")]
    assert {artist.get_drawstyle() for artist in steps} == ({"steps-post"} if line else set())


def test_spread_moves_only_values_that_are_too_close() -> None:
    assert spread([10.0, 50.0, 51.0], gap=4.0, low=0, high=100) == pytest.approx([10.0, 48.5, 52.5])
    assert spread([51.0, 50.0], gap=4.0, low=0, high=100) == pytest.approx([52.5, 48.5])
    assert spread([99.0, 99.0], gap=4.0, low=0, high=100) == pytest.approx([96.0, 100.0])
    assert spread([0.0, 0.0], gap=4.0, low=0, high=100) == pytest.approx([0.0, 4.0])
    assert spread([], gap=4.0, low=0, high=100) == []


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_spread_keeps_order_distance_and_range(values: list[float]) -> None:
    positions = spread(values, gap=4.0, low=0, high=100)
    ordered = sorted(positions)
    assert all(b - a >= 4.0 - 1e-9 for a, b in itertools.pairwise(ordered))
    assert ordered[0] >= -1e-9 and ordered[-1] <= 100 + 1e-9
    for (a, x), (b, y) in itertools.combinations(zip(values, positions, strict=True), 2):
        assert a == b or (a < b) == (x < y)


def test_curves_in_the_background_have_no_bands_and_thinner_lines() -> None:
    style, mean = STYLES[0], np.array([0.8, 0.5])
    curves = [Curve(f"method {i}", mean - 0.02 * i, np.full(2, 0.1), style, faint=i < 5) for i in range(8)]
    axes = accuracy_curves(curves, ticks(2), "Title", "x").axes[0]
    areas = [np.asarray(path.vertices) for band in axes.collections for path in band.get_paths()]
    assert sum(len(area) > 0 and np.ptp(area[:, 1]) > 0 for area in areas) == 3
    widths = [line.get_linewidth() for line in axes.lines if line.get_marker() == "o"]
    assert len(widths) == 8 and max(widths[:5]) < min(widths[5:])


def test_the_axis_fits_the_means_and_not_the_bands() -> None:
    curve = Curve("ede", np.array([0.9, 0.8, 0.75]), np.full(3, 0.4), STYLES[0])
    low, high = accuracy_curves([curve], ticks(3), "Title", "x").axes[0].get_ylim()
    assert low >= 70 and high <= 95
