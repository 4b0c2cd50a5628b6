"""The table corpus: columns, labels, splits, groups and parts, and tables with mistakes."""

import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from datasets.benchmark.clips import Clip
from datasets.corpora.corpus import Plan
from datasets.corpora.folder import Folder, FolderOptions
from datasets.corpora.inventory import Rejection
from datasets.corpora.table import TableCorpus
from datasets.corpora.table_options import TableOptions
from datasets.utils.errors import EarshotError

RATE = 16000
CORPUS = TableCorpus()


def record(path: Path, seconds: float = 0.1, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)), RATE, subtype="PCM_16")


def options_of(**options: Any) -> TableOptions:
    return TableOptions.model_validate({"clip_seconds": 0.1, **options})


def plan_of(root: Path, **options: Any) -> Plan:
    made = options_of(**options)
    return CORPUS.plan(root, CORPUS.inventory(root, made), made)


def doubts_of(root: Path, **options: Any) -> str:
    made = options_of(**options)
    return "; ".join(CORPUS.doubts(root, CORPUS.inventory(root, made), made))


def items_of(root: Path, **options: Any) -> list[Clip | Rejection]:
    made = options_of(**options)
    inventory = CORPUS.inventory(root, made)
    made = CORPUS.resolve(root, inventory, made)
    return [item for unit in CORPUS.plan(root, inventory, made).units for item in CORPUS.cut(root, unit, made)]


def clips_of(root: Path, **options: Any) -> list[Clip]:
    return [item for item in items_of(root, **options) if isinstance(item, Clip)]


def write_table(root: Path, *lines: str, name: str = "meta.csv") -> None:
    (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def two_classes(root: Path, *extra: str, header: str = "file,label") -> None:
    """Five recordings of each of two classes in `audio`, and a table with additional rows, from line 12 on."""
    lines = [header]
    for number in range(10):
        record(root / f"audio/{number}.wav", seed=number)
        lines.append(f"{number}.wav,{'dog' if number % 2 else 'rain'}")
    write_table(root, *lines, *extra)


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


def test_spaces_and_spellings_are_reported(tmp_path: Path) -> None:
    two_classes(tmp_path, "10.wav,Dog ", "11.wav,dog")
    for number in (10, 11):
        record(tmp_path / f"audio/{number}.wav")
    assert doubts_of(tmp_path) == (
        "labels that look like spellings of one class: 'dog' (6, first in meta.csv: line 3), 'Dog' (1, first in "
        "meta.csv: line 12); correct the table"
    )
    plan = plan_of(tmp_path, min_files=2)
    assert plan.warnings[0] == f"spaces around 1 label removed, such as 'Dog ' ({tmp_path}/meta.csv: line 12)"


@pytest.mark.parametrize(
    ("labels", "doubt"),
    [
        (("cat", "Cat "), "spellings of one class: 'cat' (3, first in meta.csv: line 12), 'Cat' (3, first in meta"),
        (("caf\u00e9", "cafe\u0301"), "like spellings of one class: 'caf\u00e9' (3, first in meta.csv: line 12), '"),
        (("cat", "cat\u200b"), "spellings of one class: 'cat' (3, first in meta.csv: line 12), 'cat"),
        (("cat", "N/A"), "column label: a label that looks like a missing value, 'N/A' (3, first in meta.csv: line"),
        (("cat", "none"), "column label: a label that looks like a missing value, 'none' (3, first in meta.csv: line"),
    ],
)  # fmt: skip
def test_labels_that_are_probably_mistakes_are_doubts(labels: tuple[str, str], doubt: str, tmp_path: Path) -> None:
    two_classes(tmp_path, *(f"{10 + number}.wav,{labels[number % 2]}" for number in range(6)))
    for number in range(10, 16):
        record(tmp_path / f"audio/{number}.wav")
    assert doubt in doubts_of(tmp_path)


def test_a_single_class_is_a_doubt(tmp_path: Path) -> None:
    two_classes(tmp_path)
    write_table(tmp_path, "file,label", *(f"{number},dog" for number in range(10)))
    assert doubts_of(tmp_path) == (
        "column label: 'dog' (10, first in meta.csv: line 2) is the only class; check which column is the class"
    )


def test_missing_values_are_no_group_and_no_fold(tmp_path: Path) -> None:
    for number in range(12):
        record(tmp_path / f"{number}.wav")
    rows = [f"{n},{'ab'[n % 2]},{'nan' if n < 2 else n // 4},{1 + n // 4}" for n in range(12)]
    write_table(tmp_path, "file,label,speaker,fold", *rows)
    plan = plan_of(tmp_path, fold_column="none", group_column="speaker")
    warning = "column speaker has no group in 2 rows, such as meta.csv: line 2: each of these recordings is a group by"
    assert plan.warnings[0].startswith(warning) and plan.notes[1][1].startswith("5 by column speaker")
    for cell, advice in (("NaN", "fix the table"), ("3x", "fix it, or give --test-folds")):
        write_table(tmp_path, "file,label,speaker,fold", *rows[:-1], f"11,b,2,{cell}")
        with pytest.raises(EarshotError, match=rf"line 13: column fold: expected the number of a fold.*; {advice}$"):
            plan_of(tmp_path, group_column="none")


def test_one_group_for_all_is_named(tmp_path: Path) -> None:
    for number in range(8):
        record(tmp_path / f"{number}.wav")
    write_table(tmp_path, "file,label,speaker", *(f"{n},{'ab'[n % 2]},x" for n in range(8)))
    assert plan_of(tmp_path).warnings == ("column speaker looks like groups, but has only one: not used",)
    assert plan_of(tmp_path, group_column="none").warnings == ()


def test_tables_that_name_no_recording_of_the_source(tmp_path: Path) -> None:
    two_classes(tmp_path)
    write_table(tmp_path, "file,label", *(f"{tmp_path}/audio/{n}.wav,{'ab'[n % 2]}" for n in range(10)))
    with pytest.raises(EarshotError, match=r"meta.csv: line 2: column file: expected a path inside the source folder"):
        plan_of(tmp_path)
    write_table(tmp_path, "file,label")
    with pytest.raises(EarshotError, match=r"meta.csv: expected rows below the header, found none; check --csv$"):
        plan_of(tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_files_in_another_unicode_form_are_found(form: Literal["NFC", "NFD"], tmp_path: Path) -> None:
    two_classes(tmp_path, "caf\u00e9.wav,dog", "nai\u0308f,rain")
    for name in ("caf\u00e9", "na\u00eff"):
        record(tmp_path / f"audio/{unicodedata.normalize(form, name)}.wav")
    plan = plan_of(tmp_path)
    assert plan.files == 12 and plan.rejected == ()


def test_long_names_of_missing_recordings_are_shortened(tmp_path: Path) -> None:
    two_classes(tmp_path, *(f"{'x' * 9999}{number},dog" for number in range(3000)))
    plan = plan_of(tmp_path)
    assert len(plan.rejected) == 3000 and max(len(rejection.file) for rejection in plan.rejected) <= 303


def test_rows_that_cannot_be_used_are_rejected_with_their_line(tmp_path: Path) -> None:
    two_classes(tmp_path, "10.wav,dog", "11.wav,", "12.wav,NaN", "1.wav,dog", "empty.wav,dog")
    for number in (11, 12):
        record(tmp_path / f"audio/{number}.wav")
    (tmp_path / "audio/empty.wav").touch()
    plan = plan_of(tmp_path)
    assert plan.rejected == (
        Rejection("10.wav", "not found (meta.csv: line 12: column file)"),
        Rejection("audio/11.wav", "no label in column label (meta.csv: line 13)"),
        Rejection("audio/12.wav", "no label in column label (meta.csv: line 14)"),
        Rejection("audio/empty.wav", "zero bytes (meta.csv: line 16)"),
    )
    assert plan.files == 14 and plan.warnings[0] == "1 row repeats a recording and its label, left out"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("/etc/x.wav,dog", r"line 12: column file: expected a path inside the source folder .* found '/etc/x.wav'"),
        ("../x.wav,dog", r"line 12: column file: expected a path inside the source folder .* found '\.\./x.wav'"),
        ("C:\\x.wav,dog", r"line 12: column file: expected a path inside the source folder .* found 'C:"),
        (",dog", r"line 12: column file: expected a path inside the source folder \(not empty, "),
        ("2.wav,dog", r"line 4: expected one label of every recording, found 1 with several, such as rain, dog of"),
        ("same.wav,dog", r"column file: expected the name of one recording \(this one is a/same.wav, b/same.wav\)"),
        ("3.wav,dog,x", r"line 12: expected 2 cells as in the header \(file, label\), found 3 \(the first is"),
        (f"3.wav,{'x' * 1001}", r"line 12: column label: expected a label of at most 1000 characters, found 'xxx"),
    ],
)  # fmt: skip
def test_mistakes_in_a_row_are_one_line(row: str, message: str, tmp_path: Path) -> None:
    for name in "ab":
        record(tmp_path / f"{name}/same.wav")
    two_classes(tmp_path, row)
    with pytest.raises(EarshotError, match=rf"^{re.escape(str(tmp_path))}/meta.csv: .*{message}") as caught:
        plan_of(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_column": "lable"}, r"^--label-column lable: expected a column of .* found file, label; .*'label'"),
        ({"csv": ("no.csv",)}, r"no.csv: expected a table, found no file; check --csv$"),
        ({"filter": "label == 'cat'"}, r"^--filter: expected rows of .* that match, found none of 10; check"),
        ({"audio_extension": ".flac"}, r"expected a column that names the recordings, found none of them in file,"),
        ({"file_column": "label", "label_column": "file"},
         r"^--file-column label: expected names of recordings in --source, found 'rain' \("),
        ({"filter": "file in ['0.wav', '2.wav', '1.wav']"}, r"at least two usable rows .* found one of 'dog'; add"),
        ({"min_files": 6}, r"expected rows with a label and a recording, found none"),
        ({"fold_column": "label", "test_folds": "3"}, r"^--test-folds 3: expected folds of column label .* found dog,"),
        ({"fold_column": "label", "test_folds": "dog", "val_folds": "dog"}, r"^--val-folds dog: expected other folds"),
        ({"fold_column": "label", "test_folds": "dog,rain"}, r"expected a fold that is left for training, found none"),
        ({"fold_column": "label"}, r"^--test-folds and --val-folds \(column label of .*/meta.csv\): expected at least "
         r"one train and one test recording of every class, found 5 and 0 of class 'dog', 0 and 5 of class 'rain'; "
         r"give other splits"),
        ({"group_column": "label"}, r"^--group-column label of .*/meta.csv: expected at least one group to train and "
         r"one to test in every class, found only one in dog \(dog\), rain \(rain\); add recordings, leave these "
         r"classes out with --filter, or give another column \(none: split by file\)$"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_the_table(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    two_classes(tmp_path)
    with pytest.raises(EarshotError, match=message) as caught:
        plan_of(tmp_path, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.wav,dog,2,1", r"line 12: column end: expected seconds after the begin, 2, found '1'; fix the table"),
        ("0.wav,dog,-1,1", r"line 12: column start: expected seconds from 0 on, such as 1.25, found '-1'"),
        ("0.wav,dog,1,", r"line 12: column end: expected seconds from 0 on, such as 1.25, found ''"),
        ('0.wav,dog,"0,5",1', r"line 12: column start: expected seconds from 0 on, such as 1.25, found '0,5'"),
    ],
)
def test_times_that_are_none(row: str, message: str, tmp_path: Path) -> None:
    two_classes(tmp_path)
    lines = [f"{line},," for line in (tmp_path / "meta.csv").read_text().splitlines()[1:]]
    write_table(tmp_path, "file,label,start,end", *lines, row)
    with pytest.raises(EarshotError, match=message):
        plan_of(tmp_path, start_column="start", end_column="end")


def test_given_splits_that_divide_groups_are_a_doubt_even_if_these_are_guessed(tmp_path: Path) -> None:
    for number in range(8):
        record(tmp_path / f"{number}.wav")
    rows = [f"{n},{'ab'[n % 2]},{('train', 'test')[n // 4]},{n % 4}" for n in range(8)]
    write_table(tmp_path, "file,label,split,speaker", *rows)
    found = (
        "4 of 4 groups are in several splits, such as 0 (4.wav in test, 0.wav in train), which makes their test clips "
        "easier: give other splits or groups"
    )
    assert doubts_of(tmp_path) == doubts_of(tmp_path, group_column="speaker") == found
    assert "group speaker; guessed" in plan_of(tmp_path).notes[0][1]
    assert doubts_of(tmp_path, group_column="none") == ""


def test_a_column_that_looks_like_groups_but_is_not_used_is_named(tmp_path: Path) -> None:
    for number in range(8):
        record(tmp_path / f"{number}.wav")
    write_table(tmp_path, "file,label,speaker", *(f"{n},{'ab'[n % 2]},{n % 2}" for n in range(8)))
    made = options_of()
    made = CORPUS.resolve(tmp_path, inventory := CORPUS.inventory(tmp_path, made), made)
    warning = "column speaker looks like groups, but leaves classes without train or test recordings: not used"
    assert CORPUS.plan(tmp_path, inventory, made).warnings == plan_of(tmp_path).warnings == (warning,)
    assert plan_of(tmp_path, group_column="none").warnings == plan_of(tmp_path, group_from="none").warnings == ()


@pytest.mark.parametrize(
    ("first", "second", "options", "column"),
    [
        ("train,1,x", "test,1,x", {"split_column": "split"}, "split"),
        ("train,1,x", "train,2,x", {"fold_column": "fold", "test_folds": "2", "val_folds": "none"}, "fold"),
        ("train,1,x", "train,1,y", {"split_column": "none", "group_column": "speaker"}, "speaker"),
    ],
)
def test_rows_of_one_recording_agree(
    first: str, second: str, options: dict[str, Any], column: str, tmp_path: Path
) -> None:
    record(tmp_path / "0.wav")
    write_table(tmp_path, "file,label,split,fold,speaker", f"0,dog,{first}", f"0,dog,{second}")
    with pytest.raises(
        EarshotError, match=rf"line 3: column {column}: expected '.*' as in meta.csv: line 2, which has"
    ):
        plan_of(tmp_path, **options)


def test_parts_of_one_recording_with_several_groups_are_an_error(tmp_path: Path) -> None:
    for number in range(6):
        record(tmp_path / f"{number}.wav", 0.4)
    rows = [f"{number},{start},{start + 0.1},{'ab'[start > 0]},s{number}" for number in range(6) for start in (0, 0.2)]
    write_table(tmp_path, "file,start,end,label,speaker", *rows)
    assert {clip.group for clip in clips_of(tmp_path)} == {f"s{number}" for number in range(6)}
    for cell in ("s9", ""):
        write_table(tmp_path, "file,start,end,label,speaker", *rows, f"2,0.3,0.4,b,{cell}")
        message = (
            r"/meta.csv: line 14: column speaker: expected 's2' as in meta.csv: line 6, which has this recording, "
            rf"too, found '{cell}'; fix the table, or give --group-column none \(the parts of each recording are a "
            r"group\)$"
        )
        with pytest.raises(EarshotError, match=message):
            plan_of(tmp_path)
        assert {clip.group for clip in clips_of(tmp_path, group_column="none")} == {f"{n}.wav" for n in range(6)}


def test_overlapping_parts_with_different_labels_are_a_doubt(tmp_path: Path) -> None:
    for number in range(4):
        record(tmp_path / f"{number}.wav", 2.0)
    rows = [f"{number},{span}" for number in range(4) for span in ("1,1.5,b", "0,1,a", "0.5,0.75,a", "1.5,2,a")]
    write_table(tmp_path, "file,start,end,label", *rows)
    assert doubts_of(tmp_path) == ""
    write_table(tmp_path, "file,start,end,label", *rows, "3,0.9,1,b", "1,0.8,1.1,b")
    assert doubts_of(tmp_path) == (
        "2 recordings with parts that overlap and have different labels, such as 1.wav: 'a' (0 to 1 s, meta.csv: "
        "line 7) and 'b' (0.8 to 1.1 s, meta.csv: line 19); correct the table"
    )
    write_table(tmp_path, "file,start,end,label", *rows, "2,,,b")
    assert "1 recording with" in (found := doubts_of(tmp_path))
    assert "2.wav: 'a' (0 to 1 s, meta.csv: line 11) and 'b' (all of it, meta.csv: line 18)" in found


def test_rates_of_recordings_that_the_table_does_not_use_are_not_announced(tmp_path: Path) -> None:
    two_classes(tmp_path)
    soundfile.write(tmp_path / "other.wav", np.zeros(800), 8000)
    unnamed = "1 recording without a row that is used, left out"
    assert plan_of(tmp_path, sample_rate=16000).warnings == (unnamed,)
    soundfile.write(tmp_path / "audio/3.wav", np.zeros(800), 8000)
    found = plan_of(tmp_path, sample_rate=16000).warnings
    assert found[0] == unnamed and found[1].startswith("1 recording below --sample-rate 16000, such as audio/3.wav at")


@pytest.mark.parametrize(
    "options",
    [
        {"start_column": "a"},
        {"split_column": "a", "fold_column": "b"},
        {"separator": "dot"},
        {"split_values": "1=first"},
        {"label_from": "{a}_{b}"},
    ],
)
def test_invalid_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"both or neither|one of them|one character|such as 1=train|one field that"):
        options_of(**options)


def test_moving_a_table_changes_nothing_and_changing_it_does(tmp_path: Path) -> None:
    two_classes(tmp_path / "a")
    two_classes(tmp_path / "b")

    def identity(root: Path) -> dict[str, Any]:
        made = options_of()
        return CORPUS.identity(CORPUS.resolve(root, CORPUS.inventory(root, made), made))

    assert identity(tmp_path / "a") == identity(tmp_path / "b")
    assert identity(tmp_path / "a").items() >= {("file_column", "file"), ("label_column", "label")}
    with (tmp_path / "b/meta.csv").open("a") as file:
        file.write("0.wav,rain\n")
    assert identity(tmp_path / "a") != identity(tmp_path / "b")
