"""What all command lines share: the look of their help, suggestions for misspelt options, exit statuses."""

import argparse
import functools
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from datasets.utils import signals
from datasets.utils.errors import EarshotError, Interrupted, error_line
from datasets.utils.home import ensure_home
from datasets.utils.suggestion import suggestion
from datasets.utils.text import first_few, is_uri, one_line, printable


class CommandLine(argparse.ArgumentParser):
    """The parser of one command.

    Args:
        module: what `python -m` runs; help calls `orchestrator.sweep` by its other name, `earshot sweep`. None for the
            parser of a subcommand.
        keywords: as of `argparse.ArgumentParser`.
    """

    def __init__(self, module: str | None = None, **keywords: Any) -> None:
        keywords.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        keywords.setdefault("allow_abbrev", False)
        if module is not None:
            keywords["prog"] = command_name(module)
        super().__init__(**keywords)
        self.register("action", "parsers", _Subcommands)
        self.subcommands: Mapping[str, CommandLine] = {}
        self.subcommand: CommandLine | None = None
        if module is not None:
            self.add_argument(
                "--version", action="version", version=f"earshot {_version()}", help="show the version and exit"
            )

    def error(self, message: str) -> NoReturn:
        """Prints one line, with a suggestion where there is a similar name, and exits with status 2."""
        if match := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            message = f"no option {match[1]}; {self._advice(match[1])}"
        elif match := re.match(r"argument ([^:]+): invalid choice: '([^']*)' \(choose from (.*)\)", message):
            choices = re.findall(r"[^,\s']+", match[3])
            message = f"{match[1]}: no '{match[2]}'; {suggestion(match[2], choices)}"
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)

    def _advice(self, unknown: str) -> str:
        """What to write instead of an option that the command does not have."""
        if self.subcommand:  # takes no option of another subcommand, and none of this parser after its name
            others = [name for name, command in self.subcommands.items() if unknown in command._flags()]
            return f"it is an option of {first_few(others)}" if others else self.subcommand._advice(unknown)
        similar = suggestion(unknown, self._flags())
        return similar if similar.startswith("did") else "see --help"

    def _flags(self) -> list[str]:
        """Long options of this command, without those of its subcommands."""
        flags = [flag for action in self._actions for flag in action.option_strings]
        return [flag for flag in flags if flag.startswith("--")]


class _Subcommands(argparse._SubParsersAction):
    """Tells a parser which of its subcommands was called."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        parser.subcommands = self.choices
        parser.subcommand = self.choices.get(values[0])
        super().__call__(parser, namespace, values, option_string)


def command_name(module: str) -> str:
    """How a command is called: `earshot sweep`; `python -m MODULE` for a module that is not a command of `earshot`."""
    package, _, verb = module.partition(".")
    if package not in ("orchestrator", "trainables") or "." in verb:
        return f"python -m {module}"
    return f"earshot {verb.replace('_', '-')}".rstrip()


Main = Callable[[Sequence[str] | None], int]


def as_program(main: Main) -> Callable[..., int]:
    """Decorates the main function of a command: turns exceptions into an exit status and one line on standard error.

    SIGTERM and SIGHUP end the command as Ctrl-C does. Characters that the encoding of an output does not have are
    replaced. A user without a home folder gets one (`datasets.utils.home`). A reader that closes the pipe early, such
    as `head`, is not an error. An unexpected exception prints its traceback.

    Args:
        main: takes the arguments (None: those of the process) and returns the exit status.
    """

    @functools.wraps(main)
    def program(arguments: Sequence[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        status = 0
        with signals.signals_interrupt():
            try:
                ensure_home()
                status = main(arguments)
                sys.stdout.flush()
            except BrokenPipeError:
                _discard(sys.stdout)
            except (KeyboardInterrupt, EarshotError, OSError) as error:
                status, line = exit_status(error)
                _print_error(line)
            except Exception as error:
                status, line = exit_status(error)
                if signals.received() is None:
                    traceback.print_exc()
                else:
                    _print_error(line)
        return status

    return program


def exit_status(error: BaseException) -> tuple[int, str]:
    """The exit status of a command that ended with an exception, and the line that explains it.

    Ctrl-C is 130, SIGTERM 143, SIGHUP 129, everything else 2: Python's own status of an exception, 1, would mean that
    the command completed and something in it failed. Any exception after a signal is its consequence: libraries turn a
    `KeyboardInterrupt` in their imports into errors of their own.
    """
    if isinstance(error, KeyboardInterrupt) or signals.received() is not None:
        message = str(error) if isinstance(error, Interrupted) else ""
        return signals.status(), printable(message or signals.INTERRUPTED)
    if isinstance(error, EarshotError | OSError):
        return 2, printable(one_line(error_line(error)))
    return 2, printable(one_line(f"error: {type(error).__name__}: {error}"))


def _print_error(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # the terminal was closed
        _discard(sys.stderr)
        _discard(sys.stdout)


def _discard(stream: Any) -> None:
    """Redirects an output that cannot be written to nowhere, so that Python does not fail to flush it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _version() -> str:
    try:
        return version("earshot")
    except PackageNotFoundError:
        return "(not installed)"


def local_path(text: str) -> Path:
    """Converts an argument to a path on this machine (`type` of an option)."""
    if not text or is_uri(text):
        found = "a URI, which may contain a key" if text else "nothing"  # so it is not shown
        raise argparse.ArgumentTypeError(f"expected a path on this machine, found {found}")
    return Path(text)
