"""`earshot runs`, and the ways to name a run."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator import runs
from orchestrator.results.find_run import find_run
from orchestrator.tuning.arguments import parse
from tests.support.run_folders import trial
from trainables.store.lease import Lease

MakeRun = Callable[[str, str], Path]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """A function that writes a run of two methods into ./runs."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, began: str) -> Path:
        folder = tmp_path / "runs" / name
        for configuration, value in (("ede-0000000a", 0.5), ("simplecil-0000000b", 0.6)):
            trial(folder, configuration, 0, [[value], [value, value]])
        (folder / "sweep.json").write_text(json.dumps({"made": {"began": began}}))
        return folder

    return write


def test_a_run_is_found_by_path_name_beginning_or_as_the_latest(make_run: MakeRun) -> None:
    make_run("birds-1", "2026-11-02 10:00 UTC")
    make_run("birds-2", "2026-11-01 10:00 UTC")
    make_run("cats", "2025-01-01 10:00 UTC")
    assert find_run("runs/cats") == Path("runs/cats") == find_run("cats") == find_run("c")
    assert find_run("latest") == Path("runs/birds-1")
    with pytest.raises(EarshotError, match=r"found 2 that begin like this \(birds-2, birds-1\); give more of the name"):
        find_run("bi")
    with pytest.raises(EarshotError, match="did you mean 'cats'"):
        find_run("cast")


def test_a_run_called_latest_is_found_by_its_name(make_run: MakeRun) -> None:
    make_run("latest", "2020-01-01 10:00 UTC")
    make_run("newer", "2026-01-01 10:00 UTC")
    assert find_run("latest") == Path("runs/latest")


def test_the_latest_comes_first_with_its_best_method(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("old", "2025-01-01 10:00 UTC")
    make_run("new", "2026-01-01 10:00 UTC")
    assert runs.main([]) == 0
    header, first, second, count = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["run", "benchmark", "protocol", "trials"]
    assert first.split()[0] == "new" and second.split()[0] == "old" and count == "2 runs in runs/"
    assert "2 finished" in first and "simplecil 60.0 % (of 2 methods)" in first
    assert runs.main(["--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in listed] == ["new", "old"]
    assert (listed[0]["best"], listed[0]["validation_aa"], listed[0]["trials"]) == ("simplecil", 0.6, {"finished": 2})


def test_unfinished_and_damaged_runs_are_listed(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    (make_run("three", "2024-01-01 10:00 UTC") / "trials" / "directory" / "trial.json").mkdir(parents=True)
    folder = make_run("one", "2026-01-01 10:00 UTC")
    trial(folder, "ede-0000000a", 1, [[0.5]], status="running", planned_sessions=2)
    (make_run("two", "2025-01-01 10:00 UTC") / "trials/ede-0000000a-s0/session-00.parquet").write_bytes(b"")
    assert runs.main([]) == 0
    assert "1 interrupted" in capsys.readouterr().out
    assert runs.main(["--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in rows] == ["one", "two", "three"] and "error" not in rows[0]
    assert "session-00.parquet" in rows[1]["error"] and "directory" in rows[2]["error"]
    lease = Lease(Location.of(folder) / ".lease")
    assert lease.take()
    try:
        assert runs.main(["--json"]) == 0
    finally:
        lease.release()
    assert json.loads(capsys.readouterr().out)[0]["trials"] == {"finished": 2, "running": 1}


def test_a_method_that_has_just_begun_is_not_the_best(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    """Its AA is that of the first session alone."""
    folder = make_run("one", "2026-01-01 10:00:00 UTC")
    trial(folder, "slda-0000000c", 0, [[1.0]], planned=2, status="running")
    assert runs.main([]) == 0
    assert "simplecil 60.0 % (of 3 methods)" in capsys.readouterr().out
    for trials in (folder / "trials").glob("[es]*-0000000[ab]-*"):
        shutil.rmtree(trials)
    assert runs.main([]) == 0
    assert "slda 100.0 % so far" in capsys.readouterr().out


def test_two_runs_of_one_minute_are_ordered(make_run: MakeRun) -> None:
    make_run("b", "2026-01-01 10:00:01 UTC")
    make_run("a", "2026-01-01 10:00:02 UTC")
    assert find_run("latest") == Path("runs/a")
    for name, seconds in (("a", 1), ("b", 2)):
        (make_run(f"old-{name}", "2026-02-01 10:00 UTC"))
        os.utime(Path("runs") / f"old-{name}", (seconds, seconds))
    assert find_run("latest") == Path("runs/old-b")


def test_commands_that_write_take_the_whole_name(make_run: MakeRun) -> None:
    make_run("exp-10", "2026-01-01 10:00:01 UTC")
    assert find_run("exp-1") == Path("runs/exp-10")
    with pytest.raises(EarshotError, match="did you mean 'exp-10'"):
        find_run("exp-1", exact=True)
    with pytest.raises(EarshotError, match="did you mean 'exp-10'"):
        parse(["--resume", "exp-1"])


def test_an_empty_folder_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main(["--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.rstrip(os.linesep).endswith("0 runs in " + str(tmp_path) + "/")
    assert runs.main(["--runs", str(tmp_path / "none")]) == 2
    assert "expected a folder of runs, found none; give it with --runs" in capsys.readouterr().err


def test_a_transductive_method_is_not_ranked_with_the_others(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run("one", "2026-01-01 10:00 UTC")
    trial(folder, "tape-like-0000000c", 0, [[0.9], [0.9, 0.9]], track="transductive")
    assert runs.main(["--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["best"] == "simplecil" and "tape-like" in listed["methods"]
