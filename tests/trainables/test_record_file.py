"""A trial that has finished stays finished while a launch repeats it."""

from pathlib import Path

import pytest

from tests.support.chain_runs import PROTOCOL
from trainables.chain_config import ChainConfig
from trainables.records import TrialRecord
from trainables.session_chain import Chain


def config(tones: Path, folder: Path, method: str) -> ChainConfig:
    fields = {"benchmark": tones, "method": method, "protocol": PROTOCOL, "backbone": "random-tiny"}
    return ChainConfig.model_validate({**fields, "store": folder / "store"})


def state(folder: Path) -> tuple[str, int]:
    record = TrialRecord.load(folder)
    return record.status, len(record.sessions)


def test_a_launch_that_is_killed_does_not_undo_what_has_finished(tones: Path, tmp_path: Path) -> None:
    made, folder = config(tones, tmp_path, "simplecil"), tmp_path / "trial"
    chain, states = Chain(made, folder), []
    while not chain.done:
        chain.step()
        states.append(state(folder))
    assert states == [("running", 1), ("running", 2), ("finished", 3)]
    again = Chain(made, folder, before=chain)
    for address in again.addresses():
        assert state(folder) == ("finished", 3)
        assert again.cached_step(address) is not None
    assert state(folder) == ("finished", 3) and all(session.cached for session in TrialRecord.load(folder).sessions)


@pytest.mark.parametrize("session", [0, 2])
def test_a_session_that_differs_is_written_like_a_new_one(session: int, tones: Path, tmp_path: Path) -> None:
    made, folder = config(tones, tmp_path, "simplecil"), tmp_path / "trial"
    chain = Chain(made, folder)
    while not chain.done:
        chain.step()
    sessions = [
        one.model_copy(update={"predictions_sha256": "0" * 64}) if one.index == session else one
        for one in chain.record.sessions
    ]
    chain.record.model_copy(update={"sessions": tuple(sessions)}).save(folder)
    again, states = Chain(made, folder, before=chain), []
    while not again.done:
        again.step()
        states.append(state(folder))
    finished = [("finished", 3)]
    assert states == ([("running", 1), ("running", 2)] if session == 0 else 2 * finished) + finished
    assert [one.predictions_sha256 for one in TrialRecord.load(folder).sessions] == [
        one.predictions_sha256 for one in chain.record.sessions
    ]


def test_another_trial_in_the_folder_is_replaced(tones: Path, tmp_path: Path) -> None:
    chain = Chain(config(tones, tmp_path, "simplecil"), tmp_path / "trial")
    while not chain.done:
        chain.step()
    Chain(config(tones, tmp_path, "mfcc-ncm"), tmp_path / "trial").step()
    assert state(tmp_path / "trial") == ("running", 1)
