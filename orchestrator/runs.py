"""Lists the runs in a folder of runs, the latest first.

    earshot runs
    earshot runs --runs /shared/runs --json

Where a command takes a RUN, `latest` or the first letters of a name will do.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError, error_line
from datasets.utils.location import Location
from datasets.utils.options import JSON, add_options
from datasets.utils.text import one_line, plural, printable
from datasets.utils.validation import validated
from orchestrator.results.find_run import RUNS, RunsOptions, began, run_folders


class ListOptions(RunsOptions):
    """Options of the command line."""

    as_json: Annotated[bool, JSON] = Field(False, description="print JSON instead of a table")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot runs`."""
    options = validated(ListOptions, vars(parser().parse_args(arguments)), "command line", as_flags=True)
    if not options.runs.is_dir() and options.runs != RUNS:
        shown = printable(str(options.runs))
        raise EarshotError(f"{shown}: expected a folder of runs, found none; give it with --runs")
    folders = run_folders(options.runs)[::-1]
    rows = [_row(folder) for folder in folders]
    if options.as_json:
        from datasets.utils.json_values import json_text

        print(json_text(rows, indent=1))
    else:
        _print(rows, options.runs)
    return 0


def parser() -> CommandLine:
    """The parser of the command line."""
    command = CommandLine("orchestrator.runs", description=__doc__)
    add_options(command, ListOptions)
    return command


def _row(folder: Path) -> dict[str, Any]:
    """What is known of a run; `error` if it cannot be read."""
    from orchestrator.results.choice import rank
    from orchestrator.results.run import Run
    from trainables.store.lease import Lease

    row: dict[str, Any] = {"run": folder.name}
    try:
        row["began"] = began(folder).isoformat()
        run = Run.load(folder)
        lease = Lease(Location.of(folder) / ".lease")
        ended = lease.holder() is None or lease.is_abandoned()
    except (EarshotError, OSError) as error:
        return {**row, "error": error_line(error).removeprefix("error: ")}
    records = list(run.trials.values())
    states = ["interrupted" if ended and record.status == "running" else record.status for record in records]
    best = min(map(run.best, run.entries), key=rank)
    return {
        **row,
        "benchmark": records[0].benchmark,
        "protocol": str(records[0].protocol.get("name")),
        "methods": list(run.entries),
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
        "best": best.label if best.n else None,
        "validation_aa": best.validation_aa if best.n else None,
        "provisional": best.sessions < run.planned(best.configuration),
    }


def _print(rows: Sequence[dict[str, Any]], runs: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from datasets.utils.console import output_console
    from datasets.utils.humanize import format_duration

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("run", "benchmark", "protocol", "trials", "best by validation AA", "age"):
        table.add_column(column, overflow="fold")
    now = datetime.now(UTC)
    for row in rows:
        age = format_duration((now - datetime.fromisoformat(row["began"])).total_seconds()) if "began" in row else ""
        cells = [row["error"], "", "", ""] if "error" in row else [row["benchmark"], row["protocol"], *_results(row)]
        table.add_row(*(Text(printable(one_line(cell))) for cell in (row["run"], *cells, age)))
    console = output_console()
    if rows:
        console.print(table)
    console.print(Text(f"{plural(len(rows), 'run')} in {printable(str(runs))}/"))


def _results(row: dict[str, Any]) -> tuple[str, str]:
    """'12 finished, 1 failed' and 'simplecil 92.2 % (of 3 methods)'."""
    from orchestrator.reporting.formatting import percent

    trials = ", ".join(f"{count} {state}" for state, count in row["trials"].items())
    if row["best"] is None:
        return trials, ""
    others = f" (of {len(row['methods'])} methods)" if len(row["methods"]) > 1 else ""
    so_far = " so far" if row["provisional"] else ""
    return trials, f"{row['best']} {percent(row['validation_aa'])} %{so_far}{others}"


if __name__ == "__main__":
    sys.exit(main())
