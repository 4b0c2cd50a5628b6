"""Killed processes and full disks: the next run leaves the bytes of an undisturbed one."""

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


def test_interrupted_killed_and_resumed_with_another_number_of_workers(tmp_path: Path, ray_up: object) -> None:
    """Ctrl-C, then SIGKILL, then to the end: the bytes are those of one run with two workers."""
    source, out, whole = speech(tmp_path / "in", speakers=20, seconds=60), tmp_path / "out", tmp_path / "whole"
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

    (shards / ".00019.parquet.0123.aside").write_bytes(b"half")  # as a killed worker leaves it
    code, text, err = finish(start(source, out, "--workers=1"))
    assert (code, err) == (0, "")
    # Workers of the killed driver may have finished one more shard before they noticed.
    assert len(left) <= int(text.split(" already done")[0].split()[-1]) < 20
    assert all((shards / name).stat().st_mtime_ns == when for name, when in left.items())

    manifest = prepare("librispeech", source, whole, {**OPTIONS, "loudness": True})
    assert contents(out) == contents(whole)
    assert Manifest.load(out).fingerprint == manifest.fingerprint


@pytest.mark.slow
def test_a_killed_worker_is_survived(tmp_path: Path, ray_up: object) -> None:
    source, out = speech(tmp_path / "in", speakers=8, seconds=20), tmp_path / "out"
    process = start(source, out, "--workers=1")
    wait_for(lambda: len(list((out / "shards").glob("*.parquet"))) >= 1, process)
    for worker in workers_below(process.pid, "ray::Map("):
        os.kill(worker, signal.SIGKILL)
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    Shards(out).verify()
    prepare("librispeech", source, tmp_path / "whole", {**OPTIONS, "loudness": True})
    assert contents(out) == contents(tmp_path / "whole")


def test_a_killed_generation_is_done_again_to_the_same_bytes(tmp_path: Path, ray_up: object) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    options = {"classes": 6, "clips_per_class": 30}
    flags = ["--classes=6", "--clips-per-class=30"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.prepare", "demo", f"--out={killed}", *flags],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    aside = killed / ".source.aside"
    wait_for(lambda: len(list(aside.glob("*/*.wav"))) >= 10, process)
    process.kill()
    finish(process)
    left = sorted(aside.glob("*/*.wav"))
    assert 10 <= len(left) < 180 and not (killed / "source").exists()
    left[0].write_bytes(b"half")  # nothing that is left of the killed run may be taken up
    (aside / "kazoo").mkdir()

    manifest = prepare("demo", None, killed, options)
    assert manifest.fingerprint == prepare("demo", None, whole, options).fingerprint
    assert contents(killed) == contents(whole)
    made = {path.relative_to(killed): path.read_bytes() for path in (killed / "source").rglob("*.wav")}
    assert made == {path.relative_to(whole): path.read_bytes() for path in (whole / "source").rglob("*.wav")}
    assert len(made) == 180 and not aside.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small tmpfs: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_the_next_run_goes_on(small_disk: Path, tmp_path: Path, ray_up: object) -> None:
    source, out, whole = speech(tmp_path / "in", speakers=6, seconds=1), small_disk / "out", tmp_path / "whole"
    code, text, err = finish(start(source, out, "--workers=2"))
    assert (code, text) == (2, "") and "No space left on device" in err and err.count("\n") == 1
    assert err.endswith("run the same command to resume\n")
    assert not (out / "manifest.json").exists()
    left = {path.name: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    assert left and all(name.endswith(".parquet") for name in left)  # nothing half-written

    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    assert prepare("librispeech", source, out, {**OPTIONS, "loudness": True})
    prepare("librispeech", source, whole, {**OPTIONS, "loudness": True})
    assert contents(out) == contents(whole)
    assert all((out / "shards" / name).stat().st_mtime_ns == when for name, when in left.items())
