"""Signals, outputs without UTF-8, users without a home: real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import signal, sys, time
from datasets.utils.cli import as_program
from datasets.utils.errors import Interrupted

@as_program
def main(arguments=None):
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        raise Interrupted("interrupted: 3 of 4 units are finished") from None
    return 0

sys.exit(main())
"""
IMPORTS = """
import sys
from datasets.utils.cli import as_program

@as_program
def main(arguments=None):
    import scipy.signal, pandas, matplotlib.pyplot
    return 0

sys.exit(main())
"""
LINE = "interrupted; run the same command again\n"


def start(*arguments: str, ignored: tuple[signal.Signals, ...] = ()) -> "subprocess.Popen[str]":
    """Starts Python; a shell may have started the tests with signals ignored."""

    def prepare() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_signals_end_a_command_with_its_line(number: signal.Signals, status: int) -> None:
    process = start("-c", PROGRAM)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    if number != signal.SIGINT:
        process.send_signal(number)  # as `timeout` does
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (status, "interrupted: 3 of 4 units are finished\n")


def test_what_nohup_ignores_stays_ignored() -> None:
    process = start("-c", PROGRAM, ignored=(signal.SIGHUP, signal.SIGINT))
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # also where Ctrl-C is ignored
    _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (143, "interrupted: 3 of 4 units are finished\n")


@pytest.mark.parametrize(
    ("module", "imported", "number"),
    [
        ("orchestrator.sweep", "rich.console", signal.SIGINT),  # before the command itself
        ("earshot", "argparse", signal.SIGTERM),
        ("-c", "numpy._core._multiarray_umath", signal.SIGTERM),  # inside of the command
        ("-c", "numpy._core._multiarray_umath", signal.SIGINT),
    ],
)
def test_signals_during_imports_are_one_line(
    module: str, imported: str, number: signal.Signals, tmp_path: Path
) -> None:
    sweep = ["-m", module, *(["sweep"] if module == "earshot" else []), "--runs", str(tmp_path), "--config", "nowhere"]
    process = start("-X", "importtime", *(["-c", IMPORTS] if module == "-c" else sweep))
    messages, sent = [], False
    assert process.stderr is not None
    for line in process.stderr:
        if not line.startswith("import time:"):
            messages.append(line)
        elif line.split()[-1] == imported and not sent:  # an interrupted import may be tried again
            process.send_signal(number)
            sent = True
    assert process.wait(20) == 128 + number, messages
    assert messages == [LINE]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_an_output_does_not_have_are_replaced(encoding: str) -> None:
    program = """
import sys
from datasets.utils.cli import as_program
from datasets.utils.console import output_console
from datasets.utils.errors import EarshotError

@as_program
def main(arguments=None):
    print("78.0 \u00b1 1.2", "\uc0c8")
    output_console().print("\uac1c \u2502 \u00e9")
    raise EarshotError("no class '\uc0c8'")

sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    plus = b"?" if encoding == "ascii" else b"\xb1"
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith(b"78.0 " + plus + b" 1.2 ?\n")
    assert done.stderr == b"error: no class '?'\n"


NOBODY = """
import getpass, os, sys
from pathlib import Path
from datasets.utils.cli import as_program

@as_program
def main(arguments=None):
    import matplotlib.font_manager
    home = Path.home()
    print(home, oct(home.stat().st_mode), home.stat().st_uid, getpass.getuser(), os.path.expanduser("~"))
    return 0

sys.exit(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which needs root")
def test_a_user_without_home_and_passwd_entry(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    capabilities = [f"--{kind}-caps=+dac_override,+dac_read_search" for kind in ("inh", "ambient")]
    user = ["setpriv", "--reuid=54321", "--clear-groups", "--securebits=+no_setuid_fixup", *capabilities]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "USER", "LOGNAME", "USERNAME", "LNAME")
    }
    done = subprocess.run(
        [*user, sys.executable, "-c", NOBODY],
        cwd=ROOT,
        env={**inherited, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "setpriv" in done.stderr:
        pytest.skip(f"becomes another user, which is not allowed here: {done.stderr.strip()}")
    folder = tmp_path / "earshot-home-54321"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{folder} 0o40700 54321 user54321 {folder}\n"
