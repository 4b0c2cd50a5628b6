"""Colour, dash and symbol of each method and head: fixed, and the same in every chart of every run.

A style depends on the name alone, not on what else is in the chart, so that it does not change while a sweep runs, nor
between runs. The methods of this project have a table; a name that is not in it gets a style by the hash of the name,
with a dash that no method of the table has. What extends the name of a method (a backbone, a protocol) keeps its
colour.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish, without yellow and black, which
are too pale on white and invisible on a dark page, and with wine and grey instead.
"""

import hashlib
from dataclasses import dataclass

from orchestrator.results.backbones import Entry

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#A0427F", "#7F7F7F", "#8C6D1F")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = (
    "circle", "square", "diamond", "triangle-down", "triangle-up", "pentagon", "x", "cross", "star",
)  # fmt: skip
"""As Plotly calls them; `orchestrator.reporting.figures` has those of Matplotlib."""

METHODS = (
    "ede", "icarl", "simplecil", "finetune", "ranpac", "slda", "fecam", "joint", "cec",
    "fact", "der", "foster", "memo", "ease", "aper", "teen", "acil", "anacp",
    "ds-al", "gkeal", "klda", "mar", "l2p", "pass", "clap-text", "tape-like", "mfcc-ncm",
)  # fmt: skip
"""Methods in the order of their styles. New ones are appended: a style that is in use never changes."""

HEADS = (
    "prototype", "linear", "nme", "ridge", "mahalanobis", "adapted", "virtual", "refined", "text",
    "mixed", "uncalibrated", "nearest-mean", "discriminant",
)  # fmt: skip
"""Heads, likewise."""


@dataclass(frozen=True)
class SeriesStyle:
    """How a series is drawn.

    Attributes:
        colour: `#rrggbb`.
        dash: of its line, one of `DASHES`.
        symbol: of its points, one of `SYMBOLS`.
    """

    colour: str
    dash: str
    symbol: str


def method_style(method: str, variant: str = "") -> SeriesStyle:
    """The style of a method.

    Args:
        method: its name.
        variant: what distinguishes it from others of the same name: backbone, protocol; empty if nothing does.
    """
    style = _named_style(METHODS, method)
    if not variant:
        return style
    dash, symbol = divmod(_hash(variant) % (len(DASHES) * len(SYMBOLS)), len(SYMBOLS))
    return SeriesStyle(style.colour, DASHES[dash], SYMBOLS[symbol])


def entry_style(entry: Entry) -> SeriesStyle:
    """The style of a row of a table: of its method, with its backbone and protocol as the variant."""
    return method_style(entry.method, "+".join(filter(None, (entry.backbone, entry.protocol))))


def head_style(head: str) -> SeriesStyle:
    """The style of a head, where the heads of a method are compared."""
    return _named_style(HEADS, head)


def _named_style(known: tuple[str, ...], name: str) -> SeriesStyle:
    if name in known:
        turn, colour = divmod(known.index(name), len(COLOURS))
        return SeriesStyle(COLOURS[colour], DASHES[turn], SYMBOLS[(colour + 2 * turn) % len(SYMBOLS)])
    others = len(DASHES) - len(METHODS) // len(COLOURS)  # dashes that no method of the table has
    dash, rest = divmod(_hash(name) % (others * len(COLOURS) * len(SYMBOLS)), len(COLOURS) * len(SYMBOLS))
    colour, symbol = divmod(rest, len(SYMBOLS))
    return SeriesStyle(COLOURS[colour], DASHES[-1 - dash], SYMBOLS[symbol])


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
