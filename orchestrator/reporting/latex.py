"""The table of methods as LaTeX, in the usual layout of papers: sessions, then AA and PD (booktabs)."""

import re
from collections.abc import Sequence

import numpy as np

from datasets.utils.text import one_line, plural, printable
from orchestrator.reporting.facts import classes_leave, entry_cells, entry_header, limiting_ceilings
from orchestrator.reporting.formatting import MISSING, percent
from orchestrator.reporting.sentences import APART, PROVISIONAL_MARK, methods_caption
from orchestrator.reporting.tables import MethodRow
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
# A bracket or a star after \\ would be parsed as its option.
_WIDE = 6  # sessions above which the table is set in a smaller size


def latex(run: Run, rows: Sequence[MethodRow]) -> str:
    """A `table` environment; requires the package booktabs only.

    No number is in bold: the highest mean on test clips is an observation, not a selection.

    Args:
        run: the run.
        rows: one per method.
    """
    sessions = run.planned_sessions
    counted = "classes present" if classes_leave(run) else "classes seen"
    counts = sorted({row.n for row in rows})
    seeds = plural(int(counts[0]), "seed") if len(counts) == 1 and counts[0].isdigit() else "the finished seeds"
    caption = escape(methods_caption(run, seeds))
    if any(row.choice.provisional for row in rows):
        caption += f" $^*$ {escape(PROVISIONAL_MARK.removeprefix('* '))}."
    names = [name.capitalize() for name in entry_header(run)]
    if run.has_transductive:
        caption += f" {escape(APART)}"
    body = []
    for row, before in zip(rows, [None, *rows], strict=False):
        apart = before is not None and before.choice.track != row.choice.track
        body += [r"    \midrule"] * apart + [f"    {_row(run, row)} \\\\"]
    if limits := limiting_ceilings(run):
        caption += " Ceiling: highest possible accuracy, limited by identical clips under several labels."
        values = [*map(_value, limits.values), _value(float(np.mean(limits.values))), "--"]
        highest = " & ".join(["Ceiling", *[""] * (len(names) - 1), *values])
        body += [r"    \midrule", f"    {highest} \\\\"]
    head = " & ".join([*names, *(_session(run, t) for t in range(sessions)), "AA", "PD"])
    lines = [
        f"% {one_line(printable(run.name))}: written by earshot report; requires \\usepackage{{booktabs}}",
        r"\begin{table}[t]",
        r"  \centering",
        *([r"  \footnotesize", r"  \setlength{\tabcolsep}{3.5pt}"] if sessions > _WIDE else []),
        f"  \\caption{{{caption}}}",
        r"  \label{tab:accuracy}",
        f"  \\begin{{tabular}}{{{'l' * len(names)}{'r' * sessions}rr}}",
        r"    \toprule",
        f"    {'& ' * len(names)}\\multicolumn{{{sessions}}}{{c}}{{Session ({counted})}}{' & ' * 2}\\\\",
        f"    \\cmidrule(lr){{{len(names) + 1}-{len(names) + sessions}}}",
        f"    {head} \\\\",
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def escape(text: object) -> str:
    r"""Escapes text for LaTeX: `a_b & 5 %` -> `a\_b \& 5 \%`; line breaks become spaces."""
    escaped = "".join(_SPECIAL.get(sign, sign) for sign in printable(one_line(text)))
    return re.sub("-(?=-)", "-{}", escaped)  # two hyphens would be set as a dash


def _session(run: Run, session: int) -> str:
    """'3 (20)': the session and the number of classes seen, or present, after it, if all chains agree."""
    seen = run.classes_seen[session]
    return str(session) if seen is None else f"{session} ({seen})"


def _row(run: Run, row: MethodRow) -> str:
    method, *backbone = map(escape, entry_cells(run, row.choice.entry))
    star = "$^*$" if row.choice.provisional else ""
    cells = [method + star, *backbone, *(_value(value.mean) for value in row.sessions)]
    return " & ".join([*cells, _mean_std(row.aa), _mean_std(row.pd)])


def _mean_std(value: Estimate) -> str:
    return _value(value.mean) + ("" if np.isnan(value.std) else f" $\\pm$ {_value(value.std)}")


def _value(value: float) -> str:
    text = percent(value)
    return "--" if text == MISSING else f"$-${text[1:]}" if text.startswith("-") else text
