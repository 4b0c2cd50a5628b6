"""The figure of an audit."""

import io
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from datasets.benchmark.audit import Audit
from orchestrator.auditing.audit import audit
from orchestrator.auditing.figure import _stride, audit_figure
from orchestrator.auditing.findings import shorten
from orchestrator.reporting.style import png, svg


def test_texts_are_inside_the_figure_and_the_bytes_are_reproducible(audited: Audit) -> None:
    figure = audit_figure(audited)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    shown = {text.get_text() for text in texts}
    assert {"<b>$x$</b>", "Audit of planted", "0=1", "base", "novel", "Level of the classes"} <= shown
    width, height = canvas.get_width_height()
    for text in texts:
        box = text.get_window_extent(canvas.get_renderer())
        assert min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()
    first = png(audit_figure(audited))
    assert first == png(audit_figure(audited)) and Image.open(io.BytesIO(first)).size[0] > 800
    assert svg(audit_figure(audited)) == svg(audit_figure(audited)) and svg(figure).startswith(b"<?xml")


def test_figure_of_a_clean_benchmark_has_no_empty_panels(clean: Path) -> None:
    figure = audit_figure(audit(clean))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Clips per class", "Level of the classes"]
    low, high = figure.axes[1].get_ylim()
    assert high - low >= 4  # dB


def test_class_names_without_a_font_are_numbers(clean: Path) -> None:
    """Characters that no font has would be drawn as boxes, with a warning for each; no usual font has U+13000."""
    audited = audit(clean)
    table = audited.clips.table
    names = ("강아지\U00013000", *table.class_names[1:])
    clips = replace(audited.clips, table=replace(table, class_names=names))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = audit_figure(replace(audited, name="소리\U00013000", clips=clips))
        png(figure)
    shown = {text.get_text() for text in figure.findobj(Text)}
    assert {"0", *map(shorten, names[1:])} <= shown and names[0] not in shown
    (title,) = (text for text in shown if text.startswith("Audit of "))
    assert title.endswith("\u25a1")


@pytest.mark.parametrize(
    ("classes", "stride"),
    [(31, 10), (200, 10), (201, 20), (2000, 100), (20_000, 1000), (20_001, 2000), (10**7, 500_000)],
)
def test_at_most_twenty_ticks_for_any_number_of_classes(classes: int, stride: int) -> None:
    assert _stride(classes) == stride and len(range(0, classes, stride)) <= 20
