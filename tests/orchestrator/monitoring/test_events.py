"""`--json`: the events of a sweep, and that nothing else is written to stdout."""

import io
import json
import math
import os
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.monitoring import events
from orchestrator.monitoring.events import SweepEvents, claimed_stdout
from tests.support.trial_events import TrialEvents, finish


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in stream.getvalue().splitlines()]


def begin(sweep: SweepEvents) -> None:
    sweep.sweep_started(
        Path("/runs/run"),
        benchmark="/data/tones",
        protocol={"name": "ffcac-25"},
        protocol_hash="1a2b3c4d",
        methods={"ede": 3, "simplecil": 1},
        sessions=3,
        at_once=2,
    )


def test_every_event_is_a_line_with_the_documented_keys() -> None:
    stream = io.StringIO()
    sweep = SweepEvents(stream, attempts=4)
    begin(sweep)
    finish(TrialEvents(sweep, settings={"incremental_lr": 0.1, "base_lr": 1}, varied=["incremental_lr"]))
    TrialEvents(sweep, seed=1).start().worker_dies().start().session(0, cached=True).end("stopped")
    TrialEvents(sweep, seed=2).start().end("failed", "it is 'broken'")
    last = TrialEvents(sweep, method="simplecil").start()
    sweep.sweep_restarted("no memory")
    last.start().end("failed", "its worker process died")
    sweep.sweep_ended(1, folder=Path("/runs/run"), report=Path("/runs/run/report/report.md"))

    lines = written(stream)
    assert [line["event"] for line in lines] == [
        "sweep",
        *("trial_started", "session", "session", "session", "trial_ended"),
        *("trial_started", "trial_died", "trial_started", "session", "trial_ended"),
        *("trial_started", "trial_ended"),
        *("trial_started", "sweep_restarted", "trial_started", "trial_ended"),
        "sweep_ended",
    ]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", events.__doc__ or "", re.M))
    for line in lines:
        keys = re.sub(r"[{(].*?[)}]", "", documented[line["event"]])
        assert {"event", "time", *re.findall(r"`(\w+)`", keys)} == set(line), line["event"]
        assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


def test_values_of_the_events() -> None:
    stream = io.StringIO()
    sweep = SweepEvents(stream, attempts=4)
    begin(sweep)
    trial = TrialEvents(sweep, seed=7, settings={"lr": 0.1, "epochs": 1}, varied=["lr"])
    trial.start().session(0, cached=True, value=0.25).worker_dies()
    trial.start().session(1, value=math.nan).end("stopped")
    TrialEvents(sweep, seed=8).start().end("failed", "reason")
    sweep.sweep_ended(130, reason="interrupted")
    begun, started, first, died, again, second, stopped, _, failed, ended = written(stream)
    assert (begun["schema"], begun["run"], begun["trials"]) == (1, "run", 4)
    assert started["seeds"] == {"order": 7, "support": 7, "initialisation": 7}
    assert (started["varied"], started["attempt"], again["attempt"]) == ({"lr": 0.1}, 1, 2)
    assert (died["attempt"], died["attempts"]) == (1, 4)
    assert (first["session"], first["sessions"], first["found"], first["seconds"]) == (0, 3, True, 2.0)
    assert first["accuracy"] == {"val/prototype": 0.25, "test/prototype": 0.25}
    assert first["validation"] == {"aa": 0.25, "final": 0.25}
    assert (second["session"], second["found"], second["validation"]["aa"]) == (1, False, None)
    assert (stopped["status"], stopped["reason"], stopped["sessions"]) == ("stopped", None, 2)
    assert (failed["status"], failed["reason"], failed["sessions"]) == ("failed", "reason", 0)
    counts = {key: ended[key] for key in ("trials", "finished", "failed", "stopped", "computed", "found")}
    assert counts == {"trials": 2, "finished": 0, "failed": 1, "stopped": 1, "computed": 1, "found": 1}
    assert (ended["exit"], ended["reason"], ended["report"]) == (130, "interrupted", None)


def test_a_reader_that_closes_the_pipe_does_not_end_the_sweep() -> None:
    reading, writing = os.pipe()
    stdout = os.dup(1)
    os.dup2(writing, 1)
    os.close(writing)
    try:
        with claimed_stdout() as stream:
            sweep = SweepEvents(stream, attempts=4)
            begin(sweep)
            assert json.loads(os.read(reading, 10_000))["event"] == "sweep"
            os.close(reading)
            finish(TrialEvents(sweep))
            sweep.sweep_ended(0)
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def test_only_events_reach_stdout_while_it_is_claimed(capfd: pytest.CaptureFixture[str]) -> None:
    with claimed_stdout() as stream:
        print("printed")
        os.write(1, b"written\n")
        subprocess.run(["echo", "a child's"], check=True)
        stream.write("event\n")
    print("after")
    out, err = capfd.readouterr()
    assert out == "event\nafter\n"
    assert sorted(err.splitlines()) == ["a child's", "printed", "written"]
