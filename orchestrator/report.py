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
from pathlib import Path

from rich.text import Text

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import output_console
from datasets.utils.errors import EarshotError
from orchestrator.reporting.style import FORMATS, USUAL
from orchestrator.reporting.summary import SUMMARY_WIDTH, summary_table
from orchestrator.reporting.write import write_report
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.report`: 0 written, 2 bad input."""
    given = parser().parse_args(arguments)
    if len(given.run) > 1 and given.out is None:
        raise EarshotError(f"--out: expected a folder for the report of {len(given.run)} runs, found none")
    run = Run.merged([Run.load(RunFolder.named(path)) for path in given.run])
    paths = write_report(run, given.out, tuple(dict.fromkeys(given.format)))
    console = output_console(SUMMARY_WIDTH)
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
    sys.exit(main())
