"""The output of `earshot compare`: a table and sentences, or JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.utils.console import PIPE_WIDTH, first_that_fits
from orchestrator.reporting.formatting import interval, number, percent
from orchestrator.reporting.sentences import chosen_configuration, comparison_notes, verdict
from orchestrator.results.measures import Measure
from orchestrator.statistics.comparison import ComparedMethod, Comparison, count_tested
from trainables.records import INDUCTIVE

_OPTIONAL = ("r", "d_z", "Holm (W)", "p (W)", "mean B", "mean A", "p (t)")
"""Columns that a narrow terminal leaves out, in this order."""
_LEGEND = "t: paired t test; W: Wilcoxon's signed rank test; d_z, r: effect sizes (Cohen; rank biserial)"


def print_comparison(
    compared: Sequence[ComparedMethod], comparisons: Sequence[Comparison], measure: Measure, console: Console
) -> None:
    """Prints the table, the chosen configurations, the verdicts and the notes."""
    console.print(comparison_table(comparisons, measure, console.width, protocols_shown(compared)))
    console.print(_LEGEND)
    console.print(Text(protocols_line(compared)), soft_wrap=True)
    for lines in (
        [chosen_configuration(method) for method in compared],
        [
            *(verdict(comparison, measure, count_tested(comparisons)) for comparison in comparisons),
            *comparison_notes(compared, comparisons, measure),
        ],
    ):
        console.print()
        for line in lines:
            console.print(Text(line), soft_wrap=True)


def protocols_shown(compared: Sequence[ComparedMethod]) -> dict[str, str]:
    """Label -> protocol hash; empty if all methods have the same."""
    protocols = {method.label: method.protocol for method in compared}
    return protocols if len(set(protocols.values())) > 1 else {}


def protocols_line(compared: Sequence[ComparedMethod]) -> str:
    """'protocol 1a2b3c4d', or a warning about several."""
    hashes = sorted({method.protocol for method in compared})
    if len(hashes) == 1:
        return f"protocol {hashes[0]}"
    return f"protocols {', '.join(hashes)}: a difference between rows of two protocols is not that of methods alone"


def comparison_table(
    comparisons: Sequence[Comparison],
    measure: Measure,
    width: int = PIPE_WIDTH,
    protocols: Mapping[str, str] | None = None,
) -> Table:
    """One row per comparison, in percent and points.

    Args:
        comparisons: the rows.
        measure: the compared metric.
        width: columns of the terminal; less important columns are left out until the table fits.
        protocols: label -> protocol hash, shown in a column; none if empty.
    """
    rows = [_cells(comparison, protocols or {}) for comparison in comparisons]
    if all(comparison.tracks == (INDUCTIVE, INDUCTIVE) for comparison in comparisons):
        rows = [{name: cell for name, cell in row.items() if name != "track"} for row in rows]
    columns = ([name for name in rows[0] if name not in _OPTIONAL[:dropped]] for dropped in range(len(_OPTIONAL) + 1))
    return first_that_fits((_table(rows, measure, shown) for shown in columns), width)


def _table(rows: Sequence[dict[str, str]], measure: Measure, columns: Sequence[str]) -> Table:
    table = Table(
        title=Text(f"{measure.title} on test clips (%)", style="bold"),
        box=None, padding=(0, 2, 0, 0), header_style="bold", title_justify="left",
    )  # fmt: skip
    for name in columns:
        is_text = name in ("A", "B", "track", "protocol")
        table.add_column(name, overflow="fold", justify="left" if is_text else "right", no_wrap=not is_text)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in columns))
    return table


def _cells(comparison: Comparison, protocols: Mapping[str, str]) -> dict[str, str]:
    """Name of the column -> cell."""
    test = comparison.test
    hashes = [protocols[label] for label in (comparison.first, comparison.second) if label in protocols]
    return {
        "A": comparison.first,
        "B": comparison.second,
        "track": comparison.tracks[0] if comparison.tested else "different",
        **({"protocol": " / ".join(dict.fromkeys(hashes))} if hashes else {}),
        "n": str(test.n),
        "mean A": percent(comparison.means[0]),
        "mean B": percent(comparison.means[1]),
        "A - B": percent(test.mean),
        "95 % interval": interval(test.low, test.high),
        "p (t)": number(test.p_t, ".3f"),
        "Holm (t)": number(comparison.p_holm, ".3f"),
        "p (W)": number(test.p_wilcoxon, ".3f"),
        "Holm (W)": number(comparison.p_wilcoxon_holm, ".3f"),
        "d_z": number(test.d_z, "+.2f"),
        "r": number(test.rank_biserial, "+.2f"),
    }


def as_json(compared: Sequence[ComparedMethod], comparisons: Sequence[Comparison], measure: Measure) -> dict[str, Any]:
    """The comparison in JSON types and NaN; accuracies are fractions of one."""
    methods = [
        {
            "label": method.label,
            "run": str(method.run.path),
            "method": method.choice.method,
            "backbone": method.choice.backbone,
            "track": method.choice.track,
            "protocol": method.protocol,
            "configuration": method.choice.configuration,
            "head": method.head,
            "validation_aa": method.choice.validation_aa,
            "candidates": method.choice.candidates,
            "provisional": method.choice.provisional,
        }
        for method in compared
    ]
    rows = [
        {
            **dataclasses.asdict(comparison),
            "tested": comparison.tested,
            "decided": comparison.decided,
            "words": verdict(comparison, measure, count_tested(comparisons)),
        }
        for comparison in comparisons
    ]
    return {
        "metric": measure.name,
        "more_is_better": measure.up,
        "contenders": methods,
        "comparisons": rows,
        "protocols": sorted({method.protocol for method in compared}),
        "notes": comparison_notes(compared, comparisons, measure),
    }
