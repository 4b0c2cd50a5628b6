"""How far the running trainings are is read from the files that workers write meanwhile."""

from pathlib import Path

import pytest

from datasets.utils.location import Location
from orchestrator.monitoring.listener import RunningTraining
from orchestrator.monitoring.live_training import LiveTraining
from orchestrator.results.run_folder import RunFolder
from tests.support.processes import wait_for
from tests.support.trial_events import TrialEvents, curve
from trainables.learners.training_listener import Epoch
from trainables.live_curves import LiveCurves


def test_the_training_of_a_running_trial_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainables.live_curves.INTERVAL", 0.01)
    folder = RunFolder(tmp_path)
    with LiveTraining(folder) as live:
        first, second = TrialEvents(live).start(), TrialEvents(live, seed=1).start()
        with LiveCurves(Location.of(folder.trial(first.name)), 0) as curves:
            for number in (1, 2):
                curves(Epoch("session 2", number, 3, 1 / number, 0.1))
            expected = RunningTraining(0, curve(3, 2))
            wait_for(lambda: first.state.training == expected, 10)
        wait_for(lambda: first.state.training is None, 10)  # the file is gone
        assert second.state.training is None
        broken = folder.trial(second.name) / "training.json"
        broken.parent.mkdir(parents=True)
        broken.write_text("{")
        with LiveCurves(Location.of(folder.trial(first.name)), 0) as curves:
            curves(Epoch("session 2", 1, 3, 1.0, 0.1))
            wait_for(lambda: first.state.training is not None, 10)
            first.end("stopped")
            assert first.state.training is None
        assert second.state.training is None
