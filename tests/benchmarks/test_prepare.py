import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from benchmarks.prepare import steady_speed
from benchmarks.speech import RATE, write_speech
from benchmarks.watch import CommandError, watch


@pytest.mark.parametrize(
    ("started", "ended", "workers", "expected"),
    [
        # two workers, each an hour of audio in 10 s, four times
        ([0, 0, 10, 10, 20, 20], [10, 10, 20, 20, 30, 30], 2, 2 / 10),
        # the second worker starts late, the first one ends early: only 5 to 20 s count
        ([0, 5, 10, 15], [10, 15, 20, 25], 2, (0.5 + 1 + 1 + 0.5) / 15),
        # pauses between the units of one worker
        ([0, 12, 24], [10, 22, 34], 1, 3 / 34),
        # fewer units than workers
        ([0, 1], [10, 9], 16, (0.8 + 1) / 8),
        # never busy at the same time
        ([0, 10], [10, 20], 2, 0.0),
    ],
)
def test_the_speed_while_all_workers_are_busy(
    started: list[float], ended: list[float], workers: int, expected: float
) -> None:
    units = [str(number) for number in range(len(started))]
    speed = steady_speed(
        dict(zip(units, started, strict=True)),
        dict(zip(units, ended, strict=True)),
        dict.fromkeys(units, 1.0),
        workers,
    )
    assert speed == pytest.approx(3600 * expected)


def test_the_corpus_has_the_given_length_and_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "speech"
    write_speech(folder, 0.02)
    files = sorted(folder.glob("*/*/*.flac"))
    assert all(file.name.startswith(f"{file.parent.parent.name}-{file.parent.name}-") for file in files)
    assert {file.parent.parent.name for file in files} == {"1000", "1001", "1002", "1003"}
    frames = sum(soundfile.info(file).frames for file in files)
    assert frames == 0.02 * 3600 * RATE
    assert 0.45 < sum(file.stat().st_size for file in files) / (2 * frames) < 0.65  # as speech

    before = {file: file.stat().st_mtime_ns for file in files}
    write_speech(folder, 0.02)
    assert {file: file.stat().st_mtime_ns for file in files} == before
    write_speech(tmp_path / "again", 0.02)
    assert all((tmp_path / "again" / file.relative_to(folder)).read_bytes() == file.read_bytes() for file in files)


DETACHED = """
import subprocess, sys
child = "import time; held = bytearray(200 << 20); time.sleep(1.5)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True).wait()
"""


def test_processes_that_detach_themselves_are_watched() -> None:
    looks: list[float] = []
    before = time.time()
    cost = watch([sys.executable, "-c", DETACHED], looks.append)
    assert before <= cost.began < looks[0] < looks[-1] < cost.ended <= time.time()
    assert cost.seconds > 1.5
    assert cost.peak_bytes > 200 << 20


def test_other_processes_are_not_watched() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "held = bytearray(200 << 20); input()"], stdin=subprocess.PIPE
    ) as other:
        cost = watch([sys.executable, "-c", "import time; time.sleep(0.3)"])
        assert cost.peak_bytes < 100 << 20
        other.communicate(b"\n")


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"status 3: broken"):
        watch([sys.executable, "-c", "import sys; sys.stderr.write('broken'); sys.exit(3)"])
