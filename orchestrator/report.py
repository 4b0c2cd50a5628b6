"""Reports a run: tables and figures from its stored predictions alone.

    python -m orchestrator.report RUN [--out DIR]

Writes to RUN/report/ (or DIR) and prints the table of methods:

    report.md          what ran, how the winners were chosen, tables, figures
    summary.csv        a row per configuration and head: AA, PD, forgetting, ...; mean, std and n over chains
    sessions.csv       a row per configuration, head, split and session: accuracies; mean, std and n over chains
    accuracy.png       accuracy after each session, a line per method
    heads.png          the same of every head, a panel per method
    matrix-METHOD.png  accuracy matrix a[t, j]

The CSV files hold fractions of one; an empty cell is a value that is not defined or not there yet.
"""

import argparse
import csv
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from datasets.errors import EarshotError
from orchestrator import figures
from orchestrator.results import CHAIN_METRICS, SESSION_METRICS, SPLITS, Choice, Run
from orchestrator.statistics import NOTHING, Estimate, estimate, mean_std, percent

COST = ("seconds", "parameters_stored", "parameters_used")


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report; as text, the path of report.md."""

    report: Path
    summary: Path
    sessions: Path
    figures: tuple[Path, ...]

    def __str__(self) -> str:
        return str(self.report)


class Estimates:
    """Means over the chains of each configuration of a run."""

    def __init__(self, run: Run) -> None:
        self._sessions = {
            key: {name: estimate(rows[name]) for name in SESSION_METRICS}
            for key, rows in run.sessions.groupby(["configuration", "head", "split", "session"])
        }
        self._chains = {
            key: {name: estimate(rows[name]) for name in (*CHAIN_METRICS, *COST)}
            for key, rows in run.chains.groupby(["configuration", "head", "split"])
        }

    def session(self, configuration: str, head: str, split: str, session: int) -> dict[str, Estimate]:
        """Estimates of `SESSION_METRICS` over the chains that finished the session; n = 0 where none did."""
        key = (configuration, head, split, session)
        return self._sessions.get(key, {name: estimate([]) for name in SESSION_METRICS})

    def chain(self, configuration: str, head: str, split: str) -> dict[str, Estimate]:
        """Estimates of `CHAIN_METRICS` over the chains with all sessions, of `COST` over all; n = 0 where none."""
        key = (configuration, head, split)
        return self._chains.get(key, {name: estimate([]) for name in (*CHAIN_METRICS, *COST)})


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
    files = {
        "summary.csv": _csv(*_summary_rows(run, estimates)),
        "sessions.csv": _csv(*_session_rows(run, estimates)),
        **pictures,
        "report.md": _markdown_report(run, estimates, choices, list(pictures)).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            aside = folder / f".{name}.{os.getpid()}"
            aside.write_bytes(content)
            os.replace(aside, folder / name)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EarshotError(f"{folder}: expected a folder to write the report to, found: {reason}; use --out") from None
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
        title=Text(f"{_one_line(first.benchmark)}: accuracy on test clips (%)", style="bold"),
        caption="configuration chosen by validation AA; mean ± std (ddof 1) over n chains",
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
    for choice in map(run.best, run.methods):
        head = _head(run, choice.configuration)
        cells = [estimates.session(choice.configuration, head, "test", t)["micro"].mean for t in range(last + 1)]
        digits = max(4, *(len(percent(cell)) for cell in cells))
        texts = [percent(cells[t]).rjust(digits) for t in kept]
        if len(kept) <= last:
            texts.insert((shown + 1) // 2, "..")
        whole = estimates.chain(choice.configuration, head, "test")
        name = _one_line(choice.configuration).removeprefix(f"{_one_line(choice.method)}-")
        row = [_one_line(choice.method), name + ("*" if choice.provisional else "")]
        row += [_count(run, choice.configuration, whole["aa"].n), " ".join(texts), mean_std(whole["aa"])]
        row += [percent(whole[metric].mean) for metric in ("pd", "forgetting", "final")]
        table.add_row(*map(Text, row))
    if any(run.best(method).provisional for method in run.methods):
        table.caption = f"{table.caption}\n* provisional: no configuration has finished all its seeds"
    return table


def _head(run: Run, configuration: str) -> str:
    return run.of(configuration)[0].default_head


def _count(run: Run, configuration: str, n: int) -> str:
    """Chains behind a number: '3', or '2/3' while some are missing."""
    trials = len(run.of(configuration))
    return str(n) if n == trials else f"{n}/{trials}"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _settings(values: dict[str, Any]) -> str:
    """'way 5, shot 5'; settings without a value are left out."""
    shown = (f"{key} {v if isinstance(v, str) else json.dumps(v)}" for key, v in values.items() if v is not None)
    return ", ".join(shown) or NOTHING


# --- CSV


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode()


def _csv_cell(cell: object) -> str:
    """Numbers with six decimals, NaN empty; text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(cell, float):
        return "" if np.isnan(cell) else f"{cell:.6f}"
    if isinstance(cell, int):
        return str(cell)
    text = _one_line(cell)
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
    header = ["configuration", "method", "varied", "head", "default_head", "selected", "trials", "complete"]
    header += [f"validation_aa_{part}" for part in ("mean", "std", "n")]
    header += [f"{name}_{part}" for name in CHAIN_METRICS for part in ("mean", "std", "n")]
    header += ["aa_low", "aa_high", *(f"{name}_mean" for name in COST)]
    rows: list[list[object]] = []
    for configuration in run.configurations():
        first = run.of(configuration)[0]
        selected = run.best(first.method).configuration == configuration
        for head in run.heads(first.method):
            test = estimates.chain(configuration, head, "test")
            row: list[object] = [configuration, first.method, json.dumps(first.varied, sort_keys=True), head]
            row += [_yes(head == first.default_head), _yes(selected), len(run.of(configuration))]
            row += [_yes(run.is_complete(configuration))]
            row += _mean_std_n(estimates.chain(configuration, head, "val")["aa"])
            row += [part for name in CHAIN_METRICS for part in _mean_std_n(test[name])]
            rows.append([*row, test["aa"].low, test["aa"].high, *(test[name].mean for name in COST)])
    return header, rows


def _mean_std_n(value: Estimate) -> list[object]:
    return [value.mean, value.std, value.n]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- figures


def _pictures(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> dict[str, bytes]:
    """File name -> PNG; methods without a finished session are left out."""
    shown = [choice for choice in choices if _reached(run, choice.configuration)]
    if not shown:
        return {}
    index, counted = _ticks(run)
    place = {choice.method: number for number, choice in enumerate(choices)}
    curves = [
        _curve(run, estimates, choice.configuration, _head(run, choice.configuration), choice.method, place[choice.method])
        for choice in shown
    ]
    heads = list(dict.fromkeys(head for choice in choices for head in run.heads(choice.method)))
    panels = [
        (c.method, [_curve(run, estimates, c.configuration, h, h, heads.index(h)) for h in run.heads(c.method)])
        for c in shown
    ]
    over = f"mean, band of one std, over {_chains_behind(run, shown)}"
    drawn = {
        "accuracy.png": figures.accuracy_curves(
            curves, counted, "Accuracy after each session", f"test clips of all classes seen, default head; {over}"
        ),
        "heads.png": figures.head_panels(panels, index, "Heads side by side", f"test clips of all classes seen; {over}"),
    }
    for number, choice in enumerate(shown):
        head = _head(run, choice.configuration)
        matrices = run.matrices(choice.configuration, head)
        name = f"matrix-{re.sub(r'[^A-Za-z0-9._-]', '_', choice.method)}.png"
        drawn[name if name not in drawn else f"matrix-{number}.png"] = figures.accuracy_matrix(
            _mean_matrix(matrices),
            index,
            f"{_one_line(choice.method)}: accuracy matrix a[t, j]",
            f"{_one_line(head)} head, test clips, mean over {_plural(len(matrices), 'chain')}",
        )
    return {name: figures.png(figure) for name, figure in drawn.items()}


def _curve(run: Run, estimates: Estimates, configuration: str, head: str, name: str, style: int) -> figures.Curve:
    found = [estimates.session(configuration, head, "test", t)["micro"] for t in range(run.planned_sessions)]
    return figures.Curve(name, np.array([e.mean for e in found]), np.array([e.std for e in found]), style)


def _mean_matrix(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each a[t, j] over the chains that have it, [T + 1, T + 1]."""
    there = ~np.isnan(matrices)
    counts = there.sum(axis=0)
    return np.divide(np.where(there, matrices, 0).sum(axis=0), counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _reached(run: Run, configuration: str) -> int:
    return max(len(record.sessions) for record in run.of(configuration))


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
    return _plural(counts[0], "chain") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} chains"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
