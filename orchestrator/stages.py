"""The store of finished sessions and frozen embeddings: list its contents, evict, verify.

    earshot stages ls                                    contents of runs/store
    earshot stages ls RUN --stages                       the store of a run, one line per stage
    earshot stages gc --max-size 20GB --dry-run          what would be removed
    earshot stages gc s3://bucket/store --unused-for 30d
    earshot stages verify /nfs/runs/store --remove

PLACE is the folder of a store, a run folder or the name of a run, or a URI; runs/store by default. Sweeps may run at
the same time: what was removed is computed again when it is needed.

Exit status: 0 success, 1 verify found damage, 2 bad input, 130 interrupted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from datasets.utils import humanize
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import error_console, output_console, progress_bar
from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_duration, format_size
from datasets.utils.json_values import json_text
from datasets.utils.location import Location
from datasets.utils.options import JSON, Option, add_options
from datasets.utils.text import is_uri, plural, printable
from datasets.utils.validation import validated
from orchestrator.results.find_run import RUNS, RunsOptions
from orchestrator.results.run_folder import RunFolder
from trainables.store.eviction import KEEP_USED_SECONDS, Eviction, evict
from trainables.store.inventory import list_local_copy, list_store
from trainables.store.layout import FEATURES
from trainables.store.summary import summarize
from trainables.store.verification import remove_damaged, verify

STORE = "store"  # the folder of the store in the folder of runs
SWITCH = Option(negatable=False)
TIME = Option(metavar="TIME")
Seconds = Annotated[float, BeforeValidator(humanize.parse_duration)]


class ListOptions(RunsOptions):
    """Options of `earshot stages ls`."""

    stages: Annotated[bool, SWITCH] = Field(False, description="one line per stage")
    as_json: Annotated[bool, JSON] = Field(False, description="one JSON document instead of tables")


class EvictOptions(RunsOptions):
    """Options of `earshot stages gc`."""

    max_size: Annotated[int | None, BeforeValidator(humanize.parse_size), Option(metavar="SIZE")] = Field(
        None, description="evict the least recently used until the store fits, as 20GB"
    )
    unused_for: Annotated[Seconds | None, TIME] = Field(None, description="evict what was not used for so long, as 30d")
    keep_used: Annotated[Seconds, TIME] = Field(
        KEEP_USED_SECONDS,
        description="keep what was used within this time (default: 1h; less only while no sweep runs)",
    )
    dry_run: Annotated[bool, SWITCH] = Field(False, description="show what would be removed, and remove nothing")


class VerifyOptions(RunsOptions):
    """Options of `earshot stages verify`."""

    remove: Annotated[bool, SWITCH] = Field(False, description="remove damaged files, so that they are computed again")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    given = vars(parser().parse_args(arguments))
    run, model, name = (given.pop(key) for key in ("run", "options", "place"))
    options = validated(model, given, "command line", as_flags=True)
    place = find_store(name if name is not None else str(options.runs / STORE), options.runs)
    status: int = run(options, place, output_console(), error_console())
    return status


def _ls(options: ListOptions, place: Location, console: Console, errors: Console) -> int:
    inventory = list_store(place)
    summary = summarize(inventory, inventory.stages())
    copy = list_local_copy(inventory.place)
    if copy is not None:
        summary["copy"] = {"place": str(copy.place), "size": copy.size}
    if options.as_json:
        print(json_text(summary, indent=1))
        return 0
    with suppress(SystemExit):  # raised by Rich if the reader exits early, such as `head`
        _print_summary(summary, console, each_stage=options.stages)
    return 0


def _print_summary(summary: dict[str, Any], console: Console, *, each_stage: bool) -> None:
    console.print(Text.assemble((summary["place"], "bold"), f": {format_size(summary['size'])}"), soft_wrap=True)
    if summary["stages"]:
        console.print(_stage_table(summary["stages"]) if each_stage else _session_table(summary["sessions"]))
    for line in _totals(summary):
        console.print(Text(line), soft_wrap=True)


def _stage_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = _table("stage", "method", ">session", "benchmark", ">computed in", ">size", "last used")
    for row in rows:
        names = (row["address"][:12], row["method"], row["session"], row["data"][:8])
        table.add_row(*map(_cell, names), *_costs(row), _local_time(row["used"]))
    return table


def _session_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = _table("method", ">session", ">stages", ">computed in", ">size", ">shared parts", "last used")
    for row in rows:
        cells = (row["method"], row["session"], row["stages"])
        table.add_row(*map(_cell, cells), *_costs(row), _cell(row["shared_parts"]), _local_time(row["used"]))
    return table


def _totals(summary: dict[str, Any]) -> list[str]:
    parts, embeddings = summary["parts"], summary["embeddings"]
    sharing = f"{parts['shared']} shared, {format_size(parts['size_unshared'])} without sharing"
    lines = [
        f"{plural(len(summary['stages']), 'stage')} with {plural(parts['count'], 'part')}, "
        f"{format_size(parts['size'])} ({sharing})",
        f"{plural(embeddings['count'], 'embedding')}, {format_size(embeddings['size'])}"
        + (f", last used {_local_time(embeddings['used'])}" if embeddings["count"] else ""),
    ]
    if summary["computing"]:
        lines.append(plural(summary["computing"], "active or stale lease"))
    if summary["unreferenced"]["count"]:
        lines.append(f"{_files(summary['unreferenced'])} of no published stage")
    if summary["others"]["count"]:
        lines.append(f"{_files(summary['others'])} not managed by the store; ignored")
    if "copy" in summary:
        lines.append(f"local copy: {format_size(summary['copy']['size'])} in {summary['copy']['place']}")
    return lines


def _files(files: dict[str, int]) -> str:
    return f"{plural(files['count'], 'file')} ({format_size(files['size'])})"


def _costs(row: dict[str, Any]) -> tuple[Text, Text]:
    return _cell(format_duration(row["seconds"])), _cell(format_size(row["size"]))


def _cell(value: object) -> Text:
    return Text(str(value))


def _local_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def _gc(options: EvictOptions, place: Location, console: Console, errors: Console) -> int:
    evictions = evict(
        place,
        options.max_size,
        unused_for=options.unused_for,
        keep_used=options.keep_used,
        dry_run=options.dry_run,
        full_scan=True,
    )
    for eviction in evictions:
        console.print(Text(_format_eviction(eviction, options.dry_run)), soft_wrap=True)
        if eviction.excess:
            errors.print(
                escape(
                    f"{eviction.place}: {format_size(eviction.excess)} over --max-size are kept: used within the last "
                    f"{format_duration(options.keep_used)}, or being computed"
                )
            )
    if not evictions:
        console.print(Text(f"{place}: empty"), soft_wrap=True)
    return 0


def _format_eviction(eviction: Eviction, dry_run: bool) -> str:
    counts = [
        plural(len(eviction.stages), "stage"),
        plural(eviction.parts, "part"),
        plural(len(eviction.arrays), "embedding"),
        plural(eviction.leftovers, "leftover"),
    ]
    verb = "would be removed" if dry_run else "removed"
    sizes = f"{format_size(eviction.size_before)} -> {format_size(eviction.size_after)}"
    return f"{eviction.place}: {sizes}; {', '.join(counts)} {verb}"


def _verify(options: VerifyOptions, place: Location, console: Console, errors: Console) -> int:
    inventory = list_store(place)
    with progress_bar("verifying", inventory.size, of_bytes=True, console=errors) as progress:
        verification = verify(inventory, progress)
    damages = verification.damages
    for damage in damages:
        print(printable(str(damage)))
    if options.remove:
        remove_damaged(inventory, damages)
    without = f" ({verification.unsummed_stages} without a checksum of their notes)"
    by_length = f" ({verification.unsummed} by length only)" if verification.unsummed else ""
    counts = [
        plural(verification.stages, "stage") + (without if verification.unsummed_stages else ""),
        plural(verification.parts, "part"),
        plural(verification.arrays, "embedding") + by_length,
    ]
    outcome = f"{len(damages)} damaged" if damages else "no damage"
    removed = "; removed, the next sweep computes them again" if damages and options.remove else ""
    size = format_size(verification.size)
    errors.print(escape(f"{inventory.place}: {', '.join(counts)}, {size}: {outcome}{removed}"))
    return 1 if damages else 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine(
        "orchestrator.stages",
        description=__doc__,
    )
    verbs = command.add_subparsers(required=True, metavar="ls|gc|verify")
    _add_verb(verbs, "ls", _ls, ListOptions, "list the contents of a store by method and session")
    removes = "remove files left behind by crashed processes, and the least recently used ones"
    _add_verb(verbs, "gc", _gc, EvictOptions, removes)
    _add_verb(verbs, "verify", _verify, VerifyOptions, "compare every file with its checksum")
    return command


def _add_verb(verbs: Any, name: str, run: Callable[..., int], options: type[RunsOptions], text: str) -> None:
    examples = "\n".join(line for line in str(__doc__).splitlines() if line.startswith(f"    earshot stages {name} "))
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"examples:\n{examples}",
    )
    verb.add_argument("place", metavar="PLACE", nargs="?", help=f"store, run or URI (default: {STORE} in --runs)")
    add_options(verb, options)
    verb.set_defaults(run=run, options=options)


def find_store(name: str, runs: Path = RUNS) -> Location:
    """The store that a command line refers to.

    Args:
        name: folder of a store, a run folder or the name of a run, or a URI.
        runs: folder in which names of runs are looked up.

    Raises:
        EarshotError: there is no store.
    """
    place = Location.of(name)
    if is_uri(name):
        if any(place.files()):
            return place
    elif any((Path(name) / folder).is_dir() for folder in ("stages", "parts", FEATURES)):
        return place
    else:
        try:
            run = RunFolder.find(name, runs)
        except EarshotError:
            pass
        else:
            store = run.store
            if any(store.files()):
                return store
            name = str(store)
    raise EarshotError(
        f"{printable(str(Location.of(name)))}: expected a store (a folder with stages/), a run of a sweep or a URI, "
        "found no store; check the name"
    )


if __name__ == "__main__":
    sys.exit(main())
