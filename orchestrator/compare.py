"""Compares methods on the same seeds: which is better, by how much, and with what certainty.

    earshot compare RUN [--method NAME NAME ...]     methods of one run
    earshot compare RUN RUN [RUN ...]                methods of several runs

Chains are paired by class order, support draw and initialisation. Each method is represented by the configuration with
the highest validation AA; test clips are evaluated only here. Decisions are based on a paired t test with Holm's
correction over all comparisons; Wilcoxon's signed rank test, effect sizes and, for undecided comparisons, the number of
further seeds that would decide them are shown too. Transductive methods are compared among themselves; with --against,
differences between the two tracks are shown without a test. The runs must have the same protocol hash (data, rules,
class order, support draw), unless `--mixed` is given; then each row shows it.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.options import JSON, Option, add_options
from datasets.utils.suggestion import suggestion
from datasets.utils.validation import validated
from orchestrator.results.find_run import SeveralRunsOptions, add_run_arguments, find_run
from orchestrator.results.measures import MEASURES


class CompareOptions(SeveralRunsOptions):
    """Options of the command line."""

    method: Annotated[tuple[str, ...], Option(several=True, metavar="NAME")] = Field(
        (), description="methods to compare (default: all)"
    )
    against: Annotated[str | None, Option(metavar="NAME")] = Field(
        None, description="compare all others with this method (default: every two of a track)"
    )
    head: Annotated[str | None, Option(metavar="NAME")] = Field(
        None, description="head of all methods (default: the default head of each)"
    )
    metric: Annotated[str, Option(metavar="NAME")] = Field("aa", description=f"one of {', '.join(MEASURES)}")
    as_json: Annotated[bool, JSON] = Field(False, description="print JSON with fractions of one instead of text")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `earshot compare`; exit status 0: compared, 2: bad input."""
    given = vars(parser().parse_args(arguments))
    names = given.pop("run")
    options = validated(CompareOptions, given, "command line", as_flags=True)
    if options.metric not in MEASURES:
        raise EarshotError(f"--metric: no '{options.metric}'; {suggestion(options.metric, MEASURES)}")
    measure = MEASURES[options.metric]
    folders = [find_run(name, options.runs) for name in names]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise EarshotError(f"{', '.join(names)}: expected different runs, found one twice")

    from datasets.utils.console import output_console
    from datasets.utils.json_values import json_text
    from orchestrator.reporting.comparison import as_json, print_comparison
    from orchestrator.results.run import Run
    from orchestrator.statistics.comparison import compare, compared_methods

    compared = compared_methods(
        [Run.load(folder) for folder in folders], options.method, options.head, mixed=options.mixed
    )
    comparisons = compare(compared, measure, options.against)
    if options.as_json:
        print(json_text(as_json(compared, comparisons, measure), indent=1))
    else:
        print_comparison(compared, comparisons, measure, output_console())
    return 0


def parser() -> CommandLine:
    """The parser of the command line."""
    command = CommandLine("orchestrator.compare", description=__doc__)
    add_run_arguments(command)
    add_options(command, CompareOptions)
    return command


if __name__ == "__main__":
    sys.exit(main())
