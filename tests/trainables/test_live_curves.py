"""The file with the training of the session that is computed at the moment, and what a chain leaves of it."""

import time
from pathlib import Path

import pytest

from datasets.utils.location import Location
from tests.support.chain_runs import config, quick
from tests.support.processes import wait_for
from trainables.learners.training_listener import Epoch
from trainables.live_curves import LiveCurves
from trainables.records import TrialRecord
from trainables.session_chain import Chain
from trainables.training_curves import LIVE_FILE, parse_curves


def epoch(number: int) -> Epoch:
    return Epoch("session 2", number, 5, 1 / number, 0.1)


def test_the_file_follows_the_training_and_is_removed_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.live_curves.INTERVAL", 0.01)
    file = tmp_path / LIVE_FILE

    def last() -> int:
        return parse_curves(file.read_bytes(), LIVE_FILE)[1][0].epoch[-1] if file.exists() else 0

    with LiveCurves(Location.of(tmp_path), 2) as live:
        time.sleep(0.05)
        assert not file.exists()  # nothing was trained yet
        for number in (1, 2):
            live(epoch(number))
            wait_for(lambda wanted=number: last() == wanted, 10)  # type: ignore[misc]
        assert parse_curves(file.read_bytes(), LIVE_FILE) == (2, live.curves())
    assert list(tmp_path.iterdir()) == []


def test_a_short_session_writes_no_file(tmp_path: Path) -> None:
    with LiveCurves(Location.of(tmp_path), 0) as live:
        live(epoch(1))
    assert list(tmp_path.iterdir()) == [] and live.curves()[0].epoch == (1,)


def test_a_folder_that_cannot_be_written_does_not_end_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.live_curves.INTERVAL", 0.001)
    (tmp_path / "file").touch()
    with LiveCurves(Location.of(tmp_path / "file"), 0) as live:
        for number in range(1, 6):
            live(epoch(number))
            time.sleep(0.01)
    assert live.curves()[0].epoch == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("foster", [["base session"], ["session 1, boosting", "session 1, compression"]]),
        ("cec", [["base session", "base session, episodes"], []]),
        ("simplecil", [[], []]),
    ],
)
def test_the_trial_of_a_chain_has_the_curves_of_every_session(
    method: str, expected: list[list[str]], tones: Path, tmp_path: Path
) -> None:
    records = []
    followed = config(tones, tmp_path / "store", method=method)
    for name in ("computed", "cached"):
        chain = Chain(followed.model_copy(update={"settings": quick(method)}), tmp_path / name)
        found = []
        for _ in expected:
            session = chain.step()
            file = tmp_path / name / f"training-{session.index:02d}.json"
            assert session.training == (file.name if file.exists() else None)
            curves = parse_curves(file.read_bytes(), file.name)[1] if file.exists() else ()
            assert curves == chain.curves
            assert all(curve.epoch == (1, 2) for curve in curves)
            found.append([curve.name for curve in curves])
        assert found == expected
        records.append(TrialRecord.load(tmp_path / name))
    assert [s.training_sha256 for s in records[0].sessions] == [s.training_sha256 for s in records[1].sessions]
    assert all(session.cached for session in records[1].sessions)
