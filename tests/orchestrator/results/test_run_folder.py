"""A run folder is one sweep's at a time, and tells how each of its trials ended."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.results.run_folder import RunFolder, Tally
from orchestrator.tuning.arguments import parse
from trainables.records import TrialRecord
from trainables.store.lease import Lease

WHAT = {"seeds": 3}


def test_two_sweeps_do_not_work_in_one_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    message = "another sweep is at work in this run"
    with folder.held(WHAT, {}), pytest.raises(EarshotError, match=message), RunFolder(folder.path).held(WHAT, {}):
        pass
    with folder.held(WHAT, {}):
        pass
    assert [path.name for path in folder.path.iterdir()] == ["sweep.json"]


def test_a_sweep_of_another_machine_that_died_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LEASE_SECONDS", "0.3")
    Location.of(tmp_path / "run" / ".lease").write(b'{"owner": "x", "host": "another", "process": [1, "1"], "beat": 4}')
    with RunFolder(tmp_path / "run").held(WHAT, {}):
        assert b"another" not in (tmp_path / "run" / ".lease").read_bytes()  # the lease is ours now


def test_a_sweep_of_another_machine_that_lives_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LEASE_SECONDS", "1")
    monkeypatch.setattr("trainables.store.lease._host", lambda: "another")
    lease = Lease(Location.of(tmp_path / "run" / ".lease"))
    assert lease.take()
    monkeypatch.setattr("trainables.store.lease._host", lambda: "this one")
    with pytest.raises(EarshotError, match="another sweep is at work"), RunFolder(tmp_path / "run").held(WHAT, {}):
        pass
    lease.release()


def test_close_writes_down_what_trials_could_not(tmp_path: Path, write_trial: Callable[..., TrialRecord]) -> None:
    whole, half = [[0.5], [0.5, 0.5]], [[0.5]]
    names = [
        write_trial("a-1", seed, matrix, planned=2, **more).trial
        for seed, matrix, more in [(0, whole, {}), (1, half, {}), (2, half, {}), (3, half, {})]
    ]
    write_trial("b-2", 0, whole)
    folder = RunFolder(tmp_path / "run")
    tally = folder.close(names, {names[1]: "it diverged"}, {names[2]: 1}, complete=True)
    assert tally == Tally(computed=5, cached=0, stopped=2)
    ended: dict[str, Any] = {
        name: (record.status, record.error, record.stopped_by)
        for name in names
        for record in [TrialRecord.load(folder.trial(name))]
    }
    assert list(ended.values()) == [
        ("finished", None, None),
        ("failed", "it diverged", None),
        ("stopped", None, "asha"),
        ("stopped", None, "budget"),
    ]
    assert folder.trials == tuple(sorted(names))  # the trial that this sweep did not propose is gone


def test_what_trials_wrote_elsewhere_is_gathered(tmp_path: Path, write_trial: Callable[..., TrialRecord]) -> None:
    record = write_trial("a-1", 0, [[0.5]])
    shutil.move(tmp_path / "run", tmp_path / "storage")
    folder = RunFolder(tmp_path / "run", Location.of(tmp_path / "storage"))
    folder.gather()
    assert TrialRecord.load(folder.trial(record.trial)) == record
    assert (folder.trial(record.trial) / "session-00.parquet").exists()
    assert folder.output("x").address == str(tmp_path / "storage" / "trials" / "x")


def test_resume_takes_the_configuration_of_the_run(tmp_path: Path) -> None:
    first = parse(["--benchmark", "b", "--seeds", "2", "--protocol", "fcac", "--budget", "2h", "--runs", str(tmp_path)])
    folder = RunFolder(tmp_path / "mine")
    with folder.held(first.what(), first.model_dump(mode="json")):
        pass
    again = parse(["--resume", str(folder.path), "--workers", "1"])
    assert again.what() == first.what()
    assert (again.name, again.runs, again.workers, again.budget) == ("mine", tmp_path, 1, None)
    with pytest.raises(EarshotError, match="takes no --config"):
        parse(["--resume", str(folder.path), "--config", "x.yaml"])
    with pytest.raises(EarshotError, match="nowhere: expected a run folder"):
        parse(["--resume", "nowhere"])
    (folder.path / "sweep.json").write_text("{}")
    with pytest.raises(EarshotError, match="does not contain the configuration of the run"):
        parse(["--resume", str(folder.path)])
