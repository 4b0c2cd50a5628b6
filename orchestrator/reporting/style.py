"""Shared Matplotlib style.

pyplot is not used, and the user's settings are neither read nor changed. Colours are those of Okabe and Ito (2008),
which colour-blind readers can distinguish, without the yellow, which is too pale on white. The same figure gives the
same bytes.
"""

import contextlib
import functools
import io
from collections.abc import Iterator

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.textpath import TextPath

from orchestrator.reporting.options import Format

DPI = 150
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, SOFT, GRID = "#1a1a1a", "#5f6368", "#e3e5e8"
NUMBER_POINTS = 9.0
"""Font size of labels and subtitles."""

FONT = "DejaVu Sans"
"""The font of all figures; it comes with Matplotlib."""
_OTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans CJK SC", "Noto Sans KR", "Noto Sans JP", "Noto Sans SC",
    "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo", "Hiragino Sans", "Yu Gothic", "Microsoft YaHei",
    "PingFang SC", "WenQuanYi Zen Hei", "Noto Sans Thai", "Noto Sans Devanagari", "Noto Sans Bengali",
    "Noto Sans Tamil", "Arial Unicode MS", "Unifont",
)  # fmt: skip
"""Where installed, these draw the characters that the first one lacks: Korean, Japanese, Chinese, Indian, Thai."""

_STYLE = {
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#9aa0a6",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": SOFT,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "ytick.major.size": 0,
}


def render(figure: Figure, form: Format) -> bytes:
    """Renders a figure; the same figure gives the same bytes."""
    return {"png": png, "svg": svg, "pdf": pdf}[form](figure)


def png(figure: Figure) -> bytes:
    """Renders a figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with own_settings():
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """Renders a figure as SVG with text as shapes; the same figure gives the same bytes."""
    buffer = io.StringIO()
    with own_settings(), matplotlib.rc_context({"svg.hashsalt": "earshot"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
        figure.set_dpi(DPI)  # print_svg sets 72
    return buffer.getvalue().encode()


def pdf(figure: Figure) -> bytes:
    """Renders a figure as PDF with embedded fonts; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    # Type 42 keeps text as text, as journals require; the default, type 3, stores drawings of the letters.
    with own_settings(), matplotlib.rc_context({"pdf.fonttype": 42}):
        no_metadata = {"CreationDate": None, "Creator": None, "Producer": None}
        FigureCanvasPdf(figure).print_pdf(buffer, metadata=no_metadata)
        figure.set_dpi(DPI)  # print_pdf sets 72
    return buffer.getvalue()


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Context manager that applies this style and ignores the user's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "font.family": list(_fonts())})
        yield


def drawable(text: str, instead: str | None = None) -> str:
    """The text that is drawn for a text from outside.

    Args:
        text: any.
        instead: drawn where a character is in none of the installed fonts (default: the text with a white square in
            the place of each such character).
    """
    missing = {char for char in text if not _has_glyph(char)}
    if missing and instead is not None:
        return instead
    return "".join("\u25a1" if char in missing else char for char in text)


@functools.cache
def _fonts() -> tuple[str, ...]:
    installed = {font.name for font in fontManager.ttflist}
    return (FONT, *(name for name in _OTHER_FONTS if name in installed))


@functools.cache
def _has_glyph(char: str) -> bool:
    return any(get_font(findfont(FontProperties(family=[name]))).get_char_index(ord(char)) for name in _fonts())


def head_width(title: str, subtitle: str) -> float:
    """Least width in inches of a figure with this title and subtitle."""
    return 0.45 + max(text_width(drawable(title), 12.5, bold=True), text_width(drawable(subtitle), NUMBER_POINTS))


def head(figure: Figure, title: str, subtitle: str) -> None:
    """Writes title and subtitle at the top of a figure."""
    width, height = figure.get_size_inches()
    left, inch = 0.2 / width, 1 / height
    figure.text(left, 1 - 0.18 * inch, drawable(title), size=12.5, weight="bold", va="top", parse_math=False)
    figure.text(left, 1 - 0.44 * inch, drawable(subtitle), size=NUMBER_POINTS, color=SOFT, va="top", parse_math=False)


def text_width(text: str, points: float, bold: bool = False) -> float:
    """Width in inches of a text that is `drawable`."""
    if not text.strip():
        return 0.0
    plain = text.replace("$", "S")  # a pair of dollars would be parsed as mathematics
    font = FontProperties(family=list(_fonts()), weight="bold" if bold else "normal")
    return float(TextPath((0, 0), plain, size=points, prop=font).vertices[:, 0].max()) / 72
