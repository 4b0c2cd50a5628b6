"""Soundscapes in parallel: real recordings, real processes, real kills."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from orchestrator.cluster.session import start_ray
from orchestrator.preparation.soundscape_tasks import LOCK, RenderOutcome, render
from tests.support.prepare_processes import workers_below

REPOSITORY = Path(__file__).parents[3]
FOLDERS = ("base/train", "base/val", "test")
NUMBER = 24  # annotations
RENDER = """
import sys
from datasets.utils.errors import EarshotError
from orchestrator.preparation.soundscape_tasks import render
try:
    outcome = render(*sys.argv[1:4], workers=int(sys.argv[4]), max_rejected=0.5)
    rejected = [f"{rejection.file}: {rejection.reason}" for rejection in outcome.rejected]
    print(outcome.rendered, outcome.cached, *rejected)
except EarshotError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with start_ray(cpus=2):
        yield


@pytest.fixture(scope="module")
def sources(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notes as events of two classes, a spoken sentence as background, in the publisher's layout."""
    root = tmp_path_factory.mktemp("sources")
    for label in ("banjo", "oboe"):
        for note in sorted((shared / "corpora/philharmonia" / label).glob("*.mp3"))[:2]:
            samples, rate = soundfile.read(note)
            for folder in FOLDERS:
                place = root / "foreground" / folder / label / f"{note.stem}.wav"
                place.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(place, samples[:rate], rate, subtype="PCM_16")
    sentence = next((shared / "corpora/ravdess-16k").glob("*/*/*.flac"))
    (root / "background/speech").mkdir(parents=True)
    shutil.copy(sentence, root / "background/speech/sentence.flac")
    return root


@pytest.fixture(scope="module")
def annotations(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations created by `scaper`, and next to each the WAV that it rendered at the same time."""
    scaper = pytest.importorskip(
        "scaper", reason="needs scaper: apt-get install g++ libsox-dev, then pip install 'earshot[fsd]'"
    )
    root = tmp_path_factory.mktemp("annotations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "Inf", np.inf, raising=False)  # scaper 1.6.5 draws new soundscapes with NumPy 1 only
        for number in range(NUMBER):
            folder = FOLDERS[number % len(FOLDERS)]
            (root / folder).mkdir(parents=True, exist_ok=True)
            soundscape = scaper.Scaper(
                6.0, str(sources / "foreground" / folder), str(sources / "background"), random_state=number
            )
            soundscape.ref_db = -40
            soundscape.add_background(("choose", []), ("choose", []), ("const", 0))
            for _ in range(2):
                soundscape.add_event(
                    label=("choose", []),
                    source_file=("choose", []),
                    source_time=("const", 0),
                    event_time=("uniform", 0, 5),
                    event_duration=("uniform", 0.3, 1.0),
                    snr=("uniform", 5, 20),
                    pitch_shift=("uniform", -2, 2),
                    time_stretch=None,
                )
            path = root / folder / f"soundscape_{number}"
            soundscape.generate(f"{path}.wav", f"{path}.jams", disable_instantiation_warnings=True)
    return root


def soundscapes(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.wav"))}


def part(annotations: Path, root: Path, number: int = 4) -> Path:
    """A folder with a few of the annotations."""
    for path in sorted(annotations.rglob("*.jams"))[:number]:
        place = root / path.relative_to(annotations)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return root


def counts(outcome: RenderOutcome) -> tuple[int, int, int]:
    return outcome.rendered, outcome.cached, len(outcome.rejected)


def start(*folders: Path, workers: int = 1, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", RENDER, *map(str, folders), str(workers)],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """The last line of its standard output (Ray reports crashed workers folder), and its standard error."""
    out, err = process.communicate(timeout=180)
    return out.splitlines()[-1] if out else "", err


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_soundscapes_are_identical_to_those_of_scaper(
    annotations: Path, sources: Path, tmp_path: Path, ray_up: object
) -> None:
    calls: list[tuple[int, int]] = []
    outcome = render(annotations, sources, tmp_path / "out", listener=lambda *progress: calls.append(progress))

    assert soundscapes(tmp_path / "out") == soundscapes(annotations)
    assert counts(outcome) == (NUMBER, 0, 0) and outcome.ignored == NUMBER  # the WAVs of scaper
    assert calls == [(done, NUMBER) for done in range(1, NUMBER + 1)]
    assert (tmp_path / "out/rejected.csv").read_text() == "file,reason\n"


def test_second_run_renders_only_missing_and_damaged_soundscapes(
    annotations: Path, sources: Path, tmp_path: Path, ray_up: object
) -> None:
    some, out = part(annotations, tmp_path / "in"), tmp_path / "out"
    render(some, sources, out)
    complete = soundscapes(out)
    first, second, *others = sorted(out.rglob("*.wav"))
    times = [path.stat().st_mtime_ns for path in others]

    assert counts(render(some, sources, out)) == (0, 4, 0)

    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    (second.parent / f".{second.name}.0123{TEMPORARY_SUFFIX}").write_bytes(b"half")  # left by a killed worker
    assert counts(render(some, sources, out)) == (2, 2, 0)
    assert soundscapes(out) == complete and not list(out.rglob(f"*{TEMPORARY_SUFFIX}"))
    assert times == [path.stat().st_mtime_ns for path in others]


def test_annotations_that_cannot_be_rendered_are_listed_up_to_a_limit(
    annotations: Path, sources: Path, tmp_path: Path, ray_up: object
) -> None:
    some, out = part(annotations, tmp_path / "in"), tmp_path / "out"
    broken, gone, *_ = sorted(some.rglob("*.jams"))
    broken.write_text("{")
    gone.write_text(gone.read_text().replace("banjo_", "gone_").replace("oboe_", "gone_"))

    outcome = render(some, sources, out, max_rejected=0.5)
    assert counts(outcome) == (2, 0, 2) and len(soundscapes(out)) == 2
    with (out / "rejected.csv").open(newline="") as file:
        rows = [Rejection(*row) for row in csv.reader(file)]
    assert tuple(rows[1:]) == outcome.rejected
    assert [rejection.file for rejection in outcome.rejected] == [
        path.relative_to(some).as_posix() for path in (broken, gone)
    ]
    assert outcome.rejected[0].reason.startswith("not readable as JSON")
    assert outcome.rejected[1].reason.startswith("source missing: ")

    limit = r"^\d of 4 annotations cannot be rendered, more than --max-rejected 0.01 allows \(base/train/soundscape_"
    with pytest.raises(EarshotError, match=limit):
        render(some, sources, out)
    assert len(soundscapes(out)) == 2  # finished soundscapes are kept
    assert counts(render(part(annotations, some), sources, out)) == (2, 2, 0)
    assert (out / "rejected.csv").read_text() == "file,reason\n"


def test_unwritable_folder_stops_the_run(annotations: Path, sources: Path, tmp_path: Path, ray_up: object) -> None:
    some, out = part(annotations, tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / LOCK).touch()
    (out / "base").write_text("no folder")
    with pytest.raises(EarshotError, match=r"out/base.*; fix this; then run the same command to resume$"):
        render(some, sources, out)


def test_invalid_folders_are_reported_in_one_line(tmp_path: Path) -> None:
    folder, out = tmp_path / "folder", tmp_path / "out"
    folder.mkdir()
    with pytest.raises(EarshotError, match=r"^--annotations .*/gone: expected a folder, found none"):
        render(tmp_path / "gone", folder, out)
    with pytest.raises(EarshotError, match=r"^--sources .*/gone: expected a folder, found none"):
        render(folder, tmp_path / "gone", out)
    with pytest.raises(EarshotError, match=r"^--annotations .*/folder: expected \*\.jams in it .*, found none"):
        render(folder, folder, out)
    assert not out.exists()
    (folder / "a.jams").touch()
    with pytest.raises(EarshotError, match=r"expected an empty folder or soundscapes .*, found other files"):
        render(folder, folder, folder)
    out.write_text("a file")
    with pytest.raises(EarshotError, match=r"out: cannot be written \(Not a directory\)"):
        render(folder, folder, out)


def test_killed_run_is_resumed_with_a_different_number_of_workers(
    annotations: Path, sources: Path, tmp_path: Path
) -> None:
    """SIGKILL to the driver, then completion: the same bytes as an uninterrupted run."""
    out = tmp_path / "out"
    killed = start(annotations, sources, out)
    wait_for(lambda: len(list(out.rglob("*.wav"))) >= 3, killed)
    with pytest.raises(EarshotError, match=r"out: another prepare is running in this folder; wait for it to end$"):
        render(annotations, sources, out)
    killed.kill()
    finish(killed)
    left = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    assert 3 <= len(left) < NUMBER

    text, err = finish(start(annotations, sources, out, workers=2))
    rendered, cached = map(int, text.split())
    # Workers of the killed driver may have finished one more soundscape before they exited.
    assert err == "" and rendered + cached == NUMBER and len(left) <= cached < NUMBER
    assert all(path.stat().st_mtime_ns == when for path, when in left.items())
    assert soundscapes(out) == soundscapes(annotations)
    assert not list(out.rglob(f"*{TEMPORARY_SUFFIX}"))


def test_run_survives_a_killed_worker(annotations: Path, sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(annotations, sources, out)
    wait_for(lambda: len(list(out.rglob("*.wav"))) >= 1, process)
    for worker in workers_below(process.pid, "ray::_render_one"):
        os.kill(worker, signal.SIGKILL)
    assert finish(process) == (f"{NUMBER} 0", "")
    assert soundscapes(out) == soundscapes(annotations)


def minimal(**changes: Any) -> str:
    """A handwritten annotation of one event."""
    value = {"role": "foreground", "source_file": "/x/banjo/a.wav", "source_time": 0, "event_time": 0,
             "event_duration": 1, "snr": 0, "pitch_shift": None, "time_stretch": None}  # fmt: skip
    synthesis = {"duration": 1, "n_channels": 1, "ref_db": -20, "fade_in_len": 0, "fade_out_len": 0, "reverb": None,
                 "protected_labels": []}  # fmt: skip
    annotation = {"namespace": "scaper", "data": [{"value": value}], "sandbox": {"scaper": synthesis}}
    return json.dumps({"annotations": [annotation], **changes})


@pytest.fixture
def fake_scaper(tmp_path: Path) -> Path:
    """A folder with a `scaper` that exits the process if the annotation contains the word 'crash'."""
    for module, code in {
        "scaper/__init__.py": "import os, numpy\n"
        "def generate_from_jams(file, **settings):\n"
        "    if 'crash' in file.read():\n"
        "        os._exit(1)\n"
        "    return numpy.zeros((10, 1)), None, None, None\n",
        "soxbindings/__init__.py": "",
        "soxbindings/_soxbindings.py": "",
    }.items():
        path = tmp_path / "modules" / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return tmp_path / "modules"


def test_only_the_annotation_that_crashes_its_worker_is_rejected(fake_scaper: Path, tmp_path: Path) -> None:
    some, sources, out = tmp_path / "in", tmp_path / "sources", tmp_path / "out"
    some.mkdir()
    for number in range(6):
        (some / f"{number}.jams").write_text(minimal(crash=True) if number == 2 else minimal())
    (sources / "foreground/banjo").mkdir(parents=True)
    soundfile.write(sources / "foreground/banjo/a.wav", np.zeros(9), 8000)
    text, err = finish(start(some, sources, out, workers=2, PYTHONPATH=str(fake_scaper)))
    assert (text, err) == ("5 0 2.jams: rendering it ended its worker 4 times", "")
    assert sorted(soundscapes(out)) == ["0.wav", "1.wav", "3.wav", "4.wav", "5.wav"]


def test_missing_scaper_stops_the_run_with_installation_instructions(fake_scaper: Path, tmp_path: Path) -> None:
    some, out = tmp_path / "in", tmp_path / "out"
    some.mkdir()
    (some / "a.jams").write_text(minimal())
    (some / "foreground/banjo").mkdir(parents=True)
    soundfile.write(some / "foreground/banjo/a.wav", np.zeros(9), 8000)
    (fake_scaper / "soxbindings/_soxbindings.py").write_text("raise ImportError('libsox.so.3: cannot open')")
    text, err = finish(start(some, some, out, PYTHONPATH=str(fake_scaper)))
    assert text.startswith("scaper: expected it to be installed, found: libsox.so.3: cannot open; install libsox and ")
    assert text.endswith("pip install 'earshot[fsd]'; then run the same command to resume") and err == ""
    assert not soundscapes(out) and not (out / "rejected.csv").exists()
