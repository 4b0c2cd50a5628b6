"""Prepares a benchmark under a progress bar, for the command and the library."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from datasets.utils.console import progress_bar
from datasets.utils.errors import Interrupted
from datasets.utils.location import Location

if TYPE_CHECKING:  # imported after parsing: `--help` and typos answer sooner
    from orchestrator.preparation.pipeline import Outcome, Settings
    from orchestrator.preparation.shard_tasks import Progress


def prepare_with_progress(settings: "Settings", console: Console | None = None) -> "Outcome":
    """Prepares a benchmark.

    Args:
        settings: what to prepare.
        console: where to draw (default: standard error).

    Raises:
        EarshotError: see `orchestrator.preparation.pipeline.prepare`.
        Interrupted: Ctrl-C.
    """
    from orchestrator.preparation.pipeline import run

    name = settings.name or Location.of(settings.out).name
    with interruptible_progress(f"preparing {name}", "units", console) as update:

        def listener(progress: "Progress") -> None:
            update(progress.done, progress.total, unit=f"units, {progress.clips} clips")

        return run(settings, listener)


@contextmanager
def interruptible_progress(
    description: str, unit: str, console: Console | None = None
) -> Iterator[Callable[..., None]]:
    """A progress bar, and the error for Ctrl-C with the number of finished units.

    Args:
        description: label of the bar.
        unit: label after the count.
        console: where to draw (default: standard error).

    Yields:
        a function that takes finished steps and their total number, and by keyword a new `unit`.
    """
    finished, total = 0, 0

    with progress_bar(description, unit=unit, console=console) as bar:

        def update(done: int, of: int, **changes: str) -> None:
            nonlocal finished, total
            finished, total = done, of
            bar(done, total=of, **changes)

        try:
            yield update
        except KeyboardInterrupt:
            state = f"{finished} of {total} {unit} are finished" if total else "no unit is finished"
            raise Interrupted(f"interrupted: {state}; run the same command again to resume") from None
