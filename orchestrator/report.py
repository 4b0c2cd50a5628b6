"""Reports a run: tables and figures from its stored predictions alone.

    python -m orchestrator.report RUN [--out DIR]

Writes to RUN/report/ (or DIR) and prints the table of methods:

    report.md          what ran, how the winners were chosen, tables, figures
    summary.csv        a row per configuration and head: AA, PD, forgetting, ...; mean, std and n over chains
    sessions.csv       a row per configuration, head, split and session: accuracies; likewise
    pareto.csv         where the search had several objectives: the configurations that no other beats in all of them
    accuracy.png       accuracy after each session, a line per method
    heads.png          the same of every head, a panel per method
    matrix-METHOD.png  accuracy matrix a[t, j]
    pareto.png         configurations by the first two objectives, where there are several

The CSV files hold fractions of one; an empty cell is a value that is not defined or not there yet.
"""

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datasets.errors import EarshotError
from datasets.files import write_atomically
from orchestrator import figures
from orchestrator.look import png
from orchestrator.markdown import document, one_line, plural
from orchestrator.objectives import Objective
from orchestrator.pareto import Candidate, candidates, objectives_of
from orchestrator.results import CHAIN_METRICS, COST, SESSION_METRICS, SPLITS, Choice, Run
from orchestrator.statistics import Estimate, Estimates, mean_std, percent


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report; as text, the path of report.md."""

    report: Path
    summary: Path
    sessions: Path
    figures: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.report)


def write_report(run_dir: Path | str, out: Path | str | None = None) -> ReportPaths:
    """Writes the report of a run; see the module for the files.

    Args:
        run_dir: the run folder.
        out: folder to write to; RUN/report where it is None.

    Raises:
        EarshotError: the run folder is not one or is damaged, or the report cannot be written.
    """
    run = Run.load(run_dir)
    folder = Path(out) if out is not None else run.path / "report"
    estimates = Estimates(run)
    choices = [run.best(method) for method in run.methods]
    pictures = _pictures(run, estimates, choices)
    objectives = objectives_of(run)
    compared = candidates(run, estimates, objectives) if len(objectives) > 1 else []
    if compared:
        pictures["pareto.png"] = png(_trade_off(compared, objectives))
    files = {
        "summary.csv": _csv(*_summary_rows(run, estimates)),
        "sessions.csv": _csv(*_session_rows(run, estimates)),
        **({"pareto.csv": _csv(*_pareto_rows(run, compared, objectives))} if len(objectives) > 1 else {}),
        **pictures,
        "report.md": document(run, estimates, list(pictures)).encode(),
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
    drawn = tuple(folder / name for name in pictures)
    return ReportPaths(folder / "report.md", folder / "summary.csv", folder / "sessions.csv", drawn)


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


# --- CSV


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode()


def _csv_cell(cell: object) -> str:
    """Numbers with six decimals, NaN empty; text that would be a formula gets an apostrophe."""
    if isinstance(cell, float):
        return "" if np.isnan(cell) else f"{cell:.6f}"
    if isinstance(cell, int):
        return str(cell)
    text = one_line(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _session_rows(run: Run, estimates: Estimates) -> tuple[list[str], list[list[object]]]:
    header = ["configuration", "method", "head", "split", "session"]
    header += [f"{name}_{part}" for name in SESSION_METRICS for part in ("mean", "std", "n")]
    rows: list[list[object]] = []
    for configuration in run.configurations():
        method = run.of(configuration)[0].method
        for head in run.heads(method):
            for split in SPLITS:
                for t in range(run.planned_sessions):
                    found = estimates.session(configuration, head, split, t)
                    if found["micro"].n:
                        parts = [part for name in SESSION_METRICS for part in _mean_std_n(found[name])]
                        rows.append([configuration, method, head, split, t, *parts])
    return header, rows


def _summary_rows(run: Run, estimates: Estimates) -> tuple[list[str], list[list[object]]]:
    header = ["configuration", "method", "varied", "head", "default_head", "selected", "trials", "complete", "stopped"]
    header += [f"validation_aa_{part}" for part in ("mean", "std", "n")]
    header += [f"{name}_{part}" for name in CHAIN_METRICS for part in ("mean", "std", "n")]
    header += ["aa_low", "aa_high", *(f"{name}_mean" for name in COST)]
    rows: list[list[object]] = []
    chosen = {run.best(method).configuration for method in run.methods}  # looks at every chain of the method
    for configuration in run.configurations():
        first = run.of(configuration)[0]
        for head in run.heads(first.method):
            test = estimates.chain(configuration, head, "test")
            row: list[object] = [configuration, first.method, json.dumps(first.varied, sort_keys=True), head]
            row += [_yes(head == first.default_head), _yes(configuration in chosen), len(run.of(configuration))]
            row += [_yes(run.is_complete(configuration)), run.stopped(configuration)]
            row += _mean_std_n(estimates.chain(configuration, head, "val")["aa"])
            row += [part for name in CHAIN_METRICS for part in _mean_std_n(test[name])]
            rows.append([*row, test["aa"].low, test["aa"].high, *(test[name].mean for name in COST)])
    return header, rows


def _pareto_rows(
    run: Run, compared: Sequence[Candidate], objectives: Sequence[Objective]
) -> tuple[list[str], list[list[object]]]:
    header = ["method", "configuration", "varied"]
    header += [f"{objective.name}_{part}" for objective in objectives for part in ("mean", "std", "n")]
    rows: list[list[object]] = []
    for one in compared:
        if one.kept:
            varied = json.dumps(run.of(one.configuration)[0].varied, sort_keys=True)
            parts = [part for value in one.values for part in _mean_std_n(value)]
            rows.append([one.method, one.configuration, varied, *parts])
    return header, rows


def _mean_std_n(value: Estimate) -> list[object]:
    return [value.mean, value.std, value.n]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- figures


def _pictures(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> dict[str, bytes]:
    """File name -> PNG; methods without a finished session are left out."""
    shown = [choice for choice in choices if run.reached(choice.configuration)]
    if not shown:
        return {}
    index, counted = _ticks(run)
    place = {choice.method: number for number, choice in enumerate(choices)}
    curves = [
        _curve(run, estimates, c.configuration, run.default_head(c.configuration), c.method, place[c.method])
        for c in shown
    ]
    heads = list(dict.fromkeys(head for choice in choices for head in run.heads(choice.method)))
    panels = [
        (
            c.method,
            [_curve(run, estimates, c.configuration, h, h, heads.index(h)) for h in run.heads(c.method)],
        )
        for c in shown
    ]
    over = f"over {_chains_behind(run, shown)}"
    spread = "mean, band of one std," if figures.with_bands(len(curves)) else "mean"
    drawn = {
        "accuracy.png": figures.accuracy_curves(
            curves,
            counted,
            "Accuracy after each session",
            f"test clips of all classes seen, default head; {spread} {over}",
        ),
        "heads.png": figures.head_panels(
            panels, index, "Heads side by side", f"test clips of all classes seen; mean, band of one std, {over}"
        ),
    }
    for number, choice in enumerate(shown):
        head = run.default_head(choice.configuration)
        matrices = run.matrices(choice.configuration, head)
        name = f"matrix-{re.sub(r'[^A-Za-z0-9._-]', '_', choice.method)}.png"
        drawn[name if name not in drawn else f"matrix-{number}.png"] = figures.accuracy_matrix(
            _mean_matrix(matrices),
            index,
            f"{one_line(choice.method)}: accuracy matrix a[t, j]",
            f"{one_line(head)} head, test clips, mean over {plural(len(matrices), 'chain')}",
        )
    return {name: png(figure) for name, figure in drawn.items()}


def _trade_off(compared: Sequence[Candidate], objectives: Sequence[Objective]) -> Figure:
    """The first objective over the second."""
    up, across = objectives[:2]
    clouds = []
    for style, method in enumerate(dict.fromkeys(one.method for one in compared)):
        own = [one for one in compared if one.method == method]
        y, x = (
            np.array([one.values[k].mean * (100 if objective.share else 1) for one in own])
            for k, objective in enumerate((up, across))
        )
        clouds.append(figures.Cloud(method, x, y, np.array([one.kept for one in own]), style))
    among = "both" if len(objectives) == 2 else f"all {len(objectives)} objectives"
    return figures.trade_off(
        clouds,
        figures.Axis(_label(across), across.up, across.share),
        figures.Axis(_label(up), up.up, up.share),
        "What is given up for what",
        f"means over seeds on validation clips; filled: no other of the method is as good in {among}",
        line=len(objectives) == 2,
    )


def _label(objective: Objective) -> str:
    return objective.title + (" (%)" if objective.share else "")


def _curve(run: Run, estimates: Estimates, configuration: str, head: str, name: str, style: int) -> figures.Curve:
    found = [estimates.session(configuration, head, "test", t)["micro"] for t in range(run.planned_sessions)]
    return figures.Curve(name, np.array([e.mean for e in found]), np.array([e.std for e in found]), style)


def _mean_matrix(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each a[t, j] over the chains that have it, [T + 1, T + 1]."""
    there = ~np.isnan(matrices)
    counts = there.sum(axis=0)
    sums = np.where(there, matrices, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _ticks(run: Run) -> tuple[list[str], list[str]]:
    """Labels of the sessions: plain, and with the classes seen so far where all chains agree on them."""
    seen: dict[int, set[int]] = {}
    for record in run.trials.values():
        for session, total in enumerate(np.cumsum([len(s.classes) for s in record.sessions])):
            seen.setdefault(session, set()).add(int(total))
    plain = [str(t) for t in range(run.planned_sessions)]
    return plain, [f"{t}\n({min(seen[int(t)])})" if len(seen.get(int(t), ())) == 1 else t for t in plain]


def _chains_behind(run: Run, choices: Sequence[Choice]) -> str:
    counts = sorted({sum(1 for r in run.of(choice.configuration) if r.sessions) for choice in choices})
    whole = all(len(r.sessions) in (0, r.planned_sessions) for c in choices for r in run.of(c.configuration))
    if not whole:
        return f"up to {plural(counts[-1], 'chain')}"
    return plural(counts[0], "chain") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} chains"


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.report`: 0 written, 2 bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder of a sweep, finished or not")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: RUN/report)")
    given = parser.parse_args(arguments)
    try:
        paths = write_report(given.run, given.out)
        run = Run.load(given.run)
    except EarshotError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    # A pipe has no width: rich would assume 80 columns and cut the table.
    console = Console() if sys.stdout.isatty() else Console(width=110)
    console.print(summary_table(run, console.width))
    console.print(Text(f"report: {paths}"), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
