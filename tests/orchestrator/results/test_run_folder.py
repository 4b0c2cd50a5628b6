"""Run folders: one writer at a time, records of how trials ended, lookup by name."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator import stages
from orchestrator.results.find_run import find_run
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder, Tally
from orchestrator.tuning.arguments import parse
from trainables.records import TrialRecord
from trainables.store.lease import Lease

WHAT = {"seeds": 3}


def test_two_sweeps_cannot_write_to_one_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    message = "another sweep is writing to this run"
    with folder.lock(WHAT, {}), pytest.raises(EarshotError, match=message), RunFolder(folder.path).lock(WHAT, {}):
        pass
    with folder.lock(WHAT, {}):
        pass
    assert [path.name for path in folder.path.iterdir()] == ["sweep.json"]


def test_the_lease_of_a_dead_sweep_on_another_machine_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LEASE_SECONDS", "0.3")
    Location.of(tmp_path / "run" / ".lease").write(b'{"owner": "x", "host": "another", "process": [1, "1"], "beat": 4}')
    with RunFolder(tmp_path / "run").lock(WHAT, {}):
        assert b"another" not in (tmp_path / "run" / ".lease").read_bytes()  # taken over


def test_the_lease_of_a_live_sweep_on_another_machine_is_respected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_LEASE_SECONDS", "1")
    monkeypatch.setattr("trainables.store.lease._host", lambda: "another")
    lease = Lease(Location.of(tmp_path / "run" / ".lease"))
    assert lease.take()
    monkeypatch.setattr("trainables.store.lease._host", lambda: "this one")
    with pytest.raises(EarshotError, match="another sweep is writing"), RunFolder(tmp_path / "run").lock(WHAT, {}):
        pass
    lease.release()


def test_close_completes_the_records_of_trials(tmp_path: Path, write_trial: Callable[..., TrialRecord]) -> None:
    complete, half = [[0.5], [0.5, 0.5]], [[0.5]]
    names = [
        write_trial("a-1", seed, matrix, planned=2, **more).trial
        for seed, matrix, more in [(0, complete, {}), (1, half, {}), (2, half, {}), (3, half, {})]
    ]
    write_trial("b-2", 0, complete)
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
    assert folder.trials == tuple(sorted(names))  # the trial that this sweep did not propose is removed


def test_files_of_trials_are_gathered_from_the_storage(tmp_path: Path, write_trial: Callable[..., TrialRecord]) -> None:
    record = write_trial("a-1", 0, [[0.5]])
    shutil.move(tmp_path / "run", tmp_path / "storage")
    folder = RunFolder(tmp_path / "run", Location.of(tmp_path / "storage"))
    folder.gather()
    assert TrialRecord.load(folder.trial(record.trial)) == record
    assert (folder.trial(record.trial) / "session-00.parquet").exists()
    assert folder.output("x").address == str(tmp_path / "storage" / "trials" / "x")


def test_resume_uses_the_configuration_of_the_run(tmp_path: Path) -> None:
    first = parse(["--benchmark", "b", "--seeds", "2", "--protocol", "fcac", "--budget", "2h", "--runs", str(tmp_path)])
    folder = RunFolder(tmp_path / "mine")
    with folder.lock(first.what(), first.model_dump(mode="json")):
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


def test_a_run_is_found_by_path_and_by_name(tmp_path: Path, write_trial: Callable[..., TrialRecord]) -> None:
    write_trial("a-1", 0, [[0.5]])
    run = tmp_path / "run"
    assert find_run("run", tmp_path) == find_run(run) == find_run(str(run), tmp_path / "elsewhere") == run
    assert RunFolder.find("run", tmp_path).path == run
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "sweep.json").write_text("{}")  # a sweep whose first trial has not begun
    assert find_run("new", tmp_path) == tmp_path / "new"
    with pytest.raises(EarshotError, match=r"rum: expected a run folder of a sweep, .* did you mean 'run'\?"):
        find_run("rum", tmp_path)


def test_changed_predictions_are_gathered_again(tmp_path: Path, write_trial: Callable[..., TrialRecord]) -> None:
    """A session that was computed again with other predictions, as by a newer version of the method."""
    record = write_trial("a-1", 0, [[0.5]])
    shutil.move(tmp_path / "run", tmp_path / "storage")
    folder = RunFolder(tmp_path / "run", Location.of(tmp_path / "storage"))
    folder.gather()
    source = tmp_path / "storage/trials" / record.trial
    other = write_trial("b-2", 0, [[0.25]])
    shutil.copyfile(folder.trial(other.trial) / "session-00.parquet", source / "session-00.parquet")
    digest = other.sessions[0].predictions_sha256
    changed = record.sessions[0].model_copy(update={"predictions_sha256": digest})
    record.model_copy(update={"sessions": (changed,)}).save(source)
    folder.gather()
    assert Run.load(folder.path).scores[record.trial, "prototype", "test"].micro[0] == 0.25


def test_the_training_of_a_running_session_is_not_gathered(
    tmp_path: Path, write_trial: Callable[..., TrialRecord]
) -> None:
    record = write_trial("a-1", 0, [[0.5]])
    shutil.move(tmp_path / "run", tmp_path / "storage")
    (tmp_path / "storage/trials" / record.trial / "training.json").write_text("{}")
    folder = RunFolder(tmp_path / "run", Location.of(tmp_path / "storage"))
    folder.gather()
    assert sorted(path.name for path in folder.trial(record.trial).iterdir()) == ["session-00.parquet", "trial.json"]
    folder.shared = None
    (folder.trial(record.trial) / "training.json").write_text("{}")  # of a worker that was killed
    folder.close([record.trial], {}, [], complete=True)
    assert not (folder.trial(record.trial) / "training.json").exists()


def test_a_changed_digit_in_the_description_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On --resume, with the sweep's own command, and in every command that asks for the run's store."""
    config = parse(["--benchmark", "b", "--seeds", "2", "--runs", str(tmp_path)])
    folder = RunFolder(tmp_path / "mine")
    with folder.lock(config.what(), config.model_dump(mode="json")):
        pass
    path = folder.path / "sweep.json"
    path.write_text(path.read_text().replace('"order": 1', '"order": 7'))
    message = r"sweep\.json: checksum: expected .*, found .*: the file is damaged or was edited; put back a copy"
    with pytest.raises(EarshotError, match=message):
        parse(["--resume", str(folder.path)])
    with pytest.raises(EarshotError, match=message), folder.lock(config.what(), {}):
        pass
    monkeypatch.chdir(tmp_path)
    assert stages.main(["ls", "mine", "--runs", "."]) == 2
    assert "sweep.json: checksum: expected" in capsys.readouterr().err


def test_the_search_space_is_kept_with_its_checksum(tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("methods: {ede: {base_epochs: 20}}\n")
    folder = RunFolder(tmp_path / "mine")
    with folder.lock(WHAT, {"space": str(space)}, space):
        pass
    space.unlink()
    copy = folder.path / "space.yaml"
    assert folder.where() == {"space": str(copy)}
    moved = RunFolder(folder.path.rename(tmp_path / "moved"))
    assert moved.where() == {"space": str(moved.path / "space.yaml")}
    (moved.path / "space.yaml").write_text("methods: {ede: {base_epochs: 30}}\n")
    with pytest.raises(EarshotError, match=r"space\.yaml: expected SHA-256 .* as in sweep\.json, found .* edited; put"):
        moved.where()
