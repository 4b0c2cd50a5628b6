"""Finds the folder of a run by its path or name; imports nothing heavy, so that commands can check a path at once."""

from argparse import ArgumentParser
from pathlib import Path

from datasets.utils.cli import local_path
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable

RUNS = Path("runs")
"""Folder of runs unless another one is given."""


def find_run(name: Path | str, runs: Path = RUNS) -> Path:
    """The folder of a run.

    Args:
        name: path of the folder, or its name in `runs`.
        runs: folder of runs.

    Returns:
        The path as given, or `runs / name`; not made absolute.

    Raises:
        EarshotError: neither is a run folder.
    """
    for path in (Path(name), runs / name):
        if (path / "trials").is_dir() or (path / "sweep.json").is_file():
            return path
    known = [path.parent.name for path in runs.glob("*/trials")]
    advice = suggestion(Path(name).name, known) if known else "check the name"
    raise EarshotError(
        f"{printable(str(name))}: expected a run folder of a sweep, or the name of one in {printable(str(runs))}/, "
        f"found no trials there; {advice}"
    )


def add_run_arguments(command: ArgumentParser) -> None:
    """Adds `RUN ...` and `--runs DIR` to a command that reads one or more runs.

    Args:
        command: its parser.
    """
    command.add_argument(
        "run", nargs="+", metavar="RUN", help="run folder of a sweep, finished or not, or its name in --runs"
    )
    add_runs_argument(command)


def add_runs_argument(command: ArgumentParser) -> None:
    """Adds `--runs DIR` to a command.

    Args:
        command: its parser.
    """
    command.add_argument(
        "--runs", type=local_path, default=RUNS, metavar="DIR", help=f"folder of runs (default: {RUNS})"
    )
