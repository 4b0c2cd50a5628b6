"""Writes a report: page, tables and figures of one or several runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.utils.csv_table import csv_bytes
from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from orchestrator.reporting import tables
from orchestrator.reporting.html import write_page
from orchestrator.reporting.latex import latex
from orchestrator.reporting.markdown_report import document, methods_document
from orchestrator.reporting.run_figures import figures_of, trade_off
from orchestrator.reporting.spreadsheet import xlsx
from orchestrator.reporting.style import USUAL, Format, render
from orchestrator.reporting.tables import Grid
from orchestrator.results.chain_metrics import FORMULAE
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
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
        **{f"{name}.csv": csv_bytes(grid.header, grid.rows) for name, grid in grids.items()},
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
