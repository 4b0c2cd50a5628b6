"""Measurements as rows: dictionaries that become one JSON list and one Markdown table."""

from collections.abc import Mapping, Sequence

from orchestrator.reporting.markdown import table

Row = Mapping[str, str | int | float]
"""Values by the name of their column, which has the unit."""


def rows_table(rows: Sequence[Row]) -> str:
    """A Markdown table; a row may lack columns of the others. Numbers have three significant digits or more."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numeric = {name for row in rows for name, value in row.items() if not isinstance(value, str)}
    header = [f">{name}" if name in numeric else name for name in columns]
    return table(header, [[_format(row.get(name, "")) for name in columns] for row in rows])


def _format(value: str | int | float) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
