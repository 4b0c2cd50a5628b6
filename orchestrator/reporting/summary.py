"""The summary table that a sweep prints at its end."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datasets.utils.text import one_line, plural
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates, mean_std, percent

SUMMARY_WIDTH = 110  # columns, where the output is not a terminal


def summary_table(run: Run, width: int = SUMMARY_WIDTH) -> Table:
    """One row per method: its chosen configuration on the test clips, default head, in percent.

    Args:
        run: the run.
        width: columns of the terminal; sessions are left out of the middle until the table fits.
    """
    estimates = Estimates(run)
    console = Console(width=width)
    for shown in range(run.planned_sessions, 1, -1):
        table = _table(run, estimates, shown)
        if Measurement.get(console, console.options.update(width=1000), table).maximum <= width:
            return table
    return _table(run, estimates, min(2, run.planned_sessions))


def _table(run: Run, estimates: Estimates, shown: int) -> Table:
    last = run.planned_sessions - 1
    first = next(iter(run.trials.values()))
    kept = [t for t in range(last + 1) if t < (shown + 1) // 2 or t > last - shown // 2]
    table = Table(
        title=Text(f"{one_line(first.benchmark)}: accuracy on test clips (%)", style="bold"),
        caption="configuration chosen by validation AA\nmean ± std (ddof 1) over n chains",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="bold",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("method", no_wrap=True, max_width=24)
    table.add_column("config", no_wrap=True, max_width=24)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("A_0" if last == 0 else f"A_0 .. A_{last}", no_wrap=True)
    for name in ("AA", "PD", "forget", "final"):
        table.add_column(name, justify="right", no_wrap=True)
    whole_hundred = any(
        percent(estimates.session(c.configuration, run.default_head(c.configuration), "test", t)["micro"].mean)
        == "100.0"
        for c in map(run.best, run.methods)
        for t in kept
    )
    digits = 5 if whole_hundred else 4
    for choice in map(run.best, run.methods):
        head = run.default_head(choice.configuration)
        cells = [percent(estimates.session(choice.configuration, head, "test", t)["micro"].mean) for t in kept]
        texts = [cell.rjust(digits) for cell in cells]
        if len(kept) <= last:
            texts.insert((shown + 1) // 2, "..")
        whole = estimates.chain(choice.configuration, head, "test")
        name = one_line(choice.configuration).removeprefix(f"{one_line(choice.method)}-")
        row = [one_line(choice.method), name + ("*" if choice.provisional else "")]
        row += [run.count(choice.configuration, whole["aa"].n), " ".join(texts), mean_std(whole["aa"])]
        row += [percent(whole[metric].mean) for metric in ("pd", "forgetting", "final")]
        table.add_row(*map(Text, row))
    if any(run.best(method).provisional for method in run.methods):
        table.caption = f"{table.caption}\n* provisional: no configuration is complete"
    if stopped := sum(record.status == "stopped" for record in run.trials.values()):
        told = f"{plural(stopped, 'chain')} stopped early; only whole configurations compete"
        table.caption = f"{table.caption}\n{told}"
    return table
