"""Finds the folder of a run by its path or name; imports nothing heavy, so that commands can check a path at once."""

import json
from argparse import ArgumentParser
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from datasets.utils.errors import EarshotError
from datasets.utils.options import Option
from datasets.utils.suggestion import suggestion
from datasets.utils.text import first_few, printable

RUNS = Path("runs")
"""Folder of runs unless another one is given."""


BEGAN = ("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M UTC")
"""How sweep.json says when a run began, and how it did in earlier versions."""
LATEST = "latest"
"""In place of the name of a run: the one that began last."""


def find_run(name: Path | str, runs: Path = RUNS, *, exact: bool = False) -> Path:
    """The folder of a run.

    Args:
        name: path of the folder, its name in `runs`, the beginning of one name only, or `latest`.
        runs: folder of runs.
        exact: whether the beginning of a name is not enough: for commands that write to the run.

    Returns:
        The path as given, or `runs / name`; not made absolute.

    Raises:
        EarshotError: there is no such run, or several names begin like this.
    """
    for path in (Path(name), runs / name):
        if is_run(path):
            return path
    found = run_folders(runs)
    if str(name) == LATEST and found:
        return found[-1]
    shown = f"{printable(str(name))}: expected a run folder of a sweep, or the name of one in {printable(str(runs))}/"
    matching = [] if exact else [path for path in found if path.name.startswith(str(name))]
    if len(matching) > 1:
        names = first_few([printable(path.name) for path in matching])
        raise EarshotError(f"{shown}, found {len(matching)} that begin like this ({names}); give more of the name")
    if matching:
        return matching[0]
    known = [path.name for path in found]
    advice = suggestion(Path(name).name, known) if known else "check the name"
    raise EarshotError(f"{shown}, found no trials there; {advice}")


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / "trials").is_dir() or (folder / "sweep.json").is_file()


def run_folders(runs: Path = RUNS) -> list[Path]:
    """The runs in a folder of runs, the one that began last at the end."""
    found = [path for path in runs.glob("*") if is_run(path)]
    return sorted(found, key=lambda path: (began(path), path.stat().st_mtime, path.name))


def began(run: Path) -> datetime:
    """When a run began; the time of its folder if it does not say."""
    try:
        text = str(json.loads((run / "sweep.json").read_bytes())["made"]["began"])
    except (OSError, ValueError, KeyError, TypeError):
        text = ""
    for form in BEGAN:
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return datetime.fromtimestamp(run.stat().st_mtime, UTC)


class RunsOptions(BaseModel):
    """Options of every command that finds runs by their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: Annotated[Path, Option(metavar="DIR")] = Field(RUNS, description="folder of runs")


class SeveralRunsOptions(RunsOptions):
    """Options of every command that shows several runs together."""

    mixed: Annotated[bool, Option(negatable=False)] = Field(
        False, description="allow runs with different protocol hashes, shown in a column 'protocol'"
    )


def add_run_arguments(command: ArgumentParser) -> None:
    """Adds `RUN ...` to a command that reads one or more runs.

    Args:
        command: its parser.
    """
    command.add_argument(
        "run",
        nargs="+",
        metavar="RUN",
        help="run folder of a sweep, finished or not, its name in --runs or the beginning of it, or latest",
    )
