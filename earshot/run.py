"""The results of a sweep: tables, the selected configurations, figures, the report."""

import io
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import plural
from earshot.best import Best

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from orchestrator.results.run import Run as Results

_IDENTITY = [
    "trial",
    "method",
    "backbone",
    "configuration",
    "varied",
    "seeds",
    "status",
    "sessions",
    "planned",
    "error",
]
_METRICS = ("aa", "pd", "forgetting", "final")


class Run:
    """The results of a run as they were when it was loaded; from `earshot.sweep` or `earshot.load_run`.

    Args:
        path: the run folder.
        results: what `orchestrator.results.run.Run.load` has read from it.

    Attributes:
        path: absolute path of the run folder.
    """

    def __init__(self, path: Path, results: "Results") -> None:
        self.path = path.absolute()
        self._results = results

    @property
    def name(self) -> str:
        """Name of the run: of its folder."""
        return self._results.name

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, sorted."""
        return self._results.methods

    @cached_property
    def chains(self) -> "pd.DataFrame":
        """One row per chain: a configuration with one triple of seeds, finished or not.

        Columns: `trial`, `method`, `backbone` (empty if the method uses none), `configuration`, `varied` (settings that
        the search space varies, a dict), `seeds`, `status`, `sessions` of `planned`, `error` (why it failed), `head`
        (the default one), `val_aa`, `val_pd`, `val_forgetting`, `val_final`, `test_aa`, ..., all fractions of one and
        NaN without all sessions, `seconds`, `parameters_stored`, `parameters_used`. `scores` has all heads and metrics.
        """
        import pandas as pd

        rows = []
        scores = {(row["trial"], row["head"], row["split"]): row for row in self.scores.to_dict("records")}
        for trial, record in self._results.trials.items():
            cells = (
                trial,
                record.method,
                self._results.backbones[trial],
                record.configuration,
                record.varied,
                str(record.seeds),
                record.status,
                len(record.sessions),
                record.planned_sessions,
                record.error or "",
            )
            row: dict[str, Any] = {**dict(zip(_IDENTITY, cells, strict=True)), "head": record.default_head}
            for split in ("val", "test"):
                of_split = scores.get((trial, record.default_head, split), {})
                row |= {f"{split}_{metric}": of_split.get(metric, float("nan")) for metric in _METRICS}
            row["seconds"] = sum(session.seconds for session in record.sessions)
            last = record.sessions[-1] if record.sessions else None
            row["parameters_stored"] = last.parameters_stored if last else 0
            row["parameters_used"] = last.parameters_used if last else 0
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def scores(self) -> "pd.DataFrame":
        """One row per chain, head and split ('val', 'test'), with every metric of docs/metrics.md, fractions of one."""
        return self._results.chains

    @property
    def sessions(self) -> "pd.DataFrame":
        """One row per chain, head, split and finished session: A_t (`micro`, `macro`, ...), fractions of one."""
        return self._results.sessions

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """One row per clip, head, split and session of every chain; read from the files when first asked for.

        Columns: `trial`, `configuration`, `method`, `seeds`, `session`, `clip_id`, `split`, `head`, `label`,
        `prediction` (labels), `confidence`, `class`, `predicted_class` (names).

        Raises:
            EarshotError: a file was removed or damaged since the run was loaded.
        """
        from orchestrator.results.prediction_table import prediction_table

        return prediction_table(self._results)

    def best(self, method: str | None = None) -> Best:
        """The configuration with the best validation AA of the default head, over seeds; never chosen by test clips.

        Args:
            method: among its configurations only; METHOD+BACKBONE as in the report, where the run has several. By
                default of all methods; a transductive one only where there is no other.

        Raises:
            EarshotError: the run has no such method, or no session is finished.
        """
        from orchestrator.exporting.choice import best_choice
        from orchestrator.results.run_folder import RunFolder

        results = self._results
        labels = tuple(results.entries) if method is None else results.labels(method)
        if not labels:
            known = [*results.methods, *results.entries]
            raise EarshotError(f"run {results.name}: has no method '{method}'; {suggestion(str(method), known)}")
        choice = best_choice(results, labels)
        if choice is None:
            raise EarshotError(f"run {results.name}: no session of {method or 'a method'} is finished; run it again")
        return Best(RunFolder(self.path), choice, results.of(choice.configuration))

    @cached_property
    def figures(self) -> "dict[str, Figure]":
        """The figures of the report: 'accuracy', 'heads', and 'matrix-METHOD' of each method.

        They are `matplotlib.figure.Figure`, made without pyplot; a notebook shows one that is the value of a cell.
        """
        from orchestrator.reporting.facts import choices_of
        from orchestrator.reporting.run_figures import figures_of
        from orchestrator.reporting.style import png
        from orchestrator.statistics.estimates import Estimates

        results = self._results
        figures = figures_of(results, Estimates(results), choices_of(results))
        for figure in figures.values():
            vars(figure)["_repr_png_"] = _drawing(png, figure)  # what IPython looks for
        return figures

    @property
    def report(self) -> Path:
        """Path of report.html, beside which the tables and figures are (docs/report.md); written if it is missing.

        Raises:
            EarshotError: it cannot be written.
        """
        from orchestrator.monitoring.live_report import PAGE
        from orchestrator.reporting.write import write_report

        path = self.path / PAGE
        return path if path.is_file() else write_report(self._results).page

    def __repr__(self) -> str:
        states = self.chains["status"].value_counts()
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        return f"Run({str(self.path)!r}: {', '.join(self.methods)}; {plural(len(self.chains), 'chain')}, {counts})"

    def __str__(self) -> str:
        return self._summary(html=False)

    def _repr_html_(self) -> str:
        return self._summary(html=True)

    def _summary(self, *, html: bool) -> str:
        """The table that `earshot report` prints."""
        from rich.console import Console

        from orchestrator.reporting.summary import SUMMARY_WIDTH, summary_table

        console = Console(file=io.StringIO(), width=SUMMARY_WIDTH, record=True, force_jupyter=False, highlight=False)
        console.print(summary_table(self._results, SUMMARY_WIDTH))
        if not html:
            return console.export_text().rstrip()
        return console.export_html(inline_styles=True, code_format="<pre style='line-height: 1.3'>{code}</pre>")


def _drawing(draw: "Callable[[Figure], bytes]", figure: "Figure") -> Callable[[], bytes]:
    return lambda: draw(figure)


def load_run(run: str | Path, *, runs: str | Path = "runs") -> Run:
    """The results of a run that exists, finished or not.

    Args:
        run: its folder, its name in `runs`, the beginning of its name, or 'latest'.
        runs: folder of runs.

    Raises:
        EarshotError: there is no such run, or a file in it is missing, damaged or inconsistent.
    """
    from orchestrator.results.run import Run as Results
    from orchestrator.results.run_folder import RunFolder

    folder = RunFolder.find(run, Path(runs)).path
    return Run(folder, Results.load(folder))
