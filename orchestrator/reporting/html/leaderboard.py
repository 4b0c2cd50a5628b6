"""The page of a leaderboard: a table for each benchmark, protocol and track; one HTML file without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from datasets.utils.text import one_line, printable
from orchestrator.publishing.leaderboard_row import Row
from orchestrator.publishing.results_file import Interval
from orchestrator.reporting.formatting import MISSING, percent, settings

RANKED = (
    "Ranked by the mean AA on validation clips, which configurations are chosen by; test AA is shown beside and ranks "
    "nothing. Rows of different protocol hashes or tracks are never in one table. Percent; test AA with its standard "
    "deviation over chains and the 95 % t interval of the mean."
)
HEADER = (
    ">#", "method", "backbone", ">chains", ">validation AA", ">test AA", ">95 % interval", ">PD", ">forgetting",
    ">seconds", "by", "code",
)  # fmt: skip
"""Columns; those that begin with '>' are right-aligned."""


@dataclass(frozen=True)
class Board:
    """The rows that are ranked with each other.

    Attributes:
        title: 'demo, protocol 1a2b3c4d, inductive'.
        rules: of the protocol.
        cells: a row of `HEADER` for each, best first.
        settings: of each row, as text.
    """

    title: str
    rules: str
    cells: tuple[tuple[str, ...], ...]
    settings: tuple[str, ...]


def boards(rows: Sequence[Row]) -> list[Board]:
    """The tables of a leaderboard, by benchmark, protocol and track.

    Args:
        rows: checked rows, in any order.
    """
    tables: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        tables.setdefault(row.table, []).append(row)
    return sorted(map(_board, tables.values()), key=lambda board: board.title)


def leaderboard_page(rows: Sequence[Row], title: str) -> str:
    """The page as HTML; all text of rows is escaped."""
    header = [(name.lstrip(">"), name.startswith(">")) for name in HEADER]
    html: str = _template().render(title=title, ranked=RANKED, header=header, boards=boards(rows))
    return html


def _board(rows: list[Row]) -> Board:
    first, names = rows[0], dict.fromkeys(row.benchmark for row in rows)
    ranked = sorted(rows, key=lambda row: (-(row.validation_aa.mean or 0.0), row.line()))
    rules = {key: value for key, value in first.rules.items() if key != "name"}
    return Board(
        title=_plain(f"{', '.join(names)}, protocol {first.protocol}, {first.track}"),
        rules=_plain(f"{first.sessions} sessions, {first.base} base classes, {settings(rules)}"),
        cells=tuple(_cells(place, row) for place, row in enumerate(ranked, start=1)),
        settings=tuple(_plain(settings(row.settings)) for row in ranked),
    )


def _cells(place: int, row: Row) -> tuple[str, ...]:
    version = "" if row.version is None else f" v{row.version}"
    code = row.commit or (f"earshot {row.earshot}" if row.earshot else MISSING)
    cells = (
        str(place), row.method + version, row.backbone.id if row.backbone else MISSING, str(len(row.chains)),
        _mean(row.validation_aa), f"{_mean(row.aa)} ± {_percent(row.aa.std)}",
        MISSING if row.aa.low is None else f"{_percent(row.aa.low)} to {_percent(row.aa.high)}",
        _mean(row.pd), _mean(row.forgetting), MISSING if row.seconds is None else f"{row.seconds:.0f}", row.by, code,
    )  # fmt: skip
    return tuple(_plain(cell) for cell in cells)


def _mean(value: Interval) -> str:
    return _percent(value.mean)


def _percent(value: float | None) -> str:
    return MISSING if value is None else percent(value)


def _plain(text: str) -> str:
    return printable(one_line(text))


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("orchestrator.reporting.html").joinpath("leaderboard.html.j2")
    return environment.from_string(source.read_text(encoding="utf-8"))
