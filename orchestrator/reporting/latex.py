"""The table of methods as LaTeX, in the layout of the field's papers: sessions, then AA and PD (booktabs)."""

import re
from collections.abc import Sequence

import numpy as np

from datasets.utils.text import one_line, plural, printable
from orchestrator.reporting.tables import PaperRow, ceiling
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import NOTHING, Estimate, percent

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "*": "{*}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
# After \\ a bracket or a star would be taken for its option.
_WIDE = 6  # sessions from which the table is set smaller


def latex(run: Run, rows: Sequence[PaperRow]) -> str:
    """A `table` environment that needs the package booktabs alone.

    Nothing is in bold: the highest mean on test clips is an observation, not a selection.

    Args:
        run: the run.
        rows: one per method.
    """
    first = next(iter(run.trials.values()))
    sessions = run.planned_sessions
    counts = sorted({row.n for row in rows})
    over = plural(int(counts[0]), "seed") if len(counts) == 1 and counts[0].isdigit() else "the finished seeds"
    caption = (
        f"Accuracy (\\%) on {escape(first.benchmark)} after each session over all classes seen so far. AA: mean of the"
        f" sessions; PD: first less last. Means over {over}, $\\pm$ sample standard deviation. The configuration of"
        " each method was chosen by its validation accuracy."
    )
    if any(row.choice.provisional for row in rows):
        caption += " $^*$: provisional, no configuration has finished all its seeds."
    body = [f"    {_row(row)} \\\\" for row in rows]
    if limit := ceiling(run):
        caption += " Ceiling: the most that identical clips under several labels allow."
        highest = " & ".join(["Ceiling", *map(_value, limit), _value(float(np.mean(limit))), "--"])
        body += [r"    \midrule", f"    {highest} \\\\"]
    head = " & ".join(["Method", *(_session(run, t) for t in range(sessions)), "AA", "PD"])
    lines = [
        f"% {one_line(printable(run.name))}: made by python -m orchestrator.report; needs \\usepackage{{booktabs}}",
        r"\begin{table}[t]",
        r"  \centering",
        *([r"  \footnotesize", r"  \setlength{\tabcolsep}{3.5pt}"] if sessions > _WIDE else []),
        f"  \\caption{{{caption}}}",
        r"  \label{tab:accuracy}",
        f"  \\begin{{tabular}}{{l{'r' * sessions}rr}}",
        r"    \toprule",
        f"    & \\multicolumn{{{sessions}}}{{c}}{{Session (classes seen)}}{' & ' * 2}\\\\",
        f"    \\cmidrule(lr){{2-{sessions + 1}}}",
        f"    {head} \\\\",
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def escape(text: object) -> str:
    r"""Text that LaTeX shows as it is: `a_b & 5 %` -> `a\_b \& 5 \%`; line breaks become spaces."""
    escaped = "".join(_SPECIAL.get(sign, sign) for sign in printable(one_line(text)))
    return re.sub("-(?=-)", "-{}", escaped)  # two would be a dash


def _session(run: Run, session: int) -> str:
    """'3 (20)': the session and the classes seen after it, where all chains agree."""
    seen = {
        sum(len(one.classes) for one in record.sessions[: session + 1])
        for record in run.trials.values()
        if len(record.sessions) > session
    }
    return f"{session} ({seen.pop()})" if len(seen) == 1 else str(session)


def _row(row: PaperRow) -> str:
    star = "$^*$" if row.choice.provisional else ""
    cells = [escape(row.choice.method) + star, *(_value(value.mean) for value in row.sessions)]
    return " & ".join([*cells, _mean_std(row.aa), _mean_std(row.pd)])


def _mean_std(value: Estimate) -> str:
    return _value(value.mean) + ("" if np.isnan(value.std) else f" $\\pm$ {_value(value.std)}")


def _value(value: float) -> str:
    text = percent(value)
    return "--" if text == NOTHING else f"$-${text[1:]}" if text.startswith("-") else text
