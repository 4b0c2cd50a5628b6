"""A leaderboard: a file of rows in JSON lines that many people add to, each row checked whenever it is read.

    {"schema_version": 1, "benchmark": "demo", "protocol": "1a2b3c4d", "track": "inductive", "method": "acil", ...}

One line per configuration, sorted by what was run and not by score, so that a change of the file is the lines that were
added. The order of keys and the form of numbers are fixed: any other form of a line is a problem.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import one_line, printable
from orchestrator.publishing.leaderboard_row import METRICS, Row, problems, row_of
from orchestrator.publishing.results_file import Results

_SHOWN = 200  # characters of a value in a message


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line.

    Attributes:
        line: its number, from 1.
        reason: in words.
    """

    line: int
    reason: str


@dataclass(frozen=True)
class Added:
    """What `add` did.

    Attributes:
        rows: that were added.
        known: number of rows that the file had already.
        left_out: method -> why it has no row.
    """

    rows: tuple[Row, ...]
    known: int
    left_out: dict[str, str]


def read(place: Location) -> list[Row]:
    """The rows of a file, all of them checked.

    Raises:
        EarshotError: there is no such file, or a line is wrong; names the first one.
    """
    rows, found = parse(_content(place))
    found = found or check(rows)
    if found:
        more = f" ({len(found) - 1} more: earshot leaderboard check)" if len(found) > 1 else ""
        raise EarshotError(
            f"{place}: line {found[0].line}: {found[0].reason}; put back the line that `earshot leaderboard add` "
            f"wrote{more}"
        )
    return rows


def problems_of(place: Location) -> tuple[int, list[Problem]]:
    """Number of rows of a file, and everything that is wrong with them.

    Raises:
        EarshotError: there is no such file.
    """
    rows, found = parse(_content(place))
    return len(rows), found or check(rows)


def parse(content: bytes) -> tuple[list[Row], list[Problem]]:
    """The rows in the contents of a file, and the lines that are none."""
    rows, found = [], []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            found.append(Problem(number, _described(error)))
            continue
        rows.append(row)
        if _line(row) != line:
            found.append(Problem(number, "expected the keys, their order and the spaces of a row, found another form"))
    return rows, found


def check(rows: Sequence[Row]) -> list[Problem]:
    """What is wrong with rows: their numbers, their order, and what they say of each other."""
    found = [Problem(number, reason) for number, row in enumerate(rows, start=1) for reason in problems(row)]
    ordered = sorted(rows, key=_order)
    for number, (row, expected) in enumerate(zip(rows, ordered, strict=True), start=1):
        if row != expected:
            reason = "expected rows sorted by benchmark, protocol, track, method and version, found another order"
            found.append(Problem(number, reason))
            break
    known: dict[tuple[str, ...], list[tuple[int, Row]]] = {}
    digests: dict[tuple[str, str, str], tuple[int, str]] = {}
    for number, row in enumerate(rows, start=1):
        found += [Problem(number, reason) for reason in _repeated(row, known.setdefault(row.experiment, []))]
        known[row.experiment].append((number, row))
        found += [Problem(number, reason) for reason in _other_draws(number, row, digests)]
    return sorted(found, key=lambda problem: problem.line)


def add(place: Location, results: Results, by: str) -> Added:
    """Adds the selected configurations of a run that are complete; nothing is written if a row contradicts the file.

    Args:
        place: the file; made if there is none. On this machine, writers wait for each other.
        results: the run.
        by: who adds it.

    Raises:
        EarshotError: a line of the file is wrong, or has the same chains of the same person with other values; the run
            has no row; the file cannot be written.
    """
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for configuration in results.configurations:
        if configuration.selected is not None:
            try:
                row = row_of(results, configuration, by)
            except ValidationError as error:
                row = _described(error)
            if isinstance(row, Row):
                rows.append(row)
            else:
                left_out[configuration.method] = row
    if not rows:
        reasons = "; ".join(f"{printable(method)}: {reason}" for method, reason in left_out.items())
        raise EarshotError(
            f"run {printable(results.run)}: expected a method with finished chains, found none: {reasons}"
        )
    added, known = add_rows(place, rows)
    return Added(tuple(added), known, left_out)


def add_rows(place: Location, rows: Sequence[Row]) -> tuple[list[Row], int]:
    """Adds rows to a file.

    Returns:
        The rows that were added, and the number of those that the file had already.

    Raises:
        EarshotError: see `add`.
    """
    with _locked(place):
        before = read(place) if place.size() is not None else []
        scores = {(row.experiment, _values(row)) for row in before}
        added = [row for row in rows if (row.experiment, _values(row)) not in scores]
        after = sorted([*before, *added], key=_order)
        if found := check(after):
            row = after[found[0].line - 1]
            raise EarshotError(
                f"{place}: {printable(row.method)} on {printable(row.benchmark)} would be line {found[0].line}: "
                f"{found[0].reason}; nothing was written"
            )
        if added:
            place.write(contents(after))
    return added, len(rows) - len(added)


def contents(rows: Sequence[Row]) -> bytes:
    """The file that has these rows."""
    return "".join(f"{row.line()}\n" for row in sorted(rows, key=_order)).encode()


def _content(place: Location) -> bytes:
    try:
        return place.read_bytes()
    except FileNotFoundError:
        raise EarshotError(f"{place}: no such file; expected a leaderboard, see earshot leaderboard add") from None
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise EarshotError(f"{place}: expected a leaderboard, found: {reason}; name the file") from None


def _line(row: Row) -> str | None:
    """The line of a row; None if it has numbers that JSON does not have."""
    try:
        return row.line()
    except ValueError:
        return None


def _described(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    found = "" if first["type"] in ("missing", "json_invalid") else f", found {first['input']!r}"
    return printable(
        one_line(f"{f'{key}: ' if key else ''}{first['msg'].removeprefix('Value error, ')}{found}")[:_SHOWN]
    )


def _order(row: Row) -> tuple[object, ...]:
    return row.benchmark, *row.table, row.method, -1 if row.version is None else row.version, row.line()


def _values(row: Row) -> str:
    return json.dumps([[getattr(chain, name) for name in METRICS] for chain in row.chains])


def _repeated(row: Row, others: Sequence[tuple[int, Row]]) -> Iterator[str]:
    """Whether other rows are the same chains: with the same values, or with other values of the same person."""
    for number, other in others:
        if _values(row) == _values(other):
            yield f"expected different rows, found that of line {number} again"
        elif row.by == other.by:
            yield f"expected other seeds or settings than line {number}, which has other values for the same chains"


def _other_draws(number: int, row: Row, known: dict[tuple[str, str, str], tuple[int, str]]) -> Iterator[str]:
    """Whether chains with the same seeds of one protocol have other classes or clips than those of an earlier row."""
    for chain in row.chains:
        for name in ("class_order", "draw"):
            digest = getattr(chain, name)
            if digest is None:
                continue
            line, expected = known.setdefault((row.protocol, name, str(chain.seeds)), (number, digest))
            if digest != expected:
                yield f"chains: {name} of seeds {chain.seeds}: expected {expected} as in line {line}, found {digest}"
                return


@contextmanager
def _locked(place: Location) -> Iterator[None]:
    """Waits for other writers of the same folder on this machine; the folder itself is locked, so no file is left."""
    if place.local is None:
        yield
        return
    place.local.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(place.local.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
