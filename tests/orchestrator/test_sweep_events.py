"""`sweep --json`: the last event says how the sweep ended, whatever ended it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from datasets.utils.errors import EarshotError, Interrupted
from orchestrator.monitoring.events import SweepEvents
from orchestrator.sweep import _error_event, _Output, main
from tests.support.sweep_processes import PROTOCOL


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (EarshotError("space.yaml: no key 'a'"), 2, "error: space.yaml: no key 'a'"),
        (OSError(28, "No space left on device", "runs/x"), 2, "error: runs/x: No space left on device"),
        (Interrupted("interrupted; resume with X"), 130, "interrupted; resume with X"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again"),
        (ZeroDivisionError("division by zero"), 2, "error: ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_is_the_reason_of_the_last_event_and_is_raised_again(
    error: BaseException, status: int, reason: str
) -> None:
    stream = io.StringIO()
    with (
        pytest.raises(type(error)) as raised,
        _error_event(SweepEvents(stream, 4), _Output(Path("runs/x"), Path("runs/x/report"))),
    ):
        raise error
    assert raised.value is error
    (event,) = map(json.loads, stream.getvalue().splitlines())
    ending = {key: event[key] for key in ("event", "exit", "reason", "folder", "report")}
    assert ending == {
        "event": "sweep_ended", "exit": status, "reason": reason, "folder": "runs/x", "report": "runs/x/report"
    }  # fmt: skip


def dry_run(tones: Path, tmp_path: Path, *options: str) -> list[str]:
    """A sweep that is not run."""
    return [
        "--benchmark",
        str(tones),
        "--method",
        "mfcc-ncm",
        "--runs",
        str(tmp_path),
        *PROTOCOL,
        "--dry-run",
        *options,
    ]


def events(printed: str) -> list[tuple[str, Any]]:
    """The names and exit statuses of events."""
    return [(event["event"], event.get("exit")) for event in map(json.loads, printed.splitlines())]


@pytest.mark.parametrize("source", ["option", "file"])
def test_json_can_be_chosen_on_the_command_line_and_in_a_file(
    source: str, tones: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("show: json\n")
    options = ["--json"] if source == "option" else ["--config", str(path)]
    assert main(dry_run(tones, tmp_path, *options)) == 0
    out, err = capfd.readouterr()
    assert events(out) == [("dry_run", None), ("sweep_ended", 0)]
    assert err == "loading PyTorch, Ray and Optuna\n"


def test_bad_input_is_an_event_and_one_line(tones: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(dry_run(tones, tmp_path, "--json", "--method", "simplecil", "--backbone", "nothing")) == 2
    out, err = capfd.readouterr()
    assert events(out) == [("sweep_ended", 2)]
    _, line = err.splitlines()
    assert line.startswith("error: ") and json.loads(out)["reason"] == line
    assert main(["--json", "--config", str(tmp_path / "missing.yaml")]) == 2
    assert events(capfd.readouterr().out) == [("sweep_ended", 2)]
