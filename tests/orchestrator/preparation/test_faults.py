"""Killed processes and full disks: the next run produces the same bytes as an uninterrupted one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.benchmark.manifest import Manifest
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from orchestrator.preparation.pipeline import prepare
from tests.support.prepare_processes import (
    OPTIONS,
    REPOSITORY,
    contents,
    finish,
    speech,
    start,
    wait_for,
    workers_below,
)


@pytest.mark.slow
def test_interrupted_and_killed_run_is_resumed_with_a_different_number_of_workers(
    tmp_path: Path, ray_up: object
) -> None:
    """Ctrl-C, then SIGKILL, then completion: the same bytes as a single run with two workers."""
    source, out, uninterrupted = (
        speech(tmp_path / "in", speakers=20, seconds=60),
        tmp_path / "out",
        tmp_path / "uninterrupted",
    )
    shards = out / "shards"

    interrupted = start(source, out, "--workers=1")
    wait_for(lambda: any(shards.glob("*.parquet")), interrupted)
    interrupted.send_signal(signal.SIGINT)
    code, text, err = finish(interrupted)
    assert (code, text) == (130, "")
    assert err.startswith("interrupted: ") and err.endswith("run the same command again to resume\n")
    assert err.count("\n") == 1 and not (out / "manifest.json").exists()

    first = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.parquet")}
    killed = start(source, out, "--workers=1")
    wait_for(lambda: len(list(shards.glob("*.parquet"))) > len(first), killed)
    killed.kill()
    finish(killed)
    with pytest.raises(EarshotError, match="expected a complete benchmark"):
        Shards(out)
    left = {path.name: path.stat().st_mtime_ns for path in shards.glob("*.parquet")}
    assert len(left) < 20 and first.items() <= left.items()

    (shards / f".00019.parquet.0123{TEMPORARY_SUFFIX}").write_bytes(b"half")  # left by a killed worker
    code, text, err = finish(start(source, out, "--workers=1"))
    assert (code, err) == (0, "")
    # Workers of the killed driver may have finished one more shard before they exited.
    assert len(left) <= int(text.split(" cached")[0].split()[-1]) < 20
    assert all((shards / name).stat().st_mtime_ns == when for name, when in left.items())

    manifest = prepare("librispeech", source, uninterrupted, {**OPTIONS, "loudness": True})
    assert contents(out) == contents(uninterrupted)
    assert Manifest.load(out).fingerprint == manifest.fingerprint


def test_run_survives_a_killed_worker(tmp_path: Path, ray_up: object) -> None:
    source, out = speech(tmp_path / "in", speakers=8, seconds=20), tmp_path / "out"
    process = start(source, out, "--workers=1")
    wait_for(lambda: len(list((out / "shards").glob("*.parquet"))) >= 1, process)
    for worker in workers_below(process.pid, "ray::prepare "):
        os.kill(worker, signal.SIGKILL)
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    Shards(out).verify()
    prepare("librispeech", source, tmp_path / "uninterrupted", {**OPTIONS, "loudness": True})
    assert contents(out) == contents(tmp_path / "uninterrupted")


def test_killed_generation_is_repeated_with_the_same_bytes(tmp_path: Path, ray_up: object) -> None:
    killed, uninterrupted = tmp_path / "killed", tmp_path / "uninterrupted"
    options = {"classes": 6, "clips_per_class": 30}
    flags = ["--classes=6", "--clips-per-class=30"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.prepare", "demo", f"--out={killed}", *flags],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    temporary = killed / f".source{TEMPORARY_SUFFIX}"
    wait_for(lambda: len(list(temporary.glob("*/*.wav"))) >= 10, process)
    process.kill()
    finish(process)
    left = sorted(temporary.glob("*/*.wav"))
    assert 10 <= len(left) < 180 and not (killed / "source").exists()
    left[0].write_bytes(b"half")  # no file of the killed run may be reused
    (temporary / "kazoo").mkdir()

    manifest = prepare("demo", None, killed, options)
    assert manifest.fingerprint == prepare("demo", None, uninterrupted, options).fingerprint
    assert contents(killed) == contents(uninterrupted)
    recordings = {path.relative_to(killed): path.read_bytes() for path in (killed / "source").rglob("*.wav")}
    assert recordings == {
        path.relative_to(uninterrupted): path.read_bytes() for path in (uninterrupted / "source").rglob("*.wav")
    }
    assert len(recordings) == 180 and not temporary.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs permission to mount a small tmpfs: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_full_disk_is_reported_and_the_next_run_resumes(small_disk: Path, tmp_path: Path, ray_up: object) -> None:
    source, out, uninterrupted = (
        speech(tmp_path / "in", speakers=6, seconds=1),
        small_disk / "out",
        tmp_path / "uninterrupted",
    )
    code, text, err = finish(start(source, out, "--workers=2"))
    assert (code, text) == (2, "") and "No space left on device" in err and err.count("\n") == 1
    assert err.endswith("run the same command to resume\n")
    assert not (out / "manifest.json").exists()
    left = {path.name: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    assert left and all(name.endswith(".parquet") for name in left)  # no partial shard

    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    assert prepare("librispeech", source, out, {**OPTIONS, "loudness": True})
    prepare("librispeech", source, uninterrupted, {**OPTIONS, "loudness": True})
    assert contents(out) == contents(uninterrupted)
    assert all((out / "shards" / name).stat().st_mtime_ns == when for name, when in left.items())
