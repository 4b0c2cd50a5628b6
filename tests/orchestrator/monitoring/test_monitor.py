"""`TuneMonitor`: each start, session and end is reported once, from simulated calls of Tune and from a real sweep."""

import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune
from rich.console import Console

from orchestrator.monitoring.events import SweepEvents
from orchestrator.monitoring.listener import Listener, SessionResult, Status, TrialState
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.monitoring.progress import SweepProgress
from orchestrator.monitoring.tensorboard import FILE, TensorBoard
from tests.support.trial_events import chain_fields, trial_name
from trainables.chain_config import ChainConfig
from trainables.networks.specs import DEFAULT, BackboneSpec
from trainables.training_curves import TrainingCurve
from trainables.trial import ChainTrial

PROTOCOL = {"name": "free", "base": 2, "way": 2, "shot": 3}
CURVE = {"name": "it", "epochs": 2, "epoch": [1, 2], "loss": [2.0, 1.0], "lr": [0.1, 0.1]}
SEEDS = {"dies": 0, "finishes": 1, "stopped": 2, "fails": 3}


class Recorder(Listener):
    """Remembers what it receives, as one line per event; `s0` is the trial with seed 0."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def trial_started(self, trial: TrialState) -> None:
        self._add(f"attempt {trial.attempt}", trial)

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        assert (trial.sessions, trial.planned) == (result.index + 1, 3)
        self._add(f"session {result.index}" + (" cached" if result.cached else ""), trial)

    def worker_died(self, trial: TrialState) -> None:
        self._add(f"attempt {trial.attempt} died", trial)

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        self._add(f"{status} {trial.failure}".strip(), trial)

    def sweep_restarted(self, reason: str) -> None:
        self.events.append(f"restarted: {reason}")

    def _add(self, event: str, trial: TrialState) -> None:
        self.events.append(f"{trial.name.rpartition('-')[2]} {event}")


class TuneCalls:
    """The calls of Tune to its callback for one trial of three sessions."""

    def __init__(self, monitor: TuneMonitor, seed: int = 0) -> None:
        self._monitor = monitor
        config = {"name": trial_name(seed), "chain": chain_fields(seed)}
        actor = SimpleNamespace(_ray_actor_id=bytes([seed]))
        state = SimpleNamespace(ray_actor=actor)
        self._trial: Any = SimpleNamespace(config=config, last_result={}, temporary_state=state)

    def start(self) -> "TuneCalls":
        return self._call("on_trial_start")

    def session(self, index: int, *, cached: bool = False) -> "TuneCalls":
        result = {
            "session": index,
            "sessions": 3,
            "reused": cached,
            "session_seconds": 2.0,
            "parameters_used": 1000,
            "training": [CURVE],
            "waited_seconds": 0.5,
            "validation_accuracy_mean": 0.5,
            "validation/final": 0.25,
            "val/prototype": 0.75,
            "test/prototype": 1.0,
            "done": index == 2,
            "time_total_s": 7.0,
        }
        self._trial.last_result = result
        return self._call("on_trial_result", result=result)

    def fail(self, reason: str) -> "TuneCalls":
        result = {"done": True, "failed": reason, "validation_accuracy_mean": None}
        self._trial.last_result = result
        return self._call("on_trial_result", result=result).complete()

    def recover(self) -> "TuneCalls":
        return self._call("on_trial_recover")

    def error(self) -> "TuneCalls":
        return self._call("on_trial_error")

    def complete(self) -> "TuneCalls":
        self._trial.last_result["done"] = True
        return self._call("on_trial_complete")

    def shut_down(self) -> "TuneCalls":
        """Tune shuts down because Ray gave up on all trials: it reports as complete what is not done."""
        return self._call("on_trial_complete")

    def _call(self, method: str, **arguments: Any) -> "TuneCalls":
        getattr(self._monitor, method)(iteration=1, trials=[self._trial], trial=self._trial, **arguments)
        return self


def sessions(trial: int, *indices: int) -> list[str]:
    return [f"s{trial} session {index}" for index in indices]


def test_a_trial_from_start_to_end() -> None:
    recorder = Recorder()
    with TuneMonitor([recorder]) as monitor:
        TuneCalls(monitor).start().session(0, cached=True).session(1).session(2).complete()
        TuneCalls(monitor, 1).start().session(0).complete()
        TuneCalls(monitor, 2).start().session(0).fail("the loss is NaN")
    assert recorder.events == [
        *("s0 attempt 1", "s0 session 0 cached", *sessions(0, 1, 2), "s0 finished"),
        *("s1 attempt 1", "s1 session 0", "s1 stopped"),
        *("s2 attempt 1", "s2 session 0", "s2 failed the loss is NaN"),
    ]
    assert monitor.failed == {trial_name(2): "the loss is NaN"}


def test_values_of_a_session() -> None:
    class Results(Listener):
        def session_finished(self, trial: TrialState, result: SessionResult) -> None:
            results.append(result)
            assert (trial.computed, trial.validation) == (1, 0.5)

    results: list[SessionResult] = []
    calls = TuneCalls(TuneMonitor([Results()])).start().session(0)
    accuracy = {"val/prototype": 0.75, "test/prototype": 1.0}
    curves = (TrainingCurve.model_validate_json(json.dumps(CURVE)),)
    assert results == [SessionResult(0, False, 2.0, 1000, accuracy, {"aa": 0.5, "final": 0.25}, curves, 0, 0.5)]
    calls.session(1, cached=True).session(1)
    assert [(step, values["training/loss"]) for step, values in results[1].epochs] == [(3, 2.0), (4, 1.0)]
    assert len(results) == 2


def test_sessions_are_reported_once_although_the_worker_died() -> None:
    recorder = Recorder()
    trial = TuneCalls(TuneMonitor([recorder])).start().session(0).session(1).recover().start()
    trial.session(0, cached=True).session(1, cached=True).session(2).complete()
    assert recorder.events == [
        *("s0 attempt 1", *sessions(0, 0, 1), "s0 attempt 1 died"),
        *("s0 attempt 2", *sessions(0, 2), "s0 finished"),
    ]


def test_a_worker_that_dies_too_often() -> None:
    recorder = Recorder()
    monitor = TuneMonitor([recorder])
    TuneCalls(monitor).start().recover().start().error()
    assert recorder.events[-1] == "s0 failed its worker process died 2 times"
    assert monitor.failed == {trial_name(0): "its worker process died 2 times"}


def test_a_trial_that_ended_without_a_start() -> None:
    recorder = Recorder()
    monitor = TuneMonitor([recorder])
    TuneCalls(monitor).complete()
    TuneCalls(monitor, 1).recover().error()
    assert recorder.events == [
        *("s0 attempt 1", "s0 stopped"),
        *("s1 attempt 1", "s1 attempt 1 died", "s1 failed its worker process died 2 times"),
    ]


def test_trials_that_had_ended_are_not_reported_again_after_a_restart_of_the_sweep() -> None:
    recorder = Recorder()
    monitor = TuneMonitor([recorder])
    first = TuneCalls(monitor).start().session(0).session(1).session(2).complete()
    second = TuneCalls(monitor, 1).start().session(0).shut_down()
    third = TuneCalls(monitor, 2).start().fail("a full disk")
    assert monitor.workers == {f"{seed:02x}": trial_name(seed) for seed in range(3)}
    monitor.restart("no memory")
    assert (monitor.workers, monitor.failed) == ({}, {})
    before = len(recorder.events)
    first.start().session(0, cached=True).session(1, cached=True).session(2, cached=True).complete()
    second.start().session(0, cached=True).session(1).session(2).complete()
    third.start().session(0).session(1).session(2).complete()
    assert recorder.events[before - 1 :] == [
        "restarted: no memory",
        *("s1 attempt 2", *sessions(1, 1, 2), "s1 finished"),
    ]
    assert monitor.failed == {}  # the failure of the first launch does not count
    monitor.restart("no memory")
    third.start().error()
    assert monitor.failed == {trial_name(2): "its worker process died"}


def test_trials_that_still_run_at_the_end_are_stopped() -> None:
    recorder = Recorder()
    with TuneMonitor([recorder]) as monitor:
        TuneCalls(monitor).start().session(0)
    assert recorder.events[-1] == "s0 stopped"


def test_a_listener_that_raises_is_dropped_and_the_others_continue(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Listener):
        left = False

        def session_finished(self, trial: TrialState, result: SessionResult) -> None:
            raise ValueError("two\nlines")

        def __exit__(self, *_: object) -> None:
            Broken.left = True

    recorder = Recorder()
    with TuneMonitor([Broken(), recorder]) as monitor:
        TuneCalls(monitor).start().session(0).session(1).session(2).complete()
    assert recorder.events == ["s0 attempt 1", *sessions(0, 0, 1, 2), "s0 finished"]
    assert [record.getMessage() for record in caplog.records] == ["Broken stopped logging (ValueError: two lines)"]
    assert Broken.left


def test_listeners_do_not_import_ray_or_pytorch() -> None:
    modules = [path.stem for path in Path("orchestrator/monitoring").glob("[a-z]*.py") if path.stem != "monitor"]
    assert {"listener", "progress", "events", "loggers", "live_report", "store_eviction"} <= set(modules)
    imports = "; ".join(f"import orchestrator.monitoring.{name}" for name in modules)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", imports], capture_output=True, text=True, check=True
    )
    imported = {name.split(".")[0] for name in re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, re.MULTILINE)}
    assert "orchestrator" in imported
    heavy = {"ray", "torch", "numpy", "pyarrow", "pandas", "tensorboardX", "mlflow", "wandb"}
    assert imported & heavy == set()


class MortalTrial(ChainTrial):
    """A chain whose worker dies before its second session, once, if its configuration says so."""

    def step(self) -> dict[str, Any]:
        mark = self.config["mark"]
        if mark and self.iteration == 1 and not Path(mark).exists():
            Path(mark).touch()
            os._exit(1)
        return super().step()


def stop(trial_id: str, result: dict[str, Any]) -> bool:
    """Stops one trial after its first session."""
    return bool(result["config"]["stop"])


@pytest.fixture(scope="module")
def tune_sweep(
    ray_up: None, tones: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], str, Path]:
    """A sweep by real Tune in which a trial each finishes, is stopped, fails, and loses its worker.

    Returns:
        its events, the output on the console, and its folder.
    """
    folder = tmp_path_factory.mktemp("monitored")

    def trial(name: str) -> dict[str, Any]:
        chain = ChainConfig(
            benchmark=str(tones),
            method="mfcc-ncm",
            settings={"no_such_setting": 1} if name == "fails" else {},
            protocol=PROTOCOL,
            seeds={"order": SEEDS[name], "support": 0, "initialisation": 0},
            store=str(folder / "store"),
        ).model_dump(mode="json")
        behaviour = {"mark": str(folder / "mark") if name == "dies" else "", "stop": name == "stopped"}
        return {"name": name, "chain": chain, "folder": str(folder / "trials" / name), "launch": "1", **behaviour}

    stream, output = io.StringIO(), io.StringIO()
    listeners = [
        SweepEvents(stream, attempts=4),
        SweepProgress(Console(file=output, width=120), {("mfcc-ncm", BackboneSpec(DEFAULT)): 4}, 3, attempts=4),
        TensorBoard(folder / "events"),
    ]
    with pytest.MonkeyPatch.context() as patch, TuneMonitor(listeners) as monitor:
        patch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        tune.Tuner(
            MortalTrial,
            param_space=tune.grid_search([trial(name) for name in SEEDS]),
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder),
                verbose=0,
                stop=stop,
                callbacks=[monitor],
                failure_config=tune.FailureConfig(max_failures=3),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
        assert monitor.failed.keys() == {"fails"}
        assert set(monitor.workers.values()) <= set(SEEDS)
    return [json.loads(line) for line in stream.getvalue().splitlines()], output.getvalue(), folder


def test_each_trial_starts_and_ends(tune_sweep: tuple[list[dict[str, Any]], str, Path]) -> None:
    events = tune_sweep[0]
    ended = {event["trial"]: event for event in events if event["event"] == "trial_ended"}
    assert {name: (event["status"], event["sessions"]) for name, event in ended.items()} == {
        "dies": ("finished", 3),
        "finishes": ("finished", 3),
        "stopped": ("stopped", 1),
        "fails": ("failed", 0),
    }
    assert "no_such_setting" in ended["fails"]["reason"]
    started = Counter(event["trial"] for event in events if event["event"] == "trial_started")
    assert started == {"dies": 2, "finishes": 1, "stopped": 1, "fails": 1}
    assert [event["trial"] for event in events if event["event"] == "trial_died"] == ["dies"]


def test_each_session_is_reported_once(tune_sweep: tuple[list[dict[str, Any]], str, Path]) -> None:
    reported = Counter((event["trial"], event["session"]) for event in tune_sweep[0] if event["event"] == "session")
    expected = [*[("dies", n) for n in range(3)], *[("finishes", n) for n in range(3)], ("stopped", 0)]
    assert reported == Counter(expected)


def test_the_console_shows_how_each_trial_ended(tune_sweep: tuple[list[dict[str, Any]], str, Path]) -> None:
    output = tune_sweep[1]
    assert "retried dies: its worker died; attempt 2 of 4" in output
    assert "stopped after 1 of 3 sessions" in output
    assert "failed  fails: " in output
    assert "4/4" in output
    assert len(output.splitlines()) == 5


def test_tunes_own_loggers_write_nothing(tune_sweep: tuple[list[dict[str, Any]], str, Path]) -> None:
    folder = tune_sweep[2]
    assert sorted(path.parent.name for path in folder.glob("events/*/*")) == sorted(SEEDS)
    assert {path.name for path in folder.glob("events/*/*")} == {FILE}
    written = {path.name for path in folder.glob("tune/**/*") if path.is_file()}
    assert not written & {"result.json", "progress.csv", "params.json", "params.pkl"}
