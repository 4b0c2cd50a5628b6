"""Compares methods on the same seeds: is one better, by how much, and how sure is it.

    python -m orchestrator.compare RUN [--method NAME NAME ...]     methods of one run
    python -m orchestrator.compare RUN RUN [RUN ...]                methods of several runs

Chains are paired on the same class order, support draw and initialisation. Of each method the configuration with the
highest validation AA stands for it; test clips are looked at once, here. The verdict is that of a paired t test with
Holm's correction over all comparisons; beside it stand Wilcoxon's signed rank test and effect sizes, and how many more
seeds would decide what is not decided.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import PIPE_WIDTH, output_console
from datasets.utils.errors import EarshotError
from datasets.utils.json_values import json_text
from datasets.utils.text import one_line
from orchestrator.results.chain_metrics import MEASURES, Measure
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from orchestrator.statistics.comparison import Comparison, Contender, compare, contenders, notes, sentence
from orchestrator.statistics.estimates import NOTHING, percent

_DROPPED = ("r", "d_z", "Holm (W)", "p (W)", "mean B", "mean A", "p (t)")
"""Columns that a narrow terminal leaves out, the first first."""


def comparison_table(comparisons: Sequence[Comparison], measure: Measure, width: int = PIPE_WIDTH) -> Table:
    """One row per comparison, in percent and points.

    Args:
        comparisons: the rows.
        measure: what was compared.
        width: columns of the terminal; what matters least is left out until the table fits.
    """
    console = Console(width=1000)
    for dropped in range(len(_DROPPED) + 1):
        table = _table(comparisons, measure, _DROPPED[:dropped])
        if Measurement.get(console, console.options, table).maximum <= width:
            break
    return table


def _table(comparisons: Sequence[Comparison], measure: Measure, dropped: Sequence[str]) -> Table:
    table = Table(
        title=Text(f"{measure.title} on test clips (%)", style="bold"),
        box=None, padding=(0, 2, 0, 0), header_style="bold", title_justify="left",
    )  # fmt: skip
    rows = [_cells(one) for one in comparisons]
    shown = [name for name in rows[0] if name not in dropped]
    for name in shown:
        text = name in ("A", "B")
        table.add_column(name, overflow="fold", justify="left" if text else "right", no_wrap=not text)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in shown))
    return table


def _cells(one: Comparison) -> dict[str, str]:
    """Name of the column -> cell."""
    test = one.test
    return {
        "A": one.first,
        "B": one.second,
        "n": str(test.n),
        "mean A": percent(one.means[0]),
        "mean B": percent(one.means[1]),
        "A - B": percent(test.mean),
        "95 % interval": NOTHING if np.isnan(test.low) else f"{percent(test.low)} to {percent(test.high)}",
        "p (t)": _number(test.p_t, ".3f"),
        "Holm (t)": _number(one.p_holm, ".3f"),
        "p (W)": _number(test.p_wilcoxon, ".3f"),
        "Holm (W)": _number(one.p_wilcoxon_holm, ".3f"),
        "d_z": _number(test.d_z, "+.2f"),
        "r": _number(test.rank_biserial, "+.2f"),
    }


def _number(value: float, form: str) -> str:
    return NOTHING if np.isnan(value) else format(value, form)


def as_json(compared: Sequence[Contender], comparisons: Sequence[Comparison], measure: Measure) -> dict[str, Any]:
    """The comparison for machines: fractions of one; null where a value is undefined."""
    told = [
        {
            "label": one.label,
            "run": str(one.run.path),
            "method": one.choice.method,
            "configuration": one.choice.configuration,
            "head": one.head,
            "validation_aa": one.choice.validation_aa,
            "candidates": one.choice.candidates,
            "provisional": one.choice.provisional,
        }
        for one in compared
    ]
    family = len(comparisons)
    rows = [
        {**dataclasses.asdict(one), "decided": one.decided, "words": sentence(one, measure, family)}
        for one in comparisons
    ]
    found = {"metric": measure.name, "more_is_better": measure.up, "contenders": told, "comparisons": rows}
    return {**found, "notes": notes(compared, comparisons, measure)}


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.compare`: 0 compared, 2 bad input."""
    given = parser().parse_args(arguments)
    measure = MEASURES[given.metric]
    runs = [RunFolder.named(path) for path in given.run]
    if len({path.resolve() for path in runs}) < len(runs):
        raise EarshotError(f"{', '.join(map(str, given.run))}: expected different runs, found one twice")
    compared = contenders([Run.load(path) for path in runs], given.method or (), given.head)
    comparisons = compare(compared, measure, given.against)
    if given.json:
        print(json_text(as_json(compared, comparisons, measure), indent=1))
        return 0
    console = output_console()
    console.print(comparison_table(comparisons, measure, console.width))
    console.print("t: paired t test; W: Wilcoxon's signed rank test; d_z, r: effect sizes (Cohen; rank biserial)")
    console.print()
    for one in compared:
        among = f", chosen among {one.choice.candidates} by validation AA" if one.choice.candidates > 1 else ""
        which = f"{one_line(one.choice.configuration)} of {one_line(one.run.path)}, {one_line(one.head)} head{among}"
        console.print(Text(f"{one.label}: {which}"), soft_wrap=True)
    console.print()
    said = [sentence(one, measure, len(comparisons)) for one in comparisons]
    for line in [*said, *notes(compared, comparisons, measure)]:
        console.print(Text(line), soft_wrap=True)
    return 0


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine(
        "orchestrator.compare",
        description=__doc__,
    )
    made.add_argument(
        "run", type=Path, nargs="+", metavar="RUN", help="run folder of a sweep, finished or not, or its name in runs/"
    )
    made.add_argument("--method", nargs="+", action="extend", metavar="NAME", help="these methods alone (default: all)")
    made.add_argument("--against", metavar="NAME", help="compare all others with this one (default: all with all)")
    made.add_argument("--head", metavar="NAME", help="judge all by this head (default: each by its default head)")
    made.add_argument("--metric", choices=tuple(MEASURES), default="aa", help="what is compared (default: aa)")
    made.add_argument("--json", action="store_true", help="print JSON, fractions of one, instead of text")
    return made


if __name__ == "__main__":
    sys.exit(main())
