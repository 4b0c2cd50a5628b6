"""Reports runs: tables and figures, computed from their stored predictions.

    earshot report RUN [--out DIR]
    earshot report RUN RUN [RUN ...] --out DIR     several runs as one

Writes to RUN/report/ (or DIR) and prints the table of methods:

    report.html        interactive page with all results; self-contained, with some clips of the benchmark
    report.md          what ran, how configurations were chosen, tables, figures
    results.json       everything that a citation needs, versioned: docs/results.md
    ro-crate-metadata.json   the folder as an RO-Crate: its files, the software, the papers of what ran
    results.csv        a row per chain: seeds, digests, metrics on validation and test clips, cost
    methods.tex        a row per method: accuracy after each session, AA, PD; the usual layout of papers (booktabs)
    methods.md         the same in Markdown
    methods.csv        the same with mean, std and n over chains
    summary.csv        a row per configuration and head: AA, PD, forgetting, ...; mean, std and n over chains
    sessions.csv       a row per configuration, head, split and session: accuracies; mean, std and n over chains
    classes.csv        a row per method and class: its accuracy after each session
    confusion.csv      a row per method, true class and predicted class: number of clips after the last session
    mistakes.csv       a row per confident mistake: the wrong predictions of each chain with the highest probability
    pareto.csv         for searches with several objectives: the Pareto set of each method
    tables.xlsx        methods, heads, sessions, configurations and classes, one sheet each
    accuracy.png       accuracy after each session, a line per method
    heads.png          the same for every head, a panel per method
    matrix-METHOD.png  accuracy matrix a[t, j]
    pareto.png         for searches with several objectives: configurations by the first two

Figures are written as SVG too, and as PDF with `--format png svg pdf`. The CSV files contain fractions of one; an empty
cell is a value that is undefined or not available yet. Their last column is the protocol hash; runs with different
ones are in one report only with `--mixed`, as rows of their own. Of each method, the configuration with the highest
validation AA is shown; its accuracy on test clips is reported once and never used to choose.

Anyone who has report.html can hear the clips in it; --audio 0 leaves them out. They are read from the benchmark, if it
is still in the local folder where the sweep read it. The pages that a sweep writes itself have none.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.options import Option, add_options
from datasets.utils.validation import validated
from orchestrator.reporting.options import AUDIO, DEFAULT_FORMATS, FORMATS, SUMMARY_WIDTH, Format, parse_budget
from orchestrator.results.find_run import SeveralRunsOptions, add_run_arguments, find_run


class ReportOptions(SeveralRunsOptions):
    """Options of the command line."""

    out: Annotated[Path | None, Option(metavar="DIR")] = Field(
        None, description="folder of the report (default: RUN/report)"
    )
    format: Annotated[tuple[Format, ...], Option(several=True, metavar="FORMAT")] = Field(
        DEFAULT_FORMATS,
        description=f"formats of the figures: {', '.join(FORMATS)} (default: {' '.join(DEFAULT_FORMATS)})",
    )
    audio: Annotated[int, BeforeValidator(parse_budget), Option(metavar="SIZE")] = Field(
        AUDIO,
        ge=0,
        description="bytes of clips of the benchmark in report.html, to listen to mistakes; 0 leaves them out "
        "(default: 2MB)",
    )


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `earshot report`; exit status 0: written, 2: bad input."""
    given = vars(parser().parse_args(arguments))
    names = given.pop("run")
    options = validated(ReportOptions, given, "command line", as_flags=True)
    if len(names) > 1 and options.out is None:
        raise EarshotError(f"--out: expected a folder for the report of {len(names)} runs, found none")
    folders = [find_run(name, options.runs, chains=True) for name in names]

    from rich.text import Text

    from datasets.utils.console import output_console
    from orchestrator.reporting.summary import summary_table
    from orchestrator.reporting.write import write_report
    from orchestrator.results.run import Run

    run = Run.merged([Run.load(folder) for folder in folders], mixed=options.mixed)
    paths = write_report(run, options.out, tuple(dict.fromkeys(options.format)), audio=options.audio)
    console = output_console(SUMMARY_WIDTH)
    console.print(summary_table(run, console.width))
    console.print(Text(f"report: {paths}"), soft_wrap=True)
    return 0


def parser() -> CommandLine:
    """The parser of the command line."""
    command = CommandLine("orchestrator.report", description=__doc__)
    add_run_arguments(command)
    add_options(command, ReportOptions)
    return command


if __name__ == "__main__":
    sys.exit(main())
