"""NSynth: the published lists, and clips from small notes."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.benchmark.clips import Clip
from datasets.benchmark.listing import Listing
from datasets.benchmark.manifest import SplitCounts
from datasets.benchmark.protocol import draw_support
from datasets.corpora.corpus import Plan
from datasets.corpora.inventory import Rejection
from datasets.corpora.nsynth import NSynth, NSynthOptions
from datasets.corpora.registry import find_corpus
from datasets.utils.errors import EarshotError

HEADER = "filename,instrument,instrument_family,instrument_source,audio_source"
SPLITS = ("train", "val", "test")


class Small(NSynth):
    """Two base instruments and a novel one."""

    name = "nsynth3"
    summary = "for tests"
    number_of_classes = 3
    novel_classes = 1


CLASSES = ("organ_000", "bass_001", "flute_002")
ROWS = {
    "train": ["bass_001-030-025", "organ_000-021-127", "organ_000-020-127", "flute_002-050-100"],
    "val": ["organ_000-023-127", "bass_001-031-025"],
    "test": ["flute_002-051-100", "organ_000-022-127", "bass_001-029-025"],
}
FOLDERS = {"organ_000": "nsynth-train", "bass_001": "nsynth-train", "flute_002": "nsynth-valid"}


def as_line(note: str) -> str:
    instrument = note.rsplit("-", 2)[0]
    return f"{note},{instrument},{instrument.split('_')[0]},acoustic,{FOLDERS.get(instrument, 'nsynth-test')}"


def write_lists(meta: Path, rows: dict[str, list[str]] = ROWS) -> NSynthOptions:
    meta.mkdir(exist_ok=True)
    for split, notes in rows.items():
        (meta / f"nsynth-3-fs_{split}.csv").write_text("\n".join([HEADER, *map(as_line, notes)]) + "\n")
    (meta / "nsynth-3-fs_vocab.json").write_text(json.dumps({name: label for label, name in enumerate(CLASSES)}))
    return NSynthOptions(meta=meta)


def play(source: Path, note: str, seconds: float = 4, rate: int = 16000) -> np.ndarray:
    path = source / FOLDERS[note.rsplit("-", 2)[0]] / "audio" / f"{note}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(list(note.encode()))
    samples = np.rint(random.uniform(-0.5, 0.5, round(seconds * rate)) * 32768) / 32768
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return samples.astype(np.float32)


def play_all(source: Path) -> dict[str, np.ndarray]:
    return {note: play(source, note) for notes in ROWS.values() for note in notes}


def plan_of(source: Path, options: NSynthOptions) -> Plan:
    return Small().plan(source, Small().inventory(source, options), options)


def cut_all(source: Path, options: NSynthOptions) -> list[Clip | Rejection]:
    return [item for unit in plan_of(source, options).units for item in Small().cut(source, unit, options)]


def listing_of(shared: Path, number: int) -> Listing:
    listing = find_corpus(f"nsynth{number}").listing(NSynthOptions(meta=shared / "published/nsynth"))
    assert listing is not None
    return listing


@pytest.mark.parametrize("number", [100, 200])
def test_sizes_of_the_published_lists(shared: Path, number: int) -> None:
    listing = listing_of(shared, number)
    table = listing.table
    vocabulary = json.loads((shared / f"published/nsynth/nsynth-{number}-fs_vocab.json").read_text())
    assert {name: label for label, name in enumerate(table.class_names)} == vocabulary
    assert (listing.base_classes, listing.clip_seconds) == (number - 45, 4.0)
    counts = Counter(zip(table.labels.tolist(), table.splits.tolist(), strict=True))
    for label in range(number):
        wanted = (200, 100, 100) if label < number - 45 else (100, 0, 100)
        assert tuple(counts[label, split] for split in SPLITS) == wanted
    assert len(set(listing.contents)) == len(set(listing.sources)) == len(table)  # no note is in two lists
    assert all(source.endswith(".wav") and source.startswith("nsynth-") for source in listing.sources)


def test_support_draws_select_the_same_rows_as_the_release(shared: Path) -> None:
    table = listing_of(shared, 100).table
    with (shared / "published/nsynth/nsynth-100-fs_train.csv").open() as file:
        rows = list(csv.DictReader(file))
    for label in (0, 17, 54, 55, 99):
        notes = [row["filename"] for row in rows if row["instrument"] == table.class_names[label]]
        train = np.flatnonzero((table.labels == label) & (table.splits == "train"))
        for seed in range(3):
            for position in draw_support(len(notes), 5, seed):
                assert table.clip_ids[train[position]].endswith(f"-{notes[position]}")


def test_clips_are_the_notes_in_the_lists(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    notes = play_all(tmp_path)
    play(tmp_path, "organ_000-099-127")  # in no list
    plan = plan_of(tmp_path, options)
    assert (plan.classes, plan.base_classes, plan.sample_rate, plan.num_samples) == (CLASSES, 2, 16000, 64000)
    assert (plan.files, plan.ignored, plan.rejected) == (9, 0, ())
    clips = [item for item in cut_all(tmp_path, options) if isinstance(item, Clip)]
    assert [clip.clip_id for clip in clips if clip.class_name == "organ_000"] == [
        "train-000001-organ_000-021-127",
        "train-000002-organ_000-020-127",
        "val-000000-organ_000-023-127",
        "test-000001-organ_000-022-127",
    ]
    assert len(clips) == 9
    for clip in clips:
        note = clip.clip_id.split("-", 2)[2]
        assert np.array_equal(clip.samples, notes[note])
        assert clip.source == f"{FOLDERS[clip.class_name]}/audio/{note}.wav"
        assert (clip.class_name, clip.start) == (CLASSES[clip.label], 0)
        assert note in ROWS[clip.split]
    assert sorted(clip.clip_id for clip in clips) == list(Small().listing(options).table.clip_ids)


def test_unit_is_an_instrument_in_the_order_of_the_lists(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    play_all(tmp_path)
    units = plan_of(tmp_path, options).units
    assert [unit.name for unit in units] == list(CLASSES)
    assert units[1].files == tuple(f"nsynth-train/audio/bass_001-0{note}-025.wav" for note in (30, 31, 29))
    assert json.loads(json.dumps(units[1].details)) == units[1].details


def test_missing_and_empty_notes_are_rejected(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    play_all(tmp_path)
    (tmp_path / "nsynth-train/audio/organ_000-020-127.wav").unlink()
    (tmp_path / "nsynth-train/audio/bass_001-031-025.wav").write_bytes(b"")
    plan = plan_of(tmp_path, options)
    assert plan.files == 9
    assert plan.rejected == (
        Rejection("nsynth-train/audio/bass_001-031-025.wav", "zero bytes"),
        Rejection("nsynth-train/audio/organ_000-020-127.wav", "not found"),
    )
    assert [len(unit.files) for unit in plan.units] == [3, 2, 2]
    assert sum(isinstance(item, Clip) for item in cut_all(tmp_path, options)) == 7


def test_recordings_outside_the_source_are_rejected(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    source = tmp_path / "source"
    play_all(source)
    (source / "nsynth-valid").rename(tmp_path / "elsewhere")
    (source / "nsynth-valid").symlink_to(tmp_path / "elsewhere")
    organ = source / "nsynth-train/audio/organ_000-020-127.wav"
    organ.rename(tmp_path / "organ.wav")
    organ.symlink_to(tmp_path / "organ.wav")
    inside = source / "nsynth-train/audio/organ_000-021-127.wav"
    inside.rename(source / "moved.wav")
    inside.symlink_to(source / "moved.wav")
    (source / "nsynth-train/audio/bass_001-029-025.wav").unlink()
    (source / "nsynth-train/audio/bass_001-029-025.wav").mkdir()
    assert {Path(rejection.file).stem: rejection.reason for rejection in plan_of(source, options).rejected} == {
        "bass_001-029-025": "not a regular file",
        "flute_002-050-100": "symbolic link leads outside the source folder",
        "flute_002-051-100": "symbolic link leads outside the source folder",
        "organ_000-020-127": "symbolic link leads outside the source folder",
    }


def test_other_rates_are_resampled_and_other_lengths_rejected(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    play_all(tmp_path)
    play(tmp_path, "organ_000-021-127", rate=44100)
    play(tmp_path, "organ_000-022-127", seconds=3.5)
    play(tmp_path, "organ_000-023-127", seconds=4.5, rate=8000)
    (tmp_path / "nsynth-train/audio/organ_000-020-127.wav").write_text("no audio")
    items = list(Small().cut(tmp_path, plan_of(tmp_path, options).units[0], options))
    clips = [item for item in items if isinstance(item, Clip)]
    assert [(clip.clip_id, len(clip.samples)) for clip in clips] == [("train-000001-organ_000-021-127", 64000)]
    reasons = {Path(item.file).stem[10:13]: item.reason for item in items if isinstance(item, Rejection)}
    assert reasons.keys() == {"020", "022", "023"} and reasons["020"].startswith("not readable as audio")
    assert reasons["022"] == "expected a note of 4 s, found 3.5 s"
    assert reasons["023"] == "expected a note of 4 s, found 4.5 s"


def test_source_with_wrong_layout_is_an_error(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    (tmp_path / "nsynth-train").mkdir()
    for source in (tmp_path, tmp_path / "absent"):
        with pytest.raises(EarshotError, match=r"expected the folders nsynth-train, nsynth-valid and nsynth-test"):
            Small().inventory(source, options)
    (tmp_path / "nsynth-train/audio").mkdir()
    assert len(Small().inventory(tmp_path, options).rejected) == 9


def test_fewer_notes_than_listed_are_a_warning_and_too_few_an_error(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    complete = [SplitCounts(train=2, val=1, test=1), SplitCounts(train=1, val=1, test=1), SplitCounts(train=1, test=1)]
    assert Small().review(complete, CLASSES, options) == ()  # a novel class has no val notes
    fewer = [SplitCounts(train=1, test=1), *complete[1:]]
    assert Small().review(fewer, CLASSES, options) == (
        "fewer clips than in the lists: organ_000 (1 of 2 train), organ_000 (0 of 1 val)",
    )
    with pytest.raises(
        EarshotError,
        match=r"one train and one test clip of every class, found \d and \d of class 'flute_002'",
    ):
        Small().review([*complete[:2], SplitCounts(train=1)], CLASSES, options)


BAD_LISTS = {
    "instrument": ("oboe_001-020-127,oboe_001,oboe,acoustic,nsynth-train", "line 6: instrument: expected a class of"),
    "folder": ("organ_000-030-127,organ_000,a,b,nsynth-all", "line 6: audio_source: expected one of nsynth-train, "),
    "path": ("../../organ,organ_000,a,b,nsynth-train", "line 6: expected a path inside the source folder"),
    "twice": (as_line("organ_000-021-127"), "line 6: expected every clip once, found that of line 3 again"),
    "cells": ("organ_000-030-127,organ_000", "line 6: expected 5 cells, found 2"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_invalid_row_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    options = write_lists(tmp_path / "meta")
    with (tmp_path / "meta/nsynth-3-fs_train.csv").open("a") as file:
        file.write(line + "\n")
    for read in (Small().listing, lambda options: Small().inventory(tmp_path, options)):
        with pytest.raises(EarshotError, match=f"nsynth-3-fs_train.csv: {message}"):
            read(options)


def test_note_in_two_lists_is_an_error(tmp_path: Path) -> None:
    lines = {split: [*rows] for split, rows in ROWS.items()}
    lines["test"].append(lines["train"][0])
    options = write_lists(tmp_path, lines)
    with pytest.raises(
        EarshotError, match=r"_test\.csv: line \d+: expected every clip once, found that of line 2 of .*_train"
    ):
        Small().read_lists(options)


def test_lists_and_vocabulary_must_match(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta", {**ROWS, "test": ROWS["test"][1:]})
    with pytest.raises(EarshotError, match=r"fs_test.csv: expected rows of every class, found none of 'flute_002'"):
        Small().listing(options)
    options = write_lists(tmp_path / "meta", {**ROWS, "train": ROWS["train"][:1], "test": ROWS["test"][1:]})
    every = r"fs_train.csv: .*, found none of '\w+', '\w+'; .*fs_test.csv: .*, found none of 'flute_002'; use the"
    with pytest.raises(EarshotError, match=every):
        Small().listing(options)
    (tmp_path / "meta/nsynth-3-fs_vocab.json").write_text('["organ_000"]')
    with pytest.raises(EarshotError, match=r"fs_vocab.json: expected the 3 classes of nsynth3, found 1"):
        Small().listing(options)
    (tmp_path / "meta/nsynth-3-fs_vocab.json").unlink()
    with pytest.raises(EarshotError, match=r"fs_vocab.json: expected a file, found none"):
        Small().listing(options)


def test_identity_depends_on_the_content_of_the_lists_not_their_path(tmp_path: Path) -> None:
    first = Small().identity(write_lists(tmp_path / "meta"))
    assert Small().identity(write_lists(tmp_path / "moved")) == first
    assert Small().identity(write_lists(tmp_path / "other", {**ROWS, "val": ROWS["val"][:1]})) != first
    assert str(tmp_path) not in json.dumps(first)
