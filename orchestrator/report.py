"""Reports runs: tables and figures from their stored predictions alone.

    python -m orchestrator.report RUN [--out DIR]
    python -m orchestrator.report RUN RUN [RUN ...] --out DIR     several runs as one

Writes to RUN/report/ (or DIR) and prints the table of methods:

    report.html        all of it on one page to look through, and nothing else is needed to read it
    report.md          what ran, how the winners were chosen, tables, figures
    methods.tex        a row per method: accuracy after each session, AA, PD; as papers have it (booktabs)
    methods.md         the same in Markdown
    methods.csv        the same with mean, std and n over chains
    summary.csv        a row per configuration and head: AA, PD, forgetting, ...; mean, std and n over chains
    sessions.csv       a row per configuration, head, split and session: accuracies; likewise
    classes.csv        a row per method and class: its accuracy after each session
    confusion.csv      a row per method and pair of classes: clips of one taken for the other after the last session
    pareto.csv         where the search had several objectives: the configurations that no other beats in all of them
    tables.xlsx        methods, heads, sessions, configurations and classes, a sheet each
    accuracy.png       accuracy after each session, a line per method
    heads.png          the same of every head, a panel per method
    matrix-METHOD.png  accuracy matrix a[t, j]
    pareto.png         configurations by the first two objectives, where there are several

Figures are written as SVG too, and as PDF with `--format png svg pdf`. The CSV files hold fractions of one; an empty
cell is a value that is not defined or not there yet. Of each method the configuration with the highest validation AA
is shown; what it has on test clips is told once and never chosen by.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from orchestrator.reporting import tables
from orchestrator.reporting.html import write_page
from orchestrator.reporting.latex import latex
from orchestrator.reporting.markdown import one_line, plural
from orchestrator.reporting.markdown_report import document, methods_document
from orchestrator.reporting.run_figures import figures_of, trade_off
from orchestrator.reporting.spreadsheet import xlsx
from orchestrator.reporting.style import FORMATS, USUAL, Format, render
from orchestrator.reporting.tables import Grid, csv_bytes
from orchestrator.results.chain_metrics import FORMULAE
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from orchestrator.statistics.estimates import Estimates, mean_std, percent
from orchestrator.statistics.pareto import candidates, objectives_of


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report that one looks for first; as text, the path of report.html."""

    page: Path
    report: Path
    summary: Path
    sessions: Path
    figures: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.page)


def write_report(
    run: Run | Path | str, out: Path | str | None = None, formats: Sequence[Format] = USUAL
) -> ReportPaths:
    """Writes the report of a run; see the module for the files.

    Args:
        run: the run, or its folder.
        out: folder to write to; RUN/report where it is None.
        formats: of the figures.

    Raises:
        EarshotError: the run folder is not one or is damaged, or the report cannot be written.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    folder = Path(out) if out is not None else run.path / "report"
    estimates = Estimates(run)
    objectives = objectives_of(run)
    compared = candidates(run, estimates, objectives) if len(objectives) > 1 else []
    drawn = figures_of(run, estimates, [run.best(method) for method in run.methods])
    if compared:
        drawn["pareto"] = trade_off(compared, objectives)
    pictures = {f"{name}.{form}": render(figure, form) for name, figure in drawn.items() for form in formats}
    grids = _grids(run, estimates)
    if len(objectives) > 1:
        grids["pareto"] = tables.pareto_grid(run, compared, objectives)
    rows = tables.paper(run, estimates)
    files = {
        **{f"{name}.csv": csv_bytes(grid) for name, grid in grids.items()},
        "methods.tex": latex(run, rows).encode(),
        "methods.md": methods_document(run, rows).encode(),
        "tables.xlsx": xlsx(_sheets(run, grids), _explained(run)),
        **pictures,
        "report.md": document(run, estimates, {name: f"{name}.{formats[0]}" for name in drawn}).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EarshotError(
            f"{folder}: expected a folder to write the report to, found: {reason}; name another with --out"
        ) from None
    page = write_page(run, folder / "report.html")
    report, summary, sessions = (folder / name for name in ("report.md", "summary.csv", "sessions.csv"))
    return ReportPaths(page, report, summary, sessions, tuple(folder / name for name in pictures))


def _grids(run: Run, estimates: Estimates) -> dict[str, Grid]:
    """Name of the CSV file -> its table."""
    return {
        "methods": tables.method_grid(run, estimates),
        "summary": tables.summary_grid(run, estimates),
        "sessions": tables.session_grid(run, estimates),
        "classes": tables.class_grid(run),
        "confusion": tables.confusion_grid(run),
    }


def _sheets(run: Run, grids: dict[str, Grid]) -> dict[str, Grid]:
    """The workbook: of thousands of configurations it has the sessions of the chosen ones alone."""
    chosen = {run.best(method).configuration for method in run.methods}
    return {
        "methods": grids["methods"],
        "heads": grids["summary"].only("selected", {"yes"}),
        "sessions": grids["sessions"].only("configuration", chosen),
        "configurations": grids["summary"].only("default_head", {"yes"}),
        "classes": grids["classes"],
    }


def _explained(run: Run) -> list[tuple[str, str]]:
    """The first sheet of the workbook."""
    first = next(iter(run.trials.values()))
    return [
        ("run", run.name),
        ("benchmark", first.benchmark),
        ("fingerprint of the data", first.benchmark_fingerprint),
        ("how chosen", "of each method the configuration with the highest validation AA; its test score is told once"),
        ("methods", "the chosen configurations, default head, test clips: a0 to aT, AA and PD"),
        ("heads", "every head of the chosen configurations: every metric of a chain"),
        ("sessions", "every head, split and session of the chosen configurations"),
        ("configurations", "every configuration, default head"),
        ("classes", "accuracy of each class after each session; chosen configurations, default head, test clips"),
        ("_mean, _std, _n", "mean and sample standard deviation (ddof 1) over n chains"),
        *FORMULAE,
    ]


def summary_table(run: Run, width: int = 110) -> Table:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.report`: 0 written, 2 bad input."""
    given = parser().parse_args(arguments)
    try:
        if len(given.run) > 1 and given.out is None:
            raise EarshotError(f"--out: expected a folder for the report of {len(given.run)} runs, found none")
        run = Run.merged([Run.load(RunFolder.named(path)) for path in given.run])
        paths = write_report(run, given.out, tuple(dict.fromkeys(given.format)))
    except EarshotError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    # A pipe has no width: rich would assume 80 columns and cut the table.
    console = Console() if sys.stdout.isatty() else Console(width=110)
    console.print(summary_table(run, console.width))
    console.print(Text(f"report: {paths}"), soft_wrap=True)
    return 0


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine(
        "orchestrator.report",
        description=__doc__,
    )
    made.add_argument(
        "run", type=Path, nargs="+", metavar="RUN", help="run folder of a sweep, finished or not, or its name in runs/"
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default, of one run: RUN/report)")
    made.add_argument(
        "--format", nargs="+", choices=FORMATS, default=USUAL, metavar="FORMAT",
        help=f"of the figures, some of {', '.join(FORMATS)} (default: {' '.join(USUAL)})",
    )  # fmt: skip
    return made


if __name__ == "__main__":
    sys.exit(as_program(main))
