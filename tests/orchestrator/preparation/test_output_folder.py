"""The lock of an output folder, its contents, and the limit of rejected files."""

import errno
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.preparation.output_folder import (
    LOCK,
    OutputFolder,
    check_contents,
    check_rejected,
    lock_folder,
    read_rejected,
)
from tests.support.prepare_processes import REPOSITORY

HOLD = """
import sys, time
from pathlib import Path
from orchestrator.preparation.output_folder import lock_folder
with lock_folder(Path(sys.argv[1]), "lock"):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        with (
            pytest.raises(EarshotError, match=r"b: another prepare is running in this folder"),
            lock_folder(folder, "lock"),
        ):
            pass
        process.kill()
    with lock_folder(folder, "lock"):
        pass
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_errors_inside_the_lock_are_one_line_and_release_it(tmp_path: Path) -> None:
    message = r"data\.parquet: No space left on device; fix this and run the same command to resume$"
    with pytest.raises(EarshotError, match=message), lock_folder(tmp_path, "lock"):
        raise OSError(errno.ENOSPC, "No space left on device", "data.parquet")
    with lock_folder(tmp_path, "lock"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_accepted(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, "not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    with lock_folder(tmp_path, "lock"):
        assert (tmp_path / "lock").exists()
    assert (tmp_path / "lock").exists()
    with pytest.raises(OSError, match="not supported"):
        filelock.FileLock(tmp_path / "other", fallback_to_soft=False).acquire()


@pytest.mark.parametrize(
    ("names", "valid"), [((), True), (("mark",), True), (("mark", "x"), True), (("x",), False), ((".hidden",), False)]
)
def test_only_empty_or_marked_folders_are_accepted(names: tuple[str, ...], valid: bool, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    if valid:
        check_contents(Location.of(tmp_path), {"mark", "other"}, "a benchmark")
    else:
        with pytest.raises(EarshotError, match="expected an empty folder or a benchmark, found other files; choose"):
            check_contents(Location.of(tmp_path), {"mark", "other"}, "a benchmark")


@pytest.mark.parametrize("before", ["nothing", "a folder", "a run"])
def test_a_run_that_fails_before_it_writes_leaves_what_there_was(before: str, tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    if before != "nothing":
        folder.mkdir(parents=True)
    if before == "a run":
        (folder / LOCK).touch()
    with pytest.raises(EarshotError, match="bad input"), OutputFolder(Location.of(folder)).locked():
        assert (folder / LOCK).exists() and (folder / "shards").is_dir()
        raise EarshotError("bad input")
    expected = {"nothing": [], "a folder": ["a", "a/b"], "a run": ["a", "a/b", f"a/b/{LOCK}", "a/b/shards"]}
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == expected[before]
    with OutputFolder(Location.of(folder)).locked():
        assert (folder / LOCK).exists()


@pytest.mark.parametrize("written", ["rejected.csv", "shards/00000.parquet", "source/a.wav", ""])
def test_a_run_that_fails_later_can_be_resumed(written: str, tmp_path: Path) -> None:
    place = Location.of(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), (folder := OutputFolder(place)).locked():
        if written:
            (place / written).write(b"x")
        else:
            folder.remove_stale(None, 1)  # workers may write from now on
        raise KeyboardInterrupt
    assert (tmp_path / "out" / LOCK).exists() and (tmp_path / "out/shards").is_dir()


def test_too_many_rejected_files_are_an_error_and_listed(tmp_path: Path) -> None:
    root, rejected = Location.of(tmp_path), [Rejection("a.wav", "zero bytes"), Rejection("b,c.wav", 'a "reason"')]
    check_rejected(root, rejected, 200, 0.01)
    assert not list(tmp_path.iterdir())
    message = r"^2 of 199 files are unusable, more than --max-rejected 0.01 allows \(a.wav: zero bytes; ...\); see "
    with pytest.raises(EarshotError, match=message):
        check_rejected(root, rejected, 199, 0.01)
    assert read_rejected(root) == tuple(rejected)
