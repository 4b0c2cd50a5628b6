"""A small sweep by real Tune in which trials finish, are stopped, fail, and lose their worker: everybody watches."""

import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from rich.console import Console

from orchestrator.monitoring.events import SweepEvents
from orchestrator.monitoring.progress import SweepProgress
from orchestrator.monitoring.tensorboard import FILE, TensorBoard
from trainables.chain_config import ChainConfig
from trainables.trial import ChainTrial

pytestmark = pytest.mark.usefixtures("ray_up")

PROTOCOL = {"name": "free", "base": 2, "way": 2, "shot": 3}
SEEDS = {"dies": 0, "finishes": 1, "stopped": 2, "fails": 3}


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
def watched(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str, Path]:
    """The events of the sweep, what the console showed, and what TensorBoard reads."""
    folder = tmp_path_factory.mktemp("watched")

    def trial(what: str) -> dict[str, Any]:
        chain = ChainConfig(
            benchmark=str(tones),
            method="mfcc-ncm",
            settings={"no_such_setting": 1} if what == "fails" else {},
            protocol=PROTOCOL,
            seeds={"order": SEEDS[what], "support": 0, "initialisation": 0},
            store=str(folder / "store"),
        ).model_dump(mode="json")
        own = {"mark": str(folder / "mark") if what == "dies" else "", "stop": what == "stopped"}
        return {"name": what, "chain": chain, "folder": str(folder / "trials" / what), "launch": "1", **own}

    stream, shown = io.StringIO(), io.StringIO()
    events = SweepEvents(stream, attempts=4)
    progress = SweepProgress(Console(file=shown, width=120), {"mfcc-ncm": 4}, 3, attempts=4)
    tensorboard = TensorBoard(folder / "events")
    with pytest.MonkeyPatch.context() as patch, progress, events, tensorboard:
        patch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        tune.Tuner(
            MortalTrial,
            param_space=tune.grid_search([trial(what) for what in SEEDS]),
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder),
                verbose=0,
                stop=stop,
                callbacks=[progress, events, tensorboard],
                failure_config=tune.FailureConfig(max_failures=3),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    return [json.loads(line) for line in stream.getvalue().splitlines()], shown.getvalue(), folder


def test_each_trial_begins_and_ends_and_says_how(watched: tuple[list[dict[str, Any]], str, Path]) -> None:
    events = watched[0]
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


def test_each_session_is_told_once(watched: tuple[list[dict[str, Any]], str, Path]) -> None:
    told = Counter((event["trial"], event["session"]) for event in watched[0] if event["event"] == "session")
    assert told == Counter([*[("dies", n) for n in range(3)], *[("finishes", n) for n in range(3)], ("stopped", 0)])


def test_the_console_tells_each_trial(watched: tuple[list[dict[str, Any]], str, Path]) -> None:
    shown = watched[1]
    assert "retried dies: its worker died; attempt 2 of 4" in shown
    assert "stopped after 1 of 3 sessions" in shown
    assert "failed  fails: " in shown
    assert "4/4" in shown
    assert len(shown.splitlines()) == 5


def test_only_what_somebody_reads_is_written(watched: tuple[list[dict[str, Any]], str, Path]) -> None:
    folder = watched[2]
    assert sorted(path.parent.name for path in folder.glob("events/*/*")) == sorted(SEEDS)
    assert {path.name for path in folder.glob("events/*/*")} == {FILE}
    written = {path.name for path in folder.glob("tune/**/*") if path.is_file()}
    assert not written & {"result.json", "progress.csv", "params.json", "params.pkl"}
