"""Writes a report: page, tables and figures of one or several runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from datasets.utils.csv_table import csv_bytes
from datasets.utils.files import write_files
from orchestrator.publishing.results_file import RESULTS, TABLE, results_csv
from orchestrator.publishing.ro_crate import METADATA, ro_crate
from orchestrator.publishing.run_results import results_of
from orchestrator.publishing.used import used_by
from orchestrator.reporting import tables
from orchestrator.reporting.facts import choices_of, formulae, what_ran
from orchestrator.reporting.html import page
from orchestrator.reporting.latex import latex
from orchestrator.reporting.markdown_report import markdown_report, methods_markdown
from orchestrator.reporting.options import DEFAULT_FORMATS, Format
from orchestrator.reporting.run_figures import figures_of, trade_off
from orchestrator.reporting.sentences import SHEETS, selection
from orchestrator.reporting.spreadsheet import xlsx
from orchestrator.reporting.style import render
from orchestrator.reporting.tables import Grid
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from orchestrator.statistics.pareto import candidates, objectives_of


@dataclass(frozen=True)
class ReportPaths:
    """Paths of the main files of a report; as text, the path of report.html."""

    page: Path
    report: Path
    summary: Path
    sessions: Path
    figures: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.page)


def write_report(
    run: Run | Path | str,
    out: Path | str | None = None,
    formats: Sequence[Format] = DEFAULT_FORMATS,
    *,
    audio: int = 0,
) -> ReportPaths:
    """Writes the report of a run; docs/report.md lists the files.

    Args:
        run: the run, or its folder.
        out: folder to write to; RUN/report if None.
        formats: formats of the figures.
        audio: bytes that clips of the benchmark may take in the page; 0 for none.

    Raises:
        EarshotError: the run folder is missing or damaged, or the report cannot be written.
    """
    run = run if isinstance(run, Run) else Run.load(run)
    folder = Path(out) if out is not None else run.path / "report"
    estimates = Estimates(run)
    grids = _grids(run, estimates)
    figures = figures_of(run, estimates, [run.best(label) for label in run.entries])  # colours as on the page
    objectives = objectives_of(run)
    if len(objectives) > 1:
        compared = candidates(run, estimates, objectives)
        grids["pareto"] = tables.pareto_grid(run, compared, objectives)
        if compared:
            figures["pareto"] = trade_off(compared, objectives)
    grids = {name: tables.with_protocol(run, grid) for name, grid in grids.items()}
    images = {f"{name}.{form}": render(figure, form) for name, figure in figures.items() for form in formats}
    rows = tables.method_rows(run, estimates)
    results = results_of(run, estimates)
    files = {
        **{f"{name}.csv": csv_bytes(grid.header, grid.rows) for name, grid in grids.items()},
        RESULTS: results.json_bytes(),
        TABLE: results_csv(results),
        "methods.tex": latex(run, rows).encode(),
        "methods.md": methods_markdown(run, rows).encode(),
        "tables.xlsx": xlsx(_sheets(run, grids), _read_me(run)),
        **images,
        "report.md": markdown_report(run, estimates, {name: f"{name}.{formats[0]}" for name in figures}).encode(),
        "report.html": page(run, estimates, audio=audio).encode(),
    }
    files[METADATA] = ro_crate(results, used_by(run, read_benchmark=False), files, _day(run))
    write_files(folder, files, advice="name another with --out")
    html, report, summary, sessions = (
        folder / name for name in ("report.html", "report.md", "summary.csv", "sessions.csv")
    )
    return ReportPaths(html, report, summary, sessions, tuple(folder / name for name in images))


def _day(run: Run) -> str:
    """The day on which the last record of a trial was written, ISO 8601."""
    written = max((folder / "trial.json").stat().st_mtime for folder in run.folders.values())
    return datetime.fromtimestamp(written, UTC).date().isoformat()


def _grids(run: Run, estimates: Estimates) -> dict[str, Grid]:
    """Name of the CSV file -> its table."""
    return {
        "methods": tables.method_grid(run, estimates),
        "summary": tables.summary_grid(run, estimates),
        "sessions": tables.session_grid(run, estimates),
        "classes": tables.class_grid(run),
        "confusion": tables.confusion_grid(run),
        "mistakes": tables.mistake_grid(run),
    }


def _sheets(run: Run, grids: dict[str, Grid]) -> dict[str, Grid]:
    """Sheets of the workbook; sessions of the chosen configurations only, as there may be thousands of others."""
    chosen = {choice.configuration for choice in choices_of(run)}
    return {
        "methods": grids["methods"],
        "heads": grids["summary"].only("selected", {"yes"}),
        "sessions": grids["sessions"].only("configuration", chosen),
        "configurations": grids["summary"].only("default_head", {"yes"}),
        "classes": grids["classes"],
    }


def _read_me(run: Run) -> list[tuple[str, str]]:
    """Rows of the first sheet of the workbook."""
    return [
        ("run", run.name),
        *what_ran(run),
        ("how chosen", selection(choices_of(run))),
        *((f"sheet {name}" if not name.startswith("_") else name, text) for name, text in SHEETS),
        *formulae(run),
    ]
