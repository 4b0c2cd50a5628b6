"""The folder corpus: splits, clips, names and options."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from datasets.audio.loudness import normalise
from datasets.audio.recordings import read_recording
from datasets.audio.resampling import resample
from datasets.benchmark.shards import Clip
from datasets.corpora.corpus import Plan
from datasets.corpora.folder import Folder, FolderOptions, clip_stem, split_files
from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError

RATE = 16000
OPTIONS = FolderOptions(clip_seconds=0.5)


def record(path: Path, seconds: float, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(abs(hash(path.name)) % 2**32).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(path, samples, rate, subtype="PCM_16")


def plan_of(root: Path, options: FolderOptions = OPTIONS) -> Plan:
    corpus = Folder()
    return corpus.plan(root, corpus.inventory(root, options), options)


def cut_all(root: Path, options: FolderOptions = OPTIONS) -> list[Clip | Rejection]:
    return [item for unit in plan_of(root, options).units for item in Folder().cut(root, unit, options)]


@given(
    st.integers(2, 60),
    st.sampled_from([(0.6, 0.2), (0.5, 0.0), (0.05, 0.05), (0.9, 0.05), (0.34, 0.33)]),
    st.integers(0, 9),
)
def test_every_class_has_train_and_test_files(number: int, parts: tuple[float, float], seed: int) -> None:
    paths = [f"c/{i}.wav" for i in range(number)]
    splits = split_files(paths, *parts, seed)
    counts = Counter(splits.values())
    assert sorted(splits) == sorted(paths)
    assert counts["train"] >= 1 and counts["test"] >= 1
    assert abs(counts["train"] - parts[0] * number) <= 1
    assert splits == split_files(paths[::-1], *parts, seed)


def test_split_is_as_documented() -> None:
    """Computed independently: sha256 of '0', a zero byte and the path."""
    import hashlib

    paths = [f"c/{i}.wav" for i in range(10)]
    ordered = sorted(paths, key=lambda path: hashlib.sha256(b"0\0" + path.encode()).hexdigest())
    wanted = dict(zip(ordered, ["train"] * 6 + ["val"] * 2 + ["test"] * 2, strict=True))
    assert split_files(paths, 0.6, 0.2, 0) == wanted
    assert split_files(paths, 0.6, 0.2, 1) != wanted
    assert Counter(split_files(paths[:3], 0.6, 0.2, 0).values()) == {"train": 2, "test": 1}


def test_long_files_are_cut_into_full_clips_and_short_ones_are_padded(tmp_path: Path) -> None:
    for name, seconds in {"a": 1.7, "b": 0.3, "c": 0.5, "d": 0.05}.items():
        record(tmp_path / f"x/{name}.wav", seconds)
    items = cut_all(tmp_path)
    clips = [item for item in items if isinstance(item, Clip)]
    assert Counter(clip.source for clip in clips) == {"x/a.wav": 3, "x/b.wav": 1, "x/c.wav": 1}
    assert [item for item in items if isinstance(item, Rejection)] == [
        Rejection("x/d.wav", "too short: 0.050 s, at least 0.1 s needed")
    ]
    assert {len(clip.samples) for clip in clips} == {8000}
    padded = next(clip for clip in clips if clip.source == "x/b.wav")
    assert padded.samples[:4800].any() and not padded.samples[4800:].any()
    assert [clip.start for clip in clips if clip.source == "x/a.wav"] == [0, 8000, 16000]
    limited = OPTIONS.model_copy(update={"max_clips_per_file": 2})
    assert sum(isinstance(item, Clip) for item in cut_all(tmp_path, limited)) == 4


def test_recordings_are_in_one_split_only_and_a_new_class_changes_no_other_class(tmp_path: Path) -> None:
    for label in "ab":
        for number in range(12):
            record(tmp_path / f"{label}/{'in/' if number % 2 else ''}{number}.wav", 1.2)
    clips = [item for item in cut_all(tmp_path) if isinstance(item, Clip)]
    splits = {clip.source: clip.split for clip in clips}
    assert all(splits[clip.source] == clip.split for clip in clips)
    for number in range(4):
        record(tmp_path / f"aa/{number}.wav", 0.6)
    later = {item.source: item.split for item in cut_all(tmp_path) if isinstance(item, Clip)}
    assert {source: later[source] for source in splits} == splits


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    names = ["<script>alert(1)<", "a b", "Ünï ♫", "..x", "[bold]", "a;b&c|$(d)", "日本", "日-本", "new\nline"]
    names = [name for name in names if not name.startswith(".")]
    for name in names:
        for number in range(3):
            record(tmp_path / name / f"r {number} <b>.wav", 0.5)
    plan = plan_of(tmp_path)
    assert plan.classes == tuple(sorted(names))
    clips = [item for item in cut_all(tmp_path) if isinstance(item, Clip)]
    assert len({clip.clip_id for clip in clips}) == len(clips) == 3 * len(names)
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+-[0-9a-f]{12}-\d{4}", clip.clip_id) for clip in clips)
    assert {clip.class_name for clip in clips} == set(names)


def test_clip_ids_are_stable() -> None:
    assert clip_stem(3, "Ünï  Code♫", "a/b.wav") == "0003-uni-code-3549c5121e6b"
    assert clip_stem(0, "日本", "a/b.wav").startswith("0000-class-")


def test_other_files_are_counted_and_hidden_ones_skipped(tmp_path: Path) -> None:
    for number in range(3):
        record(tmp_path / f"a/{number}.WAV", 0.5)
    for name in ("a/notes.txt", "readme.md", ".hidden/x.wav", "a/.x.wav", "docs/only.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    record(tmp_path / "top.wav", 1)
    plan = plan_of(tmp_path)
    assert (plan.classes, plan.files, plan.ignored) == (("a",), 3, 4)


def test_class_needs_two_usable_files(tmp_path: Path) -> None:
    for number in range(3):
        record(tmp_path / f"a/{number}.wav", 0.5)
    record(tmp_path / "b/1.wav", 0.5)
    with pytest.raises(EarshotError, match=r"class 'b': expected at least two usable recordings .* found 1"):
        plan_of(tmp_path)
    (tmp_path / "b/1.wav").write_bytes(b"")
    with pytest.raises(EarshotError, match=r"class 'b': .* found 0; .* \(b/1.wav: zero bytes\)"):
        plan_of(tmp_path)
    with pytest.raises(EarshotError, match="expected one folder per class"):
        plan_of(tmp_path / "a")


def test_many_files_are_divided_into_units(tmp_path: Path) -> None:
    for number in range(33):
        record(tmp_path / f"a/{number:02d}.wav", 0.5)
    plan = plan_of(tmp_path)
    assert [len(unit.files) for unit in plan.units] == [32, 1]


@pytest.mark.parametrize(
    "options", [{"train": 0.5}, {"test": 0.0, "train": 0.8}, {"clip_seconds": 0.099}, {"surprise": 1}]
)
def test_invalid_options_are_rejected(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"add up to 1|greater than 0 |equal to 0\.1 |Extra inputs"):
        FolderOptions.model_validate(options)


def corpus_with_a_long_file(root: Path) -> None:
    for name, seconds in {"long": 5.2, "short": 0.6}.items():
        record(root / f"x/{name}.wav", seconds)


@pytest.mark.parametrize(
    ("clips", "numbers"), [("first", [0, 1, 2]), ("spread", [1, 5, 8]), ("loudest", [2, 4, 9]), ("random", None)]
)
def test_which_clips_of_a_long_file_are_taken(tmp_path: Path, clips: str, numbers: list[int] | None) -> None:
    """A file of 5.2 s has ten clips of 0.5 s."""
    corpus_with_a_long_file(tmp_path)
    path = tmp_path / "x/long.wav"
    samples, rate = soundfile.read(path)
    for number in (2, 4, 9):
        samples[round(number * rate / 2) : round((number + 1) * rate / 2)] *= 1.5
    soundfile.write(path, samples, rate, subtype="PCM_16")

    def taken(seed: int = 0) -> list[int]:
        options = OPTIONS.model_copy(update={"max_clips_per_file": 3, "clips": clips, "split_seed": seed})
        cut = [item for item in cut_all(tmp_path, options) if isinstance(item, Clip)]
        assert sum(clip.source == "x/short.wav" for clip in cut) == 1
        cut = [clip for clip in cut if clip.source == "x/long.wav"]
        for clip in cut:
            assert np.allclose(clip.samples, samples[clip.start : clip.start + RATE // 2], atol=1e-4)
            assert int(clip.clip_id[-4:]) * RATE // 2 == clip.start
        return [clip.start // (RATE // 2) for clip in cut]

    assert taken() == (numbers if numbers else taken())
    if numbers is None:
        assert len({tuple(taken(seed)) for seed in range(4)}) > 1 and taken() == sorted(set(taken()))


def test_new_options_do_not_change_the_identity_of_existing_benchmarks() -> None:
    assert not {"clips", "float_scale"} & set(Folder().identity(OPTIONS))
    options = FolderOptions(clips="spread", float_scale="auto")
    assert Folder().identity(options).items() >= {("clips", "spread"), ("float_scale", "auto")}


def test_floats_on_an_integer_scale_are_rejected_or_scaled(tmp_path: Path) -> None:
    for number in range(2):
        record(tmp_path / f"x/{number}.wav", 0.5)
    samples, _ = soundfile.read(tmp_path / "x/0.wav")
    soundfile.write(tmp_path / "x/0.wav", samples * 32768, RATE, subtype="FLOAT")
    (rejection,) = [item for item in cut_all(tmp_path) if isinstance(item, Rejection)]
    assert rejection.file == "x/0.wav" and "probably on the scale of 16-bit integers" in rejection.reason
    items = cut_all(tmp_path, OPTIONS.model_copy(update={"float_scale": "auto"}))
    (clip,) = [item for item in items if isinstance(item, Clip) and item.source == "x/0.wav"]
    assert np.allclose(clip.samples, samples, atol=1e-6)


@pytest.mark.parametrize("loudness", [False, True])
def test_clips_of_long_recordings_are_those_of_reading_them_whole(tmp_path: Path, loudness: bool) -> None:
    """Longer than a block of the decoder, two channels, at a rate that is resampled."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (700_000, 2))
    (tmp_path / "x").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / f"x/{number}.wav", noise, 44_100, subtype="PCM_16")
    whole = resample(*read_recording(tmp_path / "x/0.wav"), RATE)
    whole = normalise(whole, RATE) if loudness else whole
    options = OPTIONS.model_copy(update={"loudness": loudness})
    clips = [item for item in cut_all(tmp_path, options) if isinstance(item, Clip) and item.source == "x/0.wav"]
    assert len(clips) == len(whole) // (RATE // 2) == 31
    for clip in clips:
        assert np.array_equal(clip.samples, whole[clip.start : clip.start + RATE // 2])
