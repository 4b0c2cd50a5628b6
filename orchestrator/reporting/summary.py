"""The summary table that `earshot report` prints, and a sweep at its end."""

from rich.table import Table
from rich.text import Text

from datasets.utils.console import first_that_fits
from datasets.utils.text import one_line
from orchestrator.reporting.facts import (
    benchmark_names,
    chain_count,
    choices_of,
    entry_cells,
    entry_header,
    protocol_line,
)
from orchestrator.reporting.formatting import mean_std, percent
from orchestrator.reporting.options import SUMMARY_WIDTH
from orchestrator.reporting.sentences import APART_SHORT, CHOSEN, MEAN_STD, PROVISIONAL_MARK, stopped_chains
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.estimates import Estimates
from trainables.records import Track

__all__ = ["SUMMARY_WIDTH", "summary_table"]


def summary_table(run: Run, width: int = SUMMARY_WIDTH) -> Table:
    """One row per method and backbone: its chosen configuration on the test clips, default head, in percent.

    Args:
        run: the run.
        width: columns of the terminal; sessions are left out of the middle until the table fits.
    """
    estimates, choices, sessions = Estimates(run), choices_of(run), run.planned_sessions
    accuracies = [_accuracies(run, estimates, choice) for choice in choices]
    others = [_cells(run, estimates, choice) for choice in choices]

    def with_sessions(shown: int) -> Table:
        columns = _aligned([_shortened(row, shown) for row in accuracies])
        rows = [[*first, column, *last] for (first, last), column in zip(others, columns, strict=True)]
        return _table(run, rows, [choice.track for choice in choices])

    table = first_that_fits(map(with_sessions, range(sessions, min(sessions, 2) - 1, -1)), width)
    captions = [protocol_line(run), CHOSEN, MEAN_STD]
    captions += [PROVISIONAL_MARK if any(c.provisional for c in choices) else "", stopped_chains(run)]
    captions += [APART_SHORT] if run.has_transductive else []
    table.caption = "\n".join(filter(None, captions))
    return table


def _table(run: Run, rows: list[list[str]], tracks: list[Track]) -> Table:
    """The table; an empty line separates rows of one track from those of the other."""
    last = run.planned_sessions - 1
    table = Table(
        title=Text(f"{benchmark_names(run)}: accuracy on test clips (%)", style="bold"),
        box=None,
        padding=(0, 2, 0, 0),
        header_style="bold",
        title_justify="left",
        caption_justify="left",
    )
    for name in entry_header(run):
        table.add_column(name, no_wrap=True, max_width=24)
    table.add_column("config", no_wrap=True, max_width=24)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("A_0" if last == 0 else f"A_0 .. A_{last}", no_wrap=True)
    for name in ("AA", "PD", "forget", "final"):
        table.add_column(name, justify="right", no_wrap=True)
    for row, track, before in zip(rows, tracks, [tracks[0], *tracks], strict=False):
        if track != before:
            table.add_row()
        table.add_row(*map(Text, row))
    return table


def _accuracies(run: Run, estimates: Estimates, choice: Choice) -> list[str]:
    """A_t of each session."""
    name, head = choice.configuration, run.default_head(choice.configuration)
    return [percent(estimates.session(name, head, "test", t)["micro"].mean) for t in range(run.planned_sessions)]


def _shortened(accuracies: list[str], shown: int) -> list[str]:
    """The first and last sessions, `shown` in total, with '..' between them."""
    if shown == len(accuracies):
        return accuracies
    last = shown // 2
    return [*accuracies[: shown - last], "..", *accuracies[len(accuracies) - last :]]


def _aligned(rows: list[list[str]]) -> list[str]:
    """Each row as one text, with cells of equal width."""
    width = max([4, *(len(cell) for row in rows for cell in row)])
    return [" ".join(cell if cell == ".." else cell.rjust(width) for cell in row) for row in rows]


def _cells(run: Run, estimates: Estimates, choice: Choice) -> tuple[list[str], list[str]]:
    """Cells before and after the accuracies of the sessions."""
    method, *backbone = map(one_line, entry_cells(run, choice.entry))
    name = one_line(choice.configuration)
    chain = estimates.chain(choice.configuration, run.default_head(choice.configuration), "test")
    mark = "*" if choice.provisional else ""
    configuration = name.removeprefix(f"{method}-") + mark
    first = [method, *backbone, configuration, chain_count(run, choice.configuration, chain["aa"].n)]
    return first, [mean_std(chain["aa"]), *(percent(chain[key].mean) for key in ("pd", "forgetting", "final"))]
