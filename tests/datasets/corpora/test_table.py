"""The table corpus: columns, labels, splits, groups and parts."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from datasets.benchmark.clips import Clip
from datasets.corpora.folder import Folder, FolderOptions
from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from tests.support.labelled_tables import (
    CORPUS,
    clips_of,
    doubts_of,
    items_of,
    options_of,
    plan_of,
    record,
    two_classes,
    write_table,
)


def test_columns_are_guessed_and_shown(tmp_path: Path) -> None:
    lines = ["filename,fold,target,category,src_file"]
    for number in range(20):
        record(tmp_path / f"audio/1-{number}-A.wav")
        lines.append(f"1-{number}-A.wav,{1 + number % 5},{number % 2},{('dog', 'rain')[number % 2]},{number}")
    (tmp_path / "meta").mkdir()
    write_table(tmp_path / "meta", *lines, name="esc50.csv")
    plan = plan_of(tmp_path)
    assert plan.classes == ("dog", "rain") and plan.files == 20 and plan.rejected == () and plan.warnings == ()
    assert plan.notes == (
        ("columns", "file filename, label category, fold fold (test 5, val 4), group src_file; guessed, to be changed "
         "with --file-column, --label-column, --fold-column, --group-column"),
        ("groups", "20 by column src_file, each in one split"),
    )  # fmt: skip
    clips = clips_of(tmp_path)
    folds = {line.split(",")[0]: line.split(",")[1] for line in lines[1:]}
    of_fold = {"5": "test", "4": "val"}
    assert all(clip.split == of_fold.get(folds[clip.source.split("/")[1]], "train") for clip in clips)
    assert all(clip.group == clip.source.split("-")[1] for clip in clips) and len(clips) == 20
    other = plan_of(tmp_path, label_column="target", test_folds="1", val_folds="none", group_column="none")
    assert other.classes == ("0", "1")
    assert other.notes[0][1].startswith("file filename, label target, fold fold (test 1, val none); guessed")
    splits = Counter(part[0][1] for unit in other.units for part in unit.details["parts"])
    assert splits == {"train": 16, "test": 4}


@pytest.mark.parametrize("corpus", ["philharmonia", "ravdess-16k"])
def test_the_same_recordings_give_the_same_clips_as_folders(corpus: str, shared: Path, tmp_path: Path) -> None:
    """The first recordings of three classes; drawn by file, as `folder` does."""
    source = shared / "corpora" / corpus
    lines = ["path;who"]
    for folder in sorted(path for path in source.iterdir() if path.is_dir())[:3]:
        paths = sorted(path.relative_to(source).as_posix() for path in folder.rglob("*.*"))[:8]
        for path in paths:
            (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "copy" / path).write_bytes((source / path).read_bytes())
        lines += [f"{path};{folder.name}" for path in reversed(paths)]
    write_table(tmp_path, *lines, name="list.csv")
    root = tmp_path / "copy"
    same: dict[str, Any] = {"clip_seconds": 0.5, "max_clips_per_file": 2, "clips": "random", "sample_rate": 16000}
    made = FolderOptions.model_validate(same)
    folder_plan = Folder().plan(root, Folder().inventory(root, made), made)
    expected = [clip for unit in folder_plan.units for clip in Folder().cut(root, unit, made)]
    found = clips_of(root, **same, csv=(tmp_path / "list.csv",), label_column="who")
    assert len(found) == len(expected) > 24
    for clip, other in zip(found, expected, strict=True):
        assert isinstance(other, Clip) and np.array_equal(clip.samples, other.samples)
        names = ("clip_id", "split", "label", "class_name", "source", "start", "group")
        assert [getattr(clip, name) for name in names] == [getattr(other, name) for name in names]


def test_parts_of_recordings(tmp_path: Path) -> None:
    lines = ["file,begin,end,species"]
    for number in range(6):
        record(tmp_path / f"{number}.wav", 2.0, seed=number)
        lines += [f"{number}.wav,0.5,0.75,wren", f"{number}.wav,1,1.05,robin", f"{number}.wav,1.5,2.05,robin"]
    lines += ["0.wav,1.9,3.5,wren", "1.wav,1.99,2,wren"]
    write_table(tmp_path, *lines)
    items = items_of(tmp_path, min_seconds=0.03)
    clips = [item for item in items if isinstance(item, Clip)]
    assert [item for item in items if isinstance(item, Rejection)] == [
        Rejection("0.wav", "the labelled part ends at 3.5 s, but the recording at 2.000 s (meta.csv: line 20)"),
        Rejection("1.wav", "too short: 0.010 s, at least 0.03 s needed (meta.csv: line 21)"),
    ]
    of_first = [clip for clip in clips if clip.source == "0.wav"]
    assert [(clip.class_name, clip.start) for clip in of_first] == [
        ("wren", 8000), ("wren", 9600), ("robin", 16000), *(("robin", 24000 + 1600 * n) for n in range(5)),
    ]  # fmt: skip
    samples, _ = soundfile.read(tmp_path / "0.wav", dtype="float32")
    assert np.array_equal(of_first[0].samples, samples[8000:9600])
    short = of_first[2].samples  # 0.05 s, padded
    assert np.array_equal(short[:800], samples[16000:16800]) and not short[800:].any()
    assert len({clip.clip_id for clip in clips}) == len(clips) == 48
    splits: dict[str | None, set[str]] = {}
    for clip in clips:
        assert clip.group == clip.source
        splits.setdefault(clip.group, set()).add(clip.split)
    assert all(len(found) == 1 for found in splits.values()), "parts of a recording are in one split"
    by_site = clips_of(tmp_path, min_seconds=0.03, group_from="{site}")
    assert {clip.group for clip in by_site} == {str(number) for number in range(6)}
    whole = plan_of(tmp_path, start_column="none", end_column="none", several_labels="first")
    assert whole.notes[1][1].startswith("none, every file by itself (")


def test_parts_of_a_recording_are_in_one_split_whatever_its_name_says(tmp_path: Path) -> None:
    """The names of `bird` share stems; those of `frog` do not, but some of its parts are in the same recordings."""
    lines = ["file,start,end,label"]
    for number in range(24):
        name = f"{1000 + number // 2}-{'AB'[number % 2]}" if number < 16 else f"pond{chr(97 + number)}x"
        record(tmp_path / f"{name}.wav", 0.4)
        of_both = number % 5 == 0 or number >= 16
        lines += [f"{name}.wav,0,0.1,{'bird' if number < 16 else 'frog'}"]
        lines += [f"{name}.wav,0.2,0.3,frog"] * of_both
    write_table(tmp_path, *lines)
    plan = plan_of(tmp_path, group_from="stem")
    splits: dict[str, set[str]] = {}
    for unit in plan.units:
        for path, rows in zip(unit.files, unit.details["parts"], strict=True):
            splits.setdefault(path, set()).update(split for _, split, *_ in rows)
            assert {group for _, _, group, *_ in rows} == {f"{path[:4]}" if path[0] == "1" else path}
    assert len(splits) == 24 and all(len(found) == 1 for found in splits.values())
    assert plan.notes[1][1].startswith("16 by --group-from stem, or by recording, as it has several labelled parts")


def test_parts_that_differ_by_little_are_all_cut(tmp_path: Path) -> None:
    lines = ["file,start,end,label"]
    for number in range(4):
        record(tmp_path / f"{number}.wav", 1.0, seed=number)
        spans = ("0.5,0.9", "0.5000001,0.9", "0.8,1.0", "0.8,1.05")
        lines += [f"{number}.wav,{span},{'ab'[part % 2]}" for part, span in enumerate(spans)]
    write_table(tmp_path, *lines)
    clips = clips_of(tmp_path)
    assert len({clip.clip_id for clip in clips}) == len(clips) == 4 * (4 + 4 + 2 + 2)


def test_labels_as_numbers_are_in_numerical_order(tmp_path: Path) -> None:
    for number in range(24):
        record(tmp_path / f"r{number}.wav")
    write_table(tmp_path, "file,y", *(f"r{number},{number % 12}.0" for number in range(24)))
    assert plan_of(tmp_path, label_column="y").classes == tuple(map(str, range(12)))
    labels = ("01", "1", "002", "10", "1.0", "01.", "002", "10")
    write_table(tmp_path, "file,y", *(f"r{number},{label}" for number, label in enumerate(labels)))
    assert plan_of(tmp_path, label_column="y").classes == ("01", "1", "002", "10")
    assert "labels that look like spellings of one class: '01' (2, first in meta.csv: line 2), '1' (2," in doubts_of(
        tmp_path, label_column="y"
    )
    write_table(tmp_path, "file,y", *(f"r{number},{('1_0', '10', '1e1')[number % 3]}" for number in range(6)))
    assert plan_of(tmp_path, label_column="y").classes == ("10", "1_0", "1e1")


def test_a_class_from_the_path_is_that_of_the_recording(tmp_path: Path) -> None:
    """The cells name the ends of the paths."""
    for path in ("dog/0", "dog/1", "rain/2", "rain/3", "4"):
        record(tmp_path / f"{path}.wav")
    write_table(tmp_path, "file", *(f"{number}.wav" for number in range(5)))
    plan = plan_of(tmp_path, label_from="1")
    assert plan.classes == ("dog", "rain")
    assert plan.rejected == (Rejection("4.wav", "--label-from 1 gives no class (meta.csv: line 6)"),)


def test_a_link_to_a_table_outside_of_the_source_is_not_read(tmp_path: Path) -> None:
    """A source is untrusted: its links would print any file in an error."""
    source = tmp_path / "in"
    two_classes(source)
    (source / "meta.csv").rename(tmp_path / "meta.csv")
    (source / "t.csv").symlink_to("../meta.csv")
    for csv in ((), ("t.csv",), (source / "t.csv",), ("audio/../t.csv",)):
        with pytest.raises(EarshotError, match=r"t.csv: expected a file of the source folder, found a link that"):
            plan_of(source, csv=csv)
    assert len(plan_of(source, csv=("../meta.csv",)).classes) == 2, "a path of the user may leave it"
    (source / "t.csv").unlink()
    (tmp_path / "meta.csv").rename(source / "table")
    (source / "t.csv").symlink_to("table")
    assert len(plan_of(source).classes) == 2


def test_split_column_with_values_of_its_own_and_several_tables(tmp_path: Path) -> None:
    for number in range(8):
        record(tmp_path / f"wav/id{number % 2}/v{number}/1.wav", seed=number)
    rows = [f"{1 + (number // 2) % 3} id{number % 2}/v{number}/1.wav" for number in range(6)]
    write_table(tmp_path, *rows, name="iden.txt")
    write_table(tmp_path, *(f" id{number % 2}/v{number}/1.wav" for number in (6, 7)), name="more.txt")
    options = {
        "csv": ("iden.txt", "more.txt"), "separator": "space", "header": "split,path", "label_from": "{label}/*/*",
        "split_values": "1=train,2=val,3=test", "split_default": "test", "group_from": "{speaker}/{video}/{take}",
    }  # fmt: skip
    clips = clips_of(tmp_path, **options)
    assert Counter((clip.class_name, clip.split) for clip in clips) == {
        ("id0", "train"): 1, ("id0", "val"): 1, ("id0", "test"): 2,
        ("id1", "train"): 1, ("id1", "val"): 1, ("id1", "test"): 2,
    }  # fmt: skip
    assert {clip.group for clip in clips} == {f"id{number % 2}/v{number}" for number in range(8)}
    with pytest.raises(EarshotError, match=r"iden.txt: line 1: column split: expected train, val or test, found '1'; "):
        plan_of(tmp_path, **{**options, "split_values": "7=train"})
    with pytest.raises(EarshotError, match=r"more.txt: line 1: .* found ''; give --split-default, or draw"):
        plan_of(tmp_path, **{**options, "split_default": None})


def test_several_labels(tmp_path: Path) -> None:
    for number in range(8):
        record(tmp_path / f"{number}.wav")
    rows = ["cat,animal"] * 3 + ["dog,animal"] * 3 + ["dog,animal,cat", "animal"]
    write_table(tmp_path, "fname,labels", *(f'{number},"{row}"' for number, row in enumerate(rows)))
    separator = {"label_separator": ","}
    with pytest.raises(
        EarshotError, match=r"line 2: expected one label of every recording, found 7 with several, such"
    ):
        plan_of(tmp_path, **separator)
    for rule, expected in {
        "first": {"cat": 3, "dog": 4, "animal": 1},
        "last": {"animal": 7, "cat": 1},
        "specific": {"cat": 3, "dog": 3, "animal": 1},
        "skip": {"animal": 1},
    }.items():
        made = options_of(**separator, several_labels=rule)
        made = CORPUS.resolve(tmp_path, inventory := CORPUS.inventory(tmp_path, made), made)
        assert Counter(row.label for row in CORPUS._rows(inventory, made).rows) == expected, rule
    plan = plan_of(tmp_path, **separator, several_labels="specific", min_files=2)
    assert plan.classes == ("cat", "dog") and plan.warnings == (
        "7 recordings with several labels: 6 used with one of them, 1 left out (--several-labels specific)",
        "classes left out by --min-files 2: animal (1)",
        "1 recording without a row that is used, left out",
    )
    write_table(tmp_path, "fname,labels", "0,x|x", "1,x", "2,y", "3,y|y")
    assert plan_of(tmp_path, label_separator="|").classes == ("x", "y"), "the same label twice is one"
    write_table(tmp_path, "fname,labels", "0,cat", "1,dog", '2,"cat,dog"')
    with pytest.raises(
        EarshotError, match=r'line 4: column labels: expected one label, found .* --label-separator ","'
    ):
        plan_of(tmp_path)
