"""Consoles and progress bars of the command lines."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from datasets.utils.text import printable

PIPE_WIDTH = 140  # columns: a pipe has no width, and Rich would assume 80 and cut the tables


def output_console(width: int = PIPE_WIDTH, *, quiet: bool = False) -> Console:
    """The console for standard output.

    Args:
        width: columns where standard output is not a terminal.
        quiet: print nothing.
    """
    width_of_pipe = None if sys.stdout.isatty() else width
    return Console(highlight=False, width=width_of_pipe, force_jupyter=_force_jupyter(quiet), quiet=quiet)


def error_console(*, quiet: bool = False) -> Console:
    """The console for standard error: progress bars, warnings.

    Args:
        quiet: print nothing.
    """
    return Console(stderr=True, highlight=False, soft_wrap=True, force_jupyter=_force_jupyter(quiet), quiet=quiet)


def _force_jupyter(quiet: bool) -> bool | None:
    """Whether a console draws in a notebook; None where Rich finds out.

    Without ipywidgets, Rich's live views would only print warnings there: such a notebook gets plain text.
    """
    return False if quiet or find_spec("ipywidgets") is None else None


def shows_live(console: Console) -> bool:
    """Whether a console can show a view that changes: a terminal, or a notebook."""
    return (console.is_terminal or console.is_jupyter) and not console.quiet


def first_that_fits(tables: Iterable[Table], width: int) -> Table:
    """The first of several forms of a table that is not wider than `width`; the last one if none is.

    Args:
        tables: from the widest to the narrowest; made one by one.
        width: columns of the terminal.
    """
    unlimited = Console(width=1000)
    for table in tables:
        if Measurement.get(unlimited, unlimited.options, table).maximum <= width:
            break
    return table


@contextmanager
def progress_bar(
    description: str,
    total: int | None = None,
    *,
    unit: str = "",
    of_bytes: bool = False,
    console: Console | None = None,
) -> Iterator[Callable[..., None]]:
    """A progress bar that is removed at the end; draws nothing if the console is neither a terminal nor a notebook.

    Args:
        description: label of the bar; may be untrusted text.
        total: number of steps, if known already.
        unit: label after the count.
        of_bytes: whether the steps are bytes.
        console: where to draw it (default: standard error).

    Yields:
        A function that takes the number of completed steps, and as keywords a new `total`, `unit` or `description`.
    """
    console = console or error_console()
    count = (DownloadColumn(),) if of_bytes else (MofNCompleteColumn(), TextColumn("{task.fields[unit]}"))
    columns = (TextColumn("{task.description}"), BarColumn(), *count, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shows_live(console)) as bar:
        task = bar.add_task(escape(printable(description)), total=total, unit=unit)

        def update(completed: int, **changes: object) -> None:
            if "description" in changes:
                changes["description"] = escape(printable(str(changes["description"])))
            bar.update(task, completed=completed, **changes)  # type: ignore[arg-type]

        yield update
