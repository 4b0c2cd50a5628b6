"""Soundscapes rendered from annotations are identical to those that `scaper` rendered with the annotations."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from datasets.audio.recordings import RejectedError
from datasets.corpora import soundscapes
from datasets.corpora.soundscapes import (
    MAX_BYTES,
    find_annotations,
    is_complete,
    load_scaper,
    read_annotation,
    render_soundscape,
    soundscape_path,
    source_root,
)
from datasets.utils.errors import EarshotError

RATE = 44_100
NEEDED = "needs scaper: apt-get install g++ libsox-dev, then pip install 'earshot[fsd]'"
CLASSES = ("banjo", "oboe")
FILE = "base/train/soundscape_1.jams"


def excerpt(recording: Path, place: Path, seconds: float = 1.0) -> None:
    """Writes the start of a recording as a 16-bit WAV."""
    samples, rate = soundfile.read(recording)
    place.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(place, samples[: round(seconds * rate)], rate, subtype="PCM_16")


@pytest.fixture(scope="session")
def sources(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two notes of each of two instruments as events, a spoken sentence as background."""
    root = tmp_path_factory.mktemp("sources")
    for label in CLASSES:
        for note in sorted((shared / "corpora/philharmonia" / label).glob("*.mp3"))[:2]:
            excerpt(note, root / "foreground/base/train" / label / f"{note.stem}.wav")
    sentence = next((shared / "corpora/ravdess-16k").glob("*/*/*.flac"))
    excerpt(sentence, root / "background/speech/sentence.wav", 1.5)
    return root


Make = Callable[..., bytes]


@pytest.fixture
def make(sources: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Creates an annotation with `scaper`, and returns the WAV that it rendered at the same time.

    The sources have a different path at that time, as on the machine of the publisher.
    """
    scaper = pytest.importorskip("scaper", reason=NEEDED)
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)  # scaper 1.6.5 draws new soundscapes with NumPy 1 only

    def create(place: Path, publisher: Path, seed: int = 0, reverb: float | None = None, **changes: Any) -> bytes:
        publisher.symlink_to(sources)
        soundscape = scaper.Scaper(
            2.0, str(publisher / "foreground/base/train"), str(publisher / "background"), random_state=seed
        )
        soundscape.ref_db = -40
        soundscape.add_background(("choose", []), ("choose", []), ("const", 0))
        for _ in range(3):
            event = {
                "label": ("choose", []),
                "source_file": ("choose", []),
                "source_time": ("const", 0),
                "event_time": ("uniform", 0, 1.5),
                "event_duration": ("uniform", 0.3, 1.0),
                "snr": ("uniform", 5, 20),
                "pitch_shift": None,
                "time_stretch": None,
            }
            soundscape.add_event(**{**event, **changes})
        wav = publisher.with_suffix(".wav")
        place.parent.mkdir(parents=True, exist_ok=True)
        soundscape.generate(str(wav), str(place), reverb=reverb, disable_instantiation_warnings=True)
        publisher.unlink()
        return wav.read_bytes()

    return create


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 1, "pitch_shift": ("uniform", -3, 3)},
        {"seed": 2, "time_stretch": ("uniform", 0.8, 1.2)},
        {"seed": 3, "reverb": 0.3},
    ],
    ids=["plain", "pitch", "stretch", "reverb"],
)
def test_rendered_bytes_are_those_of_scaper(changes: dict[str, Any], make: Make, sources: Path, tmp_path: Path) -> None:
    annotations, out = tmp_path / "annotations", tmp_path / "out"
    first = make(annotations / "base/train/soundscape_1.jams", tmp_path / "publisher", **changes)

    path = render_soundscape(annotations, "base/train/soundscape_1.jams", sources, out)

    assert path == out / "base/train/soundscape_1.wav" and is_complete(path)
    assert path.read_bytes() == first
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (RATE, 1, 2 * RATE, "PCM_32")
    assert [file.name for file in path.parent.iterdir()] == ["soundscape_1.wav"]


def test_rendering_again_gives_the_same_bytes(make: Make, sources: Path, tmp_path: Path) -> None:
    make(tmp_path / "in" / FILE, tmp_path / "publisher")
    path = render_soundscape(tmp_path / "in", FILE, sources, tmp_path / "out")
    first, number = path.read_bytes(), path.stat().st_ino
    render_soundscape(tmp_path / "in", FILE, sources, tmp_path / "out")
    assert path.read_bytes() == first and path.stat().st_ino != number  # a new file, renamed to the same path


def test_unwritable_folder_raises_oserror(make: Make, sources: Path, tmp_path: Path) -> None:
    make(tmp_path / "in" / FILE, tmp_path / "publisher")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="out"):
        render_soundscape(tmp_path / "in", FILE, sources, tmp_path / "out")


@pytest.mark.parametrize("module", ["scaper", "soxbindings._soxbindings"])
def test_missing_scaper_error_has_installation_instructions(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EarshotError, match=r"apt-get install g\+\+ libsox-dev\), then pip install 'earshot\[fsd\]'$"):
        load_scaper()


def event(source: str = "/home/publisher/sources/foreground/base/train/banjo/note.wav", **changes: Any) -> Any:
    value = {
        "role": "foreground",
        "label": "banjo",
        "source_file": source,
        "source_time": 0.0,
        "event_time": 0.5,
        "event_duration": 1.0,
        "snr": 10.0,
        "pitch_shift": None,
        "time_stretch": None,
    }
    return {"time": 0.5, "duration": 1.0, "confidence": 1.0, "value": {**value, **changes}}


def content(*events: Any, sandbox: dict[str, Any] | None = None, **synthesis: Any) -> dict[str, Any]:
    """A handwritten annotation."""
    default = {"duration": 2.0, "original_duration": 2.0, "sr": RATE, "n_channels": 1, "ref_db": -20, "reverb": None,
               "fade_in_len": 0.01, "fade_out_len": 0.01, "protected_labels": []}  # fmt: skip
    return {
        "annotations": [
            {"namespace": "tag_open", "data": []},
            {
                "namespace": "scaper",
                "data": list(events or [event()]),
                "sandbox": {"scaper": {**default, **synthesis}, **(sandbox or {})},
            },
        ],
        "file_metadata": {"duration": 2.0, "jams_version": "0.3.4"},
        "sandbox": {},
    }


def write(path: Path, jams: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jams if isinstance(jams, bytes) else json.dumps(jams).encode())
    return path


UNUSABLE = {
    "empty": (b"", "zero bytes"),
    "pickle": (b"\x80\x04cposix\nsystem\n", "not readable as JSON"),
    "deep": (b"[" * 100_000, "not readable as JSON"),
    "large": (b" " * MAX_BYTES + b"{}", "expected at most 16777216 bytes of JSON, found more"),
    "list": ([], "expected an annotation of the scaper namespace, found none"),
    "dense": ({"annotations": {"namespace": "scaper"}}, "expected an annotation of the scaper namespace, found none"),
    "no data": ({"annotations": [{"namespace": "scaper"}]}, "data: Field required"),
    "role": (content(event(role="sideways")), "data.0.value.role: Input should be 'foreground' or 'background'"),
    "nan": (content(event(), event(snr=float("nan"))), "data.1.value.snr: Input should be a finite number, found nan"),
    "stretch": (content(event(time_stretch=0)), "time_stretch: Input should be greater than or equal to 0.05, found 0"),
    "far": (content(event(event_time=1e9)), "event_time: Input should be less than or equal to 3600, found 10000000"),
    "late": (content(event(event_time=2.5)), "an event begins after the end of the soundscape, at 2 s"),
    "endless": (content(duration=float("inf")), "sandbox.scaper.duration: Input should be a finite number"),
    "rate": (content(sr=10**9), "sandbox.scaper.sr: Input should be less than or equal to 192000"),
    "many": (content(*[event()] * 2000), "at most 134217728 samples of all events together, found 176400000"),
    "cut": (content(sandbox={"slice": [{"slice_start": 0}]}), r"cut after it was rendered \(scaper.trim\)"),
    "no class": (
        content(event("note.wav")),
        "expected a source_file that ends in class folder and file, found note.wav",
    ),
    "up": (content(event("/banjo/../note.wav")), r"class folder and file, found /banjo/../note.wav"),
    "folder": (content(event("/foreground/banjo/..")), "expected a source_file that ends in class folder and file"),
    "dot": (content(event("/banjo/./note.wav")), r"class folder and file, found /banjo/./note.wav"),
    "slash": (content(event("/banjo/note.wav/")), r"class folder and file, found /banjo/note.wav/"),
    "zero": (content(event("/banjo/a\0b")), r"class folder and file, found /banjo/a\\x00b"),
    "surrogate": (content(event("/banjo/\ud800")), "class folder and file, found /banjo/"),
    "absent": (
        content(event("/banjo/gone.wav")),
        r"source missing: banjo/gone.wav \(looked for in foreground/base/train",
    ),
    "long name": (content(event(f"/banjo/{'long' * 100}.wav")), "source missing: banjo/longlong"),
    "truncated": (content(event("/banjo/cut.wav")), "source foreground/base/train/banjo/cut.wav: truncated"),
    "empty source": (content(event("/banjo/empty.wav")), "source foreground/base/train/banjo/empty.wav: zero bytes"),
    "link": (content(event("/banjo/link.wav")), "link.wav: symbolic link leads outside the source folder"),
}


@pytest.mark.parametrize(("jams", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_invalid_annotation_is_rejected_with_a_reason(jams: Any, reason: str, tmp_path: Path) -> None:
    banjo = tmp_path / "sources/foreground/base/train/banjo"
    banjo.mkdir(parents=True)
    soundfile.write(tmp_path / "secret.wav", np.zeros(RATE), RATE)
    soundfile.write(banjo / "note.wav", np.zeros(RATE), RATE)
    (banjo / "cut.wav").write_bytes((banjo / "note.wav").read_bytes()[:1000])
    (banjo / "empty.wav").touch()
    (banjo / "link.wav").symlink_to(tmp_path / "secret.wav")
    write(tmp_path / "in/base/train/a.jams", jams)

    with pytest.raises(RejectedError, match=reason):
        render_soundscape(tmp_path / "in", "base/train/a.jams", tmp_path / "sources", tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_annotation_that_fails_in_scaper_is_rejected_without_side_effects(
    make: Make, sources: Path, tmp_path: Path
) -> None:
    level = logging.getLogger().level
    make(tmp_path / "in" / FILE, tmp_path / "publisher")
    jams = json.loads((tmp_path / "in" / FILE).read_text())
    jams["annotations"][0]["data"][-1]["value"]["source_time"] = 60.0  # long after the end of the note
    write(tmp_path / "in" / FILE, jams)
    with pytest.raises(RejectedError, match=r"^scaper: "):
        render_soundscape(tmp_path / "in", FILE, sources, tmp_path / "out")
    assert not (tmp_path / "out").exists() and logging.getLogger().level == level


@pytest.mark.parametrize(
    ("outcome", "raised", "message"),
    [
        (ValueError("Illegal rate\nin detail"), RejectedError, "^scaper: Illegal rate$"),
        (KeyError(), RejectedError, "^scaper: KeyError$"),
        (np.array([[0.0], [np.nan]]), RejectedError, "^scaper: NaN or infinite samples$"),
        (MemoryError(), MemoryError, "^$"),
        (ImportError("libsox.so.3"), ImportError, "libsox"),
    ],
)
def test_errors_of_the_machine_are_not_attributed_to_the_annotation(
    outcome: Any, raised: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate_from_jams(*_: Any, **__: Any) -> tuple[np.ndarray, None, None, None]:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, None, None, None

    monkeypatch.setattr(soundscapes, "load_scaper", lambda: SimpleNamespace(generate_from_jams=generate_from_jams))
    write(tmp_path / "in" / FILE, content())
    (tmp_path / "banjo").mkdir()
    soundfile.write(tmp_path / "banjo/note.wav", np.zeros(9), RATE)
    with pytest.raises(raised, match=message):
        render_soundscape(tmp_path / "in", FILE, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from([*content(), "namespace", "data", "value", *event()["value"], "scaper", "sr", "reverb", "slice"])


@given(keys, values)
def test_any_annotation_is_valid_or_rejected(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    def changed(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: value if name == key else changed(inner) for name, inner in part.items()}
        return [changed(inner) for inner in part] if isinstance(part, list) else part

    path = write(tmp_path_factory.getbasetemp() / "any.jams", changed(content()))
    try:
        text, annotation = read_annotation(path)
        names = [each.source for each in annotation.events]
    except RejectedError as error:
        assert str(error).isprintable()
    else:
        assert json.loads(text) and all(len(PurePosixPath(name).parts) == 2 for name in names)
        assert all(".." not in name.split("/") for name in names)


@pytest.mark.parametrize(
    ("folders", "annotation", "expected"),
    [
        (["foreground/base/train"], "base/train", "foreground/base/train"),
        (["foreground/val"], "val", "foreground/val"),
        (["foreground"], "base/train", "foreground"),
        (["foreground/train"], "base/train", "foreground/train"),
        (["val"], "val", "val"),
        (["."], "base/train", "."),
        (["foreground", "foreground/base/train", "train"], "base/train", "foreground/base/train"),
        (["background"], "base/train", None),
        (["foreground/base/val"], "base/train", None),
    ],
)
def test_search_order_of_the_source_folder(
    folders: list[str], annotation: str, expected: str | None, tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / folder / "banjo").mkdir(parents=True)
        soundfile.write(tmp_path / folder / "banjo/note.wav", np.zeros(9), RATE)
    if expected:
        assert source_root(tmp_path, "foreground", PurePosixPath(annotation), ["banjo/note.wav"]) == tmp_path / expected
    else:
        with pytest.raises(RejectedError, match=r"source missing: banjo/note.wav"):
            source_root(tmp_path, "foreground", PurePosixPath(annotation), ["banjo/note.wav"])


def test_one_folder_must_have_all_sources(tmp_path: Path) -> None:
    for place in ("foreground/train/banjo/a.wav", "foreground/train/banjo/b.wav", "foreground/banjo/c.wav"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / place, np.zeros(9), RATE)
    with pytest.raises(RejectedError, match=r"source missing: banjo/c.wav"):
        source_root(tmp_path, "foreground", PurePosixPath("train"), ["banjo/a.wav", "banjo/b.wav", "banjo/c.wav"])


def test_annotations_are_recognized_by_suffix(tmp_path: Path) -> None:
    for name in ("base/train/a.jams", "base/train/a.JAMS", "val/b.jams", "val/b.wav", ".hidden.jams"):
        write(tmp_path / name, {})
    inventory = find_annotations(tmp_path)
    assert [file.path for file in inventory.files] == ["base/train/a.jams", "val/b.jams"] and inventory.ignored == 1
    assert [(rejection.file, rejection.reason) for rejection in inventory.rejected] == [
        ("base/train/a.JAMS", "expected the suffix .jams")
    ]
    assert soundscape_path(tmp_path, "base/train/a.jams") == tmp_path / "base/train/a.wav"


def test_soundscape_is_complete_only_with_all_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert not is_complete(path)
    soundfile.write(path, np.zeros(100), RATE, subtype="PCM_32")
    complete = path.read_bytes()
    assert is_complete(path)
    for size in (0, 20, 44, len(complete) - 1):
        path.write_bytes(complete[:size])
        assert not is_complete(path), size
