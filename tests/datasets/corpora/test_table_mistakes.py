"""The table corpus with mistakes in labels, rows, groups and options."""

import re
import unicodedata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from tests.support.labelled_tables import (
    CORPUS,
    clips_of,
    doubts_of,
    options_of,
    plan_of,
    record,
    two_classes,
    write_table,
)


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
