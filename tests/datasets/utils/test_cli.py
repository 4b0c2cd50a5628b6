"""Every way in which a command ends: the exit status and the line on standard error."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.utils.cli import CommandLine, as_program, command_name, exit_status, local_path
from datasets.utils.errors import EarshotError, Interrupted

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
from datasets.utils.cli import as_program

@as_program
def main(arguments=None):
    print("first", flush=True)
    sys.stdin.read()
    for _ in range({lines}):
        print("more")
    return 1

sys.exit(main())
"""


def fail(error: BaseException) -> int:
    """Runs a command that raises."""

    @as_program
    def main(arguments: object = None) -> int:
        raise error

    return main()


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_status_of_the_function_is_the_status_of_the_command(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert as_program(lambda arguments: status)() == status
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (EarshotError("space.yaml: no key 'a'"), 2, "error: space.yaml: no key 'a'"),
        (EarshotError("two\nlines \x1b[31m"), 2, "error: two lines \\x1b[31m"),
        (FileNotFoundError(2, "No such file or directory", "a/b"), 2, "error: a/b: No such file or directory"),
        (OSError(28, "No space left on device"), 2, "error: file system: No space left on device"),
        (OSError("went away"), 2, "error: file system: went away"),
        (Interrupted("interrupted: 3 units are done"), 130, "interrupted: 3 units are done"),
        (Interrupted(), 130, "interrupted; run the same command again"),
        (KeyboardInterrupt("internal"), 130, "interrupted; run the same command again"),
    ],
)
def test_an_expected_error_is_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(error) == status
    assert capsys.readouterr() == ("", line + "\n")
    assert exit_status(error) == (status, line)


def test_an_unexpected_exception_has_its_traceback_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(ZeroDivisionError("of what")) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Traceback") and err.endswith("ZeroDivisionError: of what\n")
    assert exit_status(ZeroDivisionError("of what")) == (2, "error: ZeroDivisionError: of what")


def test_usage_errors_and_help_leave_through_argparse() -> None:
    @as_program
    def main(arguments: object = None) -> int:
        CommandLine("orchestrator.sweep").parse_args(["--nothing"])
        return 0

    with pytest.raises(SystemExit, match="2"):
        main()


@pytest.mark.parametrize(
    ("lines", "status"),
    [(100_000, 0), (1, 1)],
    ids=["it fails while the function prints", "it fails when the buffer is flushed at the end"],
)
def test_a_reader_that_closes_the_pipe_is_not_an_error(lines: int, status: int) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(lines=lines)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdin and program.stdout and program.stderr
    assert program.stdout.readline() == "first\n"
    program.stdout.close()
    program.stdin.close()
    assert program.stderr.read() == ""
    program.stderr.close()
    assert program.wait(timeout=60) == status


def test_help_calls_commands_by_their_name() -> None:
    assert command_name("orchestrator") == "earshot"
    assert command_name("orchestrator.sweep") == "earshot sweep"
    assert command_name("trainables.chain") == "earshot chain"
    assert command_name("trainables.pretraining.shipping") == "python -m trainables.pretraining.shipping"
    assert CommandLine("orchestrator.stages").format_usage() == "usage: earshot stages [-h] [--version]\n"


def test_types_of_arguments() -> None:
    assert local_path("a/b") == Path("a/b")
    for text in ("", "s3://a/b"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            local_path(text)
