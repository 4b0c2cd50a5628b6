"""A leaderboard: results of many people in one file of JSON lines, each checked whenever the file is read.

    earshot leaderboard add RUN --to results/leaderboard.jsonl --by "A. Author"
    earshot leaderboard show results/leaderboard.jsonl --html leaderboard.html
    earshot leaderboard check s3://bucket/leaderboard.jsonl

`add` writes a line for each method of a run: its configuration with the best validation AA, with the values of all its
chains. FILE is a path or a URI. Commit it to a repository: a change of it is the lines that were added.

`show` prints a table for each protocol hash and track, ranked by validation AA, with test AA beside. It rejects a file
in which a mean or an interval is not that of the chains, a protocol hash not that of the rules, a line appears twice,
or chains of equal seeds have other classes or clips than those of another row; `check` lists all of these.

Exit status: 0 success, 1 check found a problem, 2 bad input.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.options import Option, add_options
from datasets.utils.text import plural, printable
from datasets.utils.validation import validated
from orchestrator.results.find_run import SeveralRunsOptions, add_run_arguments, find_run


class AddOptions(SeveralRunsOptions):
    """Options of `earshot leaderboard add`."""

    to: Annotated[str, Option(metavar="FILE")] = Field(description="the leaderboard, a path or a URI; made if needed")
    by: Annotated[str, Option(metavar="NAME")] = Field(
        min_length=1, max_length=200, description="who adds the rows, for readers of the file"
    )


class ShowOptions(BaseModel):
    """Options of `earshot leaderboard show`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    html: Annotated[Path | None, Option(metavar="OUT")] = Field(None, description="also write a page")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; exit status 0: success, 1: check found a problem, 2: bad input."""
    given = vars(parser().parse_args(arguments))
    command = given.pop("command")
    status: int = command(given)
    return status


def parser() -> CommandLine:
    """The parser of the command line."""
    command = CommandLine("orchestrator.leaderboard", description=__doc__)
    subcommands = command.add_subparsers(metavar="COMMAND", required=True)
    add = subcommands.add_parser("add", help="add the methods of a run", description="Adds the methods of a run.")
    add_run_arguments(add)
    add_options(add, AddOptions)
    add.set_defaults(command=_add)
    show = subcommands.add_parser(
        "show", help="print the tables, or make a page", description="Prints a table for each protocol and track."
    )
    show.add_argument("file", metavar="FILE", help="the leaderboard, a path or a URI")
    add_options(show, ShowOptions)
    show.set_defaults(command=_show)
    check = subcommands.add_parser(
        "check", help="list what is wrong with a file", description="Lists what is wrong; exit status 1 if anything is."
    )
    check.add_argument("file", metavar="FILE", help="the leaderboard, a path or a URI")
    check.set_defaults(command=_check)
    return command


def _add(given: dict[str, Any]) -> int:
    names = given.pop("run")
    options = validated(AddOptions, given, "leaderboard add", as_flags=True)
    folders = [find_run(name, options.runs) for name in names]
    place = Location.of(options.to)
    if place.local is not None and place.local.is_dir():
        raise EarshotError(f"--to: {place}: expected a file, found a folder; name a file in it")

    from orchestrator.publishing.leaderboard import add
    from orchestrator.publishing.run_results import results_of
    from orchestrator.results.run import Run
    from orchestrator.statistics.estimates import Estimates

    run = Run.merged([Run.load(folder) for folder in folders], mixed=options.mixed)
    added = add(place, results_of(run, Estimates(run)), options.by)
    for row in added.rows:
        print(f"added {printable(row.method)} on {printable(row.benchmark)}, {plural(len(row.chains), 'chain')}")
    if added.known:
        print(f"{plural(added.known, 'row')} of this run in {place} already")
    for method, reason in added.left_out.items():
        print(f"left out {printable(method)}: {reason}")
    return 0


def _show(given: dict[str, Any]) -> int:
    from orchestrator.publishing.leaderboard import read

    place = given.pop("file")
    html = validated(ShowOptions, given, "leaderboard show", as_flags=True).html
    rows = read(Location.of(place))

    from rich.table import Table
    from rich.text import Text

    from datasets.utils.console import output_console
    from datasets.utils.files import write_files
    from orchestrator.reporting.html.leaderboard import HEADER, RANKED, boards, leaderboard_page

    if html is not None:  # before the tables, whose reader may leave early, such as `head`
        page = leaderboard_page(rows, "Leaderboard")
        write_files(html.parent, {html.name: page.encode()}, advice="name another file with --html")
    console = output_console()
    for board in boards(rows):
        table = Table(
            title=Text(board.title, style="bold"), caption=Text(board.rules), box=None, padding=(0, 2, 0, 0),
            header_style="bold", title_justify="left", caption_justify="left",
        )  # fmt: skip
        for name in HEADER:
            table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
        for cells in board.cells:
            table.add_row(*map(Text, cells))
        console.print(table)
        console.print()
    console.print(Text(RANKED))
    if html is not None:
        console.print(Text(f"page: {printable(str(html))}"), soft_wrap=True)
    return 0


def _check(given: dict[str, Any]) -> int:
    from orchestrator.publishing.leaderboard import problems_of

    place = Location.of(given["file"])
    rows, problems = problems_of(place)
    for problem in problems:
        print(f"{place}: line {problem.line}: {problem.reason}")
    if not problems:
        print(f"{place}: {plural(rows, 'row')}, no problem")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
