"""The store of finished sessions and frozen embeddings: what it holds, making room in it, checking it.

    python -m orchestrator.stages ls                                    what runs/store holds
    python -m orchestrator.stages ls RUN --stages                       the store of a run, a line per stage
    python -m orchestrator.stages gc --max-size 20GB --dry-run          what would go
    python -m orchestrator.stages gc s3://bucket/store --unused-for 30d
    python -m orchestrator.stages verify /nfs/runs/store --remove

PLACE is the folder of a store, a run or its name in runs/, or a URI; runs/store by default. Sweeps may run meanwhile:
what goes is computed again by whoever asks for it.

Exit codes: 0 done, 1 damage was found by verify, 2 bad input, 130 interrupted.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from datasets.utils import humanize
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import error_console, output_console
from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_duration, format_size
from datasets.utils.json_values import json_text
from datasets.utils.location import Location, is_uri
from datasets.utils.text import plural, printable
from orchestrator.results.run_folder import RunFolder
from trainables.store.eviction import GRACE, Room, evict
from trainables.store.inventory import copy_of, holdings
from trainables.store.layout import FEATURES
from trainables.store.summary import described
from trainables.store.verification import remove, verify

DEFAULT = "runs/store"


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    given = parser().parse_args(arguments)
    status: int = given.run(given, output_console(), error_console())
    return status


def _ls(given: argparse.Namespace, console: Console, errors: Console) -> int:
    held = holdings(find_store(given.place))
    found = described(held, held.stages())
    copy = copy_of(held.place)
    if copy is not None:
        found["copy"] = {"place": str(copy.place), "size": copy.size}
    if given.json:
        print(json_text(found, indent=1))
        return 0
    with suppress(SystemExit):  # rich's answer to a reader that left early, such as `head`
        _show(found, console, each_stage=given.stages)
    return 0


def _show(found: dict[str, Any], console: Console, *, each_stage: bool) -> None:
    console.print(Text.assemble((found["place"], "bold"), f": {format_size(found['size'])}"), soft_wrap=True)
    if each_stage:
        table = _table("stage", "method", ">session", "benchmark", ">computed in", ">size", "last used")
        for row in found["stages"]:
            names = (row["address"][:12], row["method"], row["session"], row["data"][:8])
            table.add_row(*map(_cell, names), *_costs(row), _when(row["used"]))
    else:
        table = _table("method", ">session", ">stages", ">computed in", ">size", ">shared parts", "last used")
        for row in found["sessions"]:
            cells = (row["method"], row["session"], row["stages"])
            table.add_row(*map(_cell, cells), *_costs(row), _cell(row["shared_parts"]), _when(row["used"]))
    if found["stages"]:
        console.print(table)
    parts, embeddings = found["parts"], found["embeddings"]
    lines = [
        f"{plural(len(found['stages']), 'stage')} with {plural(parts['count'], 'part')} ({format_size(parts['size'])}"
        f"; {parts['shared']} shared, {format_size(parts['size_unshared'])} if they were not)",
        f"{plural(embeddings['count'], 'embedding')}, {format_size(embeddings['size'])}"
        + (f", last used {_when(embeddings['used'])}" if embeddings["count"] else ""),
    ]
    if found["computing"]:
        lines.append(f"{plural(found['computing'], 'lease')}: somebody computes, or has died at it")
    if found["unreferenced"]["count"]:
        lines.append(f"{_counted(found['unreferenced'])} that belong to no stage, or not yet")
    if found["others"]["count"]:
        lines.append(f"{_counted(found['others'])} that are none of the store's; they are left alone")
    if "copy" in found:
        lines.append(f"this machine's copy: {format_size(found['copy']['size'])} in {found['copy']['place']}")
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _counted(files: dict[str, int]) -> str:
    return f"{plural(files['count'], 'file')} ({format_size(files['size'])})"


def _costs(row: dict[str, Any]) -> tuple[Text, Text]:
    return _cell(format_duration(row["seconds"])), _cell(format_size(row["size"]))


def _cell(value: object) -> Text:
    return Text(str(value))


def _when(used: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(used))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def _gc(given: argparse.Namespace, console: Console, errors: Console) -> int:
    place = find_store(given.place)
    rooms = evict(
        place,
        given.max_size,
        unused_for=given.unused_for,
        grace=given.keep_used,
        dry_run=given.dry_run,
        thorough=True,
    )
    for room in rooms:
        console.print(Text(_told(room, given.dry_run)), soft_wrap=True)
        if room.over:
            errors.print(
                escape(
                    f"{room.place}: {format_size(room.over)} over --max-size stay: used within the last "
                    f"{format_duration(given.keep_used)}, or being computed"
                )
            )
    if not rooms:
        console.print(Text(f"{place}: empty"), soft_wrap=True)
    return 0


def _told(room: Room, dry_run: bool) -> str:
    what = [
        plural(len(room.stages), "stage"),
        plural(room.parts, "part"),
        plural(len(room.arrays), "embedding"),
        plural(room.leftovers, "leftover"),
    ]
    how = "would go" if dry_run else "removed"
    return f"{room.place}: {format_size(room.before)} -> {format_size(room.after)}; {', '.join(what)} {how}"


def _verify(given: argparse.Namespace, console: Console, errors: Console) -> int:
    held = holdings(find_store(given.place))
    with _bar(held.size, errors) as listener:
        verdict = verify(held, listener)
    for damage in verdict.damages:
        print(printable(str(damage)))
    if given.remove:
        remove(held, verdict.damages)
    what = [
        plural(verdict.stages, "stage"),
        plural(verdict.parts, "part"),
        plural(verdict.arrays, "embedding") + (f" ({verdict.unsummed} by length alone)" if verdict.unsummed else ""),
    ]
    found = f"{len(verdict.damages)} damaged" if verdict.damages else "all as published"
    removed = "; removed, the next sweep computes it again" if verdict.damages and given.remove else ""
    errors.print(escape(f"{held.place}: {', '.join(what)}, {format_size(verdict.size)}: {found}{removed}"))
    return 1 if verdict.damages else 0


@contextmanager
def _bar(size: int, console: Console) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("checking"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=size)
        yield lambda done: bar.advance(task, done)


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine(
        "orchestrator.stages",
        description=__doc__,
    )
    verbs = made.add_subparsers(required=True, metavar="ls|gc|verify")
    ls = _verb(verbs, "ls", _ls, "what the store holds, by method and session")
    ls.add_argument("--stages", action="store_true", help="a line per stage")
    ls.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    gc = _verb(verbs, "gc", _gc, "remove what the dead have left, and what was not used for longest")
    gc.add_argument("--max-size", type=_bytes, metavar="SIZE", help="as 20GB: least recently used first, until it fits")
    gc.add_argument("--unused-for", type=_duration, metavar="TIME", help="as 30d: what was not used for so long goes")
    gc.add_argument(
        "--keep-used",
        type=_duration,
        default=GRACE,
        metavar="TIME",
        help="what was used within this time stays; less than the default of 1h only where no sweep runs",
    )
    gc.add_argument("--dry-run", action="store_true", help="tell what would go, and remove nothing")
    check = _verb(verbs, "verify", _verify, "compare every file with its checksum")
    check.add_argument("--remove", action="store_true", help="remove what is damaged, so that it is computed again")
    return made


def _verb(
    verbs: Any, name: str, run: Callable[[argparse.Namespace, Console, Console], int], text: str
) -> argparse.ArgumentParser:
    examples = "\n".join(
        line for line in str(__doc__).splitlines() if line.startswith(f"    python -m orchestrator.stages {name} ")
    )
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"examples:\n{examples}",
    )
    verb.add_argument(
        "place", metavar="PLACE", nargs="?", default=DEFAULT, help=f"store, run or URI (default: {DEFAULT})"
    )
    verb.set_defaults(run=run)
    return verb


def _bytes(text: str) -> int:
    return int(_quantity(humanize.parse_size, text))


def _duration(text: str) -> float:
    return float(_quantity(humanize.parse_duration, text))


def _quantity(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, found {printable(text)!r}") from None


if __name__ == "__main__":
    sys.exit(main())


def find_store(name: str) -> Location:
    """The store that is meant by a folder of one, a run or its name in runs/, or a URI.

    Raises:
        EarshotError: there is none.
    """
    place = Location.of(name)
    if is_uri(name):
        if any(place.files()):
            return place
    elif any((Path(name) / folder).is_dir() for folder in ("stages", "parts", FEATURES)):
        return place
    else:
        try:
            store = RunFolder.find(name).store
        except EarshotError:
            pass
        else:
            if any(store.files()):
                return store
            name = str(store)
    raise EarshotError(
        f"{printable(str(Location.of(name)))}: expected a store (a folder with stages/), a run of a sweep or a URI, "
        "found no store; check the name"
    )
