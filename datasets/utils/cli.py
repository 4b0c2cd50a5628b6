"""How all command lines look: help as written, no abbreviated options, and a suggestion where one is misspelt."""

import argparse
import functools
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from datasets.utils.errors import EarshotError, Interrupted, error_line
from datasets.utils.location import is_uri
from datasets.utils.suggestion import suggestion
from datasets.utils.text import one_line, printable


class CommandLine(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        module: what `python -m` runs; None for the parser of a subcommand.
        keywords: as of `argparse.ArgumentParser`.
    """

    def __init__(self, module: str | None = None, **keywords: Any) -> None:
        keywords.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        keywords.setdefault("allow_abbrev", False)
        if module is not None:
            keywords["prog"] = f"python -m {module}"
        super().__init__(**keywords)
        if module is not None:
            self.add_argument(
                "--version", action="version", version=f"earshot {_version()}", help="show the version and exit"
            )

    def error(self, message: str) -> NoReturn:
        """One line, with what was meant where that can be guessed; exit status 2."""
        if found := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            close = suggestion(found[1], self._flags())
            message = f"no option {found[1]}; {close if close.startswith('did') else 'see --help'}"
        elif found := re.match(r"argument ([^:]+): invalid choice: '([^']*)' \(choose from (.*)\)", message):
            choices = re.findall(r"[^,\s']+", found[3])
            message = f"{found[1]}: no '{found[2]}'; {suggestion(found[2], choices)}"
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)

    def _flags(self) -> list[str]:
        """Long options of this command and its subcommands."""
        found: list[str] = []
        for action in self._actions:
            found += [flag for flag in action.option_strings if flag.startswith("--")]
            if isinstance(action, argparse._SubParsersAction):
                found += [flag for below in action.choices.values() for flag in below._flags()]
        return found


Main = Callable[[Sequence[str] | None], int]


def as_program(main: Main) -> Callable[..., int]:
    """Makes a command of a function: turns every way to end into an exit status and, on standard error, one line.

    Errors of input and of the file system are status 2, an unexpected exception too (with its traceback: Python's own
    status, 1, would mean that the command ran and something in it failed). Ctrl-C is status 130. A reader that
    left early, such as `head`, is no error.

    Args:
        main: takes the arguments (None for those of the process) and returns the exit status.
    """

    @functools.wraps(main)
    def program(arguments: Sequence[str] | None = None) -> int:
        try:
            status = main(arguments)
            sys.stdout.flush()
        except KeyboardInterrupt as interrupt:
            reason = str(interrupt) if isinstance(interrupt, Interrupted) else ""
            print(printable(reason or "interrupted; run the same command again"), file=sys.stderr)
            return 130
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (EarshotError, OSError) as error:
            print(printable(one_line(error_line(error))), file=sys.stderr)
            return 2
        except Exception:
            traceback.print_exc()
            return 2
        return status

    return program


def _version() -> str:
    try:
        return version("earshot")
    except PackageNotFoundError:
        return "(not installed)"


def local_path(text: str) -> Path:
    """A path on this machine, as `type` of a flag."""
    if not text or is_uri(text):
        raise argparse.ArgumentTypeError(f"expected a path on this machine, found {printable(text)!r}")
    return Path(text)


def fraction(text: str) -> float:
    """A fraction, as `type` of a flag."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a fraction from 0 to 1, found {text}")
    return value


def positive(text: str) -> int:
    """A number of things, as `type` of a flag."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {printable(text)!r}")
    return int(text)
