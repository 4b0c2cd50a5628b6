"""Consoles and progress bars, in a pipe and in a terminal."""

import io
import sys

import pytest
from rich.console import Console

from datasets.utils.console import PIPE_WIDTH, error_console, output_console, progress_bar


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_pipe_has_a_fixed_width_and_a_terminal_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "97")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert (output_console().width, output_console(99).width) == (PIPE_WIDTH, 99)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output_console(50).width == 97


def test_output_and_errors_go_to_their_streams(capsys: pytest.CaptureFixture[str]) -> None:
    output_console().print("result 3")
    error_console().print("warning " * 40)
    out, err = capsys.readouterr()
    assert out == "result 3\n"
    assert err == "warning " * 40 + "\n"  # not wrapped


def test_a_progress_bar_is_drawn_in_a_terminal_and_removed() -> None:
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, width=100)
    with progress_bar("[red]measuring", 3, unit="clips", console=console) as update:
        update(2, unit="clips, 1 rejected")
        update(3, description="shards\x1b[2J", total=4)
    drawn = stream.getvalue()
    assert "[red]measuring" in drawn and "shards\\x1b[2J" in drawn  # untrusted text is neither markup nor control
    assert "3/4" in drawn and drawn.rstrip().endswith("\x1b[2K")


def test_a_progress_bar_of_bytes() -> None:
    stream = Terminal()
    with progress_bar(
        "x", 4_000_000, of_bytes=True, console=Console(file=stream, force_terminal=True, width=100)
    ) as update:
        update(2_500_000)
    assert "2.5/4.0 MB" in stream.getvalue()


def test_a_progress_bar_prints_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("measuring", 3) as update:
        update(3)
    assert capsys.readouterr() == ("", "")
