"""FSC-89: the published lists, and clips cut from small soundscapes."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from datasets.audio.recordings import read_samples
from datasets.audio.samples import Samples
from datasets.benchmark.clips import Clip
from datasets.benchmark.listing import Listing
from datasets.benchmark.protocol import draw_support
from datasets.corpora import fsd_mix_sed, listed_clips
from datasets.corpora.corpus import Plan
from datasets.corpora.fsd_mix_sed import FSC89, FSC89Options
from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError

HEADER = "data_folder,FSD_MIX_SED_filename,start_time,label"
CLASSES = ("Chirp", "Shatter", "Crack")
SPLITS = ("train", "val", "test")
ROWS = {
    "train": [
        "base/train,soundscape_7.wav,1.13,0",
        "base/train,soundscape_10.wav,0.0,0",
        "base/train,soundscape_7.wav,0.57,1",
        "novel_val,soundscape_7.wav,2.0,2",
        "base/train,soundscape_7.wav,0.57,0",  # the same second under two labels
    ],
    "val": ["base/val,soundscape_7.wav,1.1,0"],
    "test": [
        "base/test,soundscape_7.wav,2,1",
        "base/test,soundscape_7.wav,8.2e-1,0",
        "novel_val,soundscape_7.wav,1.5,2",
    ],
}


class Small(FSC89):
    """Two base classes and a novel one."""

    name = "fsc3"
    number_of_classes = 3
    novel_classes = 1


def write_lists(meta: Path, rows: dict[str, list[str]] = ROWS, setup: int = 1) -> FSC89Options:
    meta.mkdir(exist_ok=True)
    for split, lines in rows.items():
        (meta / f"Fsc89-setup{setup}-fsci_{split}.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    (meta / "vocabulary.json").write_text(json.dumps(CLASSES))
    return FSC89Options(meta=meta, vocabulary=meta / "vocabulary.json", setup=setup)


def render(source: Path, path: str, seconds: float = 3, rate: int = 44100) -> np.ndarray:
    (source / path).parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(list(path.encode()))
    samples = np.rint(random.uniform(-0.5, 0.5, round(seconds * rate)) * 32768) / 32768
    soundfile.write(source / path, samples, rate, subtype="PCM_16")
    return samples.astype(np.float32)


def render_all(source: Path) -> dict[str, np.ndarray]:
    names = [line.split(",")[:2] for lines in ROWS.values() for line in lines]
    return {path: render(source, path) for path in {"/".join(name) for name in names}}


def plan_of(source: Path, options: FSC89Options) -> Plan:
    return Small().plan(source, Small().inventory(source, options), options)


def cut_all(source: Path, options: FSC89Options) -> list[Clip | Rejection]:
    return [item for unit in plan_of(source, options).units for item in Small().cut(source, unit, options)]


@pytest.fixture(scope="module")
def published(shared: Path) -> Listing:
    folder = shared / "published/fsc89"
    return FSC89().listing(FSC89Options(meta=folder, vocabulary=folder / "vocabulary.json"))


def test_sizes_of_the_published_lists(shared: Path, published: Listing) -> None:
    table = published.table
    assert list(table.class_names) == json.loads((shared / "published/fsc89/vocabulary.json").read_text())
    assert (published.base_classes, published.clip_seconds, len(table)) == (59, 1.0, 91800)
    counts = Counter(zip(table.labels.tolist(), table.splits.tolist(), strict=True))
    for label in range(89):
        wanted = (800, 200, 200) if label < 59 else (500, 0, 200)
        assert tuple(counts[label, split] for split in SPLITS) == wanted


def test_published_lists_share_soundscapes_but_no_clips_between_splits(published: Listing) -> None:
    soundscapes: dict[str, set[str]] = {split: set() for split in SPLITS}
    for split, source in zip(published.table.splits.tolist(), published.sources, strict=True):
        soundscapes[split].add(source)
    both = soundscapes["test"] & soundscapes["train"]
    assert (len(soundscapes["test"]), len(both)) == (15511, 2643)
    assert {source.split("/")[0] for source in both} == {"novel_val", "novel_test"}
    assert not soundscapes["val"] & (soundscapes["train"] | soundscapes["test"])
    assert len(set(published.contents)) == len(published.contents)


def test_support_draws_select_the_same_rows_as_the_release(shared: Path, published: Listing) -> None:
    table = published.table
    with (shared / "published/fsc89/Fsc89-setup1-fsci_train.csv").open() as file:
        rows = list(csv.DictReader(file))
    for label in (0, 58, 59, 88):
        listed = [row for row in rows if row["label"] == str(label)]
        train = np.flatnonzero((table.labels == label) & (table.splits == "train"))
        for seed in range(3):
            for position in draw_support(len(listed), 5, seed):
                row, place = listed[position], int(train[position])
                source = f"{row['data_folder']}/{row['FSD_MIX_SED_filename']}"
                start = int(np.float64(row["start_time"]) * 44100)
                assert (published.sources[place], published.contents[place]) == (source, f"{source}@{start}")


def test_clips_start_at_the_exact_sample(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    soundscapes = render_all(tmp_path)
    plan = plan_of(tmp_path, options)
    assert (plan.classes, plan.base_classes, plan.sample_rate, plan.num_samples) == (CLASSES, 2, 44100, 44100)
    assert (plan.files, plan.rejected) == (5, ())
    clips = {item.clip_id: item for item in cut_all(tmp_path, options) if isinstance(item, Clip)}
    # in float64 1.13 x 44100 is 49832.99999999999, and 0.57 x 44100 is 25136.999999999996
    starts = {
        "train-000000-base-train-soundscape_7-49832": ("base/train/soundscape_7.wav", 49832, 0),
        "train-000001-base-train-soundscape_10-0": ("base/train/soundscape_10.wav", 0, 0),
        "train-000002-base-train-soundscape_7-25136": ("base/train/soundscape_7.wav", 25136, 1),
        "train-000003-novel_val-soundscape_7-88200": ("novel_val/soundscape_7.wav", 88200, 2),
        "train-000004-base-train-soundscape_7-25136": ("base/train/soundscape_7.wav", 25136, 0),
        "val-000000-base-val-soundscape_7-48510": ("base/val/soundscape_7.wav", 48510, 0),
        "test-000000-base-test-soundscape_7-88200": ("base/test/soundscape_7.wav", 88200, 1),
        "test-000001-base-test-soundscape_7-36162": ("base/test/soundscape_7.wav", 36162, 0),
        "test-000002-novel_val-soundscape_7-66150": ("novel_val/soundscape_7.wav", 66150, 2),
    }
    assert {name: (clip.source, clip.start, clip.label) for name, clip in clips.items()} == starts
    for name, clip in clips.items():
        assert np.array_equal(clip.samples, soundscapes[clip.source][clip.start : clip.start + 44100])
        assert (clip.split, clip.class_name) == (name.split("-")[0], CLASSES[clip.label])
    listing = Small().listing(options)
    assert listing.table.clip_ids == tuple(sorted(clips))
    assert Counter(Counter(listing.contents).values()) == {1: 7, 2: 1}


def test_soundscape_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = write_lists(tmp_path / "meta")
    render_all(tmp_path)
    opened: list[str] = []

    def counted(path: Path, target: int | None) -> tuple[Samples, int]:
        opened.append(path.relative_to(tmp_path).as_posix())
        return read_samples(path, target)

    monkeypatch.setattr(listed_clips, "read_samples", counted)
    assert sum(isinstance(item, Clip) for item in cut_all(tmp_path, options)) == 9
    assert opened == [f"base/{name}.wav" for name in ("test/soundscape_7", "train/soundscape_10")] + [
        f"{name}/soundscape_7.wav" for name in ("base/train", "base/val", "novel_val")
    ]


def test_missing_soundscapes_do_not_change_the_grouping_into_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsd_mix_sed, "SOUNDSCAPES_PER_UNIT", 2)
    options = write_lists(tmp_path / "meta")
    render_all(tmp_path)
    units = plan_of(tmp_path, options).units
    assert [unit.name for unit in units] == ["soundscapes 0 to 1", "soundscapes 2 to 3", "soundscapes 4 to 4"]
    assert units[0].files == ("base/test/soundscape_7.wav", "base/train/soundscape_10.wav")
    assert json.loads(json.dumps(units[1].details)) == units[1].details
    (tmp_path / "base/test/soundscape_7.wav").unlink()
    plan = plan_of(tmp_path, options)
    assert plan.units[0].files == units[0].files[1:] and plan.units[1:] == units[1:]
    assert (plan.files, plan.rejected) == (5, (Rejection("base/test/soundscape_7.wav", "not found"),))


def test_folders_of_the_rendering_script_are_found(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    render_all(tmp_path)
    before = cut_all(tmp_path, options)
    (tmp_path / "novel_val").rename(tmp_path / "val")
    assert not plan_of(tmp_path, options).rejected
    for one, other in zip(before, cut_all(tmp_path, options), strict=True):
        assert isinstance(one, Clip) and isinstance(other, Clip)
        assert one.clip_id == other.clip_id and one.source == other.source
        assert np.array_equal(one.samples, other.samples)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rate": 48000}, "expected 44100 Hz, found 48000 Hz; render it again"),
        ({"seconds": 2.1}, "too short: 92610 samples, the lists need 93932"),  # the other cuts would fit
    ],
)
def test_soundscape_with_wrong_rate_or_length_is_rejected(tmp_path: Path, changes: Any, reason: str) -> None:
    options = write_lists(tmp_path / "meta")
    render_all(tmp_path)
    render(tmp_path, "base/train/soundscape_7.wav", **changes)
    items = cut_all(tmp_path, options)
    rejected = [item for item in items if isinstance(item, Rejection)]
    assert rejected == [Rejection("base/train/soundscape_7.wav", reason)]
    assert len(items) == 7


def test_source_with_wrong_layout_is_an_error(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta")
    with pytest.raises(EarshotError, match=r"expected soundscapes in the folders named by the lists: base/train/"):
        Small().inventory(tmp_path, options)


BAD_LISTS = {
    "label": ("base/train,a.wav,1.0,3", "line 7: label: expected a label from 0 to 2 as in the vocabulary, found '3'"),
    "time": ("base/train,a.wav,-0.1,0", "line 7: start_time: expected seconds from 0 to 86400, found '-0.1'"),
    "folder": ("/etc,a.wav,1.0,0", "line 7: expected a path inside the source folder .* found '/etc/a.wav'"),
    "file": ("base/train,..,1.0,0", "line 7: expected a path inside the source folder .* found 'base/train/..'"),
    "twice": ("base/train,soundscape_7.wav,1.130,0", "line 7: expected every clip once, found that of line 2 again"),
    "cells": ("base/train,a.wav,1.0", "line 7: expected 4 cells, found 3"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_invalid_row_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    options = write_lists(tmp_path / "meta", {**ROWS, "train": [*ROWS["train"], line]})
    with pytest.raises(EarshotError, match=f"Fsc89-setup1-fsci_train.csv: {message}"):
        Small().inventory(tmp_path, options)


def test_setup_is_parsed_from_a_number_or_text(tmp_path: Path) -> None:
    paths = {"meta": tmp_path, "vocabulary": tmp_path / "v.json"}
    assert FSC89Options.model_validate({**paths, "setup": "2"}).setup == 2
    assert FSC89Options.model_validate({**paths, "setup": 1}).setup == 1
    for value in ("3", 0, "", "one", 1.5, [1]):
        with pytest.raises(ValueError, match=r"setup\n.*Input should be 1 or 2"):
            FSC89Options.model_validate({**paths, "setup": value})


def test_second_setup_has_separate_lists(tmp_path: Path) -> None:
    options = write_lists(tmp_path / "meta", {**ROWS, "val": []}, setup=2)
    assert len(Small().listing(options).table) == 8
    with pytest.raises(EarshotError, match=r"Fsc89-setup1-fsci_train.csv: expected a file, found none"):
        Small().listing(options.model_copy(update={"setup": 1}))


def test_identity_depends_on_the_content_of_the_lists_not_their_path(tmp_path: Path) -> None:
    first = Small().identity(write_lists(tmp_path / "meta"))
    assert first == Small().identity(write_lists(tmp_path / "moved"))
    assert first.keys() == FSC89Options.__annotations__.keys() and str(tmp_path) not in json.dumps(first)
    others = [
        write_lists(tmp_path / "rows", {**ROWS, "train": ROWS["train"][::-1]}),
        write_lists(tmp_path / "setup", setup=2),
        write_lists(tmp_path / "names"),
    ]
    (tmp_path / "names/vocabulary.json").write_text('["Chirp", "Crack", "Shatter"]')
    assert all(Small().identity(other) != first for other in others)
