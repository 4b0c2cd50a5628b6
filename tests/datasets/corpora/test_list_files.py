"""Tables and vocabularies: valid, invalid and hostile files."""

import csv
import hashlib
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.corpora import list_files
from datasets.corpora.list_files import Row, check_unique, digest, read_rows, read_vocabulary, relative_path
from datasets.utils.errors import EarshotError

COLUMNS = ("file", "start")
ANY_PATH = st.text(st.characters() | st.sampled_from("./\\:\0C~"), max_size=40) | st.lists(
    st.sampled_from(["..", ".", "", "a", "C:", "a\\b", "\\..", "~", "..a", "\ud800"]), max_size=6
).map("/".join)


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def row(**cells: str) -> Row:
    return Row(Path("list.csv"), 7, 5, cells)


def test_rows_are_numbered_from_0_and_lines_from_1(tmp_path: Path) -> None:
    path = table(tmp_path, 'start,other,file\n1.5,,a.wav\n\n 2 ,"x, ""y""",Ünï ♫.wav\n')
    first, second = read_rows(path, COLUMNS)
    assert (first.number, first.line, dict(first.cells)) == (0, 2, {"start": "1.5", "other": "", "file": "a.wav"})
    assert (second.number, second.line) == (1, 4)
    assert second.cells == {"start": " 2 ", "other": 'x, "y"', "file": "Ünï ♫.wav"}


@pytest.mark.parametrize("content", ["file,start\r\na,1\r\n", "\ufefffile,start\na,1", "file,start\ra,1\r"])
def test_all_line_ends_and_a_byte_order_mark_are_accepted(tmp_path: Path, content: str) -> None:
    assert [dict(row.cells) for row in read_rows(table(tmp_path, content), COLUMNS)] == [{"file": "a", "start": "1"}]


BAD_TABLES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "expected the columns file, start, found an empty file"),
    "no such column": ("file,begin\na,1\n", "expected the columns file, start, found 'file,begin'"),
    "wrong separator": ("file\tstart\na\t1\n", r"expected the columns file, start, found 'file\\tstart'"),
    "column twice": ("file,start,start\na,1,2\n", "expected every column once, found 'file,start,start'"),
    "too few cells": ("file,start\na,1\nb\n", "line 3: expected 2 cells, found 1"),
    "too many cells": ("file,start\na,1,2\n", "line 2: expected 2 cells, found 3"),
    "empty cell": ("file,start\na,1\n,2\n", "line 3: file: expected a value, found ''"),
    "blank cell": ("file,start\na,  \n", "line 2: start: expected a value, found '  '"),
    "NUL": ("file,start\na\0b,1\n", r"line 2: expected text, found the control character '\\x00'"),
    "escape": ("file,start\n\x1b[31m,1\n", r"line 2: expected text, found the control character '\\x1b'"),
    "not UTF-8": (b"file,start\n\xff\xfe,1\n", r"line 2: expected UTF-8, found something else \(byte 11\)"),
    "UTF-16": ("file,start\na,1\n".encode("utf-16"), r"line 1: expected UTF-8, found something else \(byte 0\)"),
    "open quote": ('file,start\n"a,1\nb,2\n', "line 2: expected CSV, found something else"),
    "text after quote": ('file,start\n"a"b,1\n', "line 2: expected CSV, found something else"),
    "long line": (f"file,start\n{'a' * 200_000},1\n", "line 2: expected at most 65536 characters, found 200002"),
}


@pytest.mark.parametrize(("content", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_error_for_an_invalid_table_names_the_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(EarshotError, match=f"list.csv: {message}.*; fix the file or download it again") as caught:
        list(read_rows(table(tmp_path, content), COLUMNS))
    assert str(caught.value).isprintable()


def test_size_limits_of_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path, "file,start\n" + "a,1\n" * 4)
    monkeypatch.setattr(list_files, "MAX_ROWS", 3)
    rows = read_rows(path, COLUMNS)
    assert [next(rows).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(EarshotError, match="line 5: expected at most 3 rows, found more"):
        next(rows)
    monkeypatch.setattr(list_files, "MAX_BYTES", 26)
    with pytest.raises(EarshotError, match=r"list.csv: expected at most 26 bytes, found more"):
        next(read_rows(path, COLUMNS))


def test_cell_of_maximum_length_is_read(tmp_path: Path) -> None:
    assert csv.field_size_limit() > list_files.MAX_LINE
    text = "a" * (list_files.MAX_LINE - 2)
    assert next(read_rows(table(tmp_path, f"file,start\n{text},1\n"), COLUMNS)).cells["file"] == text


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in {
        tmp_path / "absent.csv": "absent.csv: expected a file, found none",
        tmp_path / "pipe/in.csv": "in.csv: expected a file, found none",
        tmp_path: "expected a file, found something else",
        tmp_path / "pipe": "pipe: expected a file, found something else",
        tmp_path / "nul\0.csv": r"nul\\x00.csv: cannot be read",
        tmp_path / ("a" * 300): "cannot be read .File name too long",
    }.items():
        for reader in (lambda path: list(read_rows(path, COLUMNS)), read_vocabulary, lambda path: digest([path])):
            with pytest.raises(EarshotError, match=message) as caught:
                reader(path)
            assert str(caught.value).isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text('file,start\n\r"\0 .1é', max_size=60).map(lambda text: text.encode()))
def test_any_content_gives_complete_rows_or_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    path = table(tmp_path, content)
    for text in (content, b"file,start\n" + content):
        path.write_bytes(text)
        try:
            for parsed in read_rows(path, COLUMNS):
                assert all(parsed.cells[column].strip() for column in COLUMNS)
        except EarshotError as error:
            assert str(error).isprintable()
    path.write_bytes(content)
    try:
        assert len(set(read_vocabulary(path))) >= 1
    except EarshotError as error:
        assert str(error).isprintable()


@given(ANY_PATH)
def test_path_stays_inside_the_folder_or_is_rejected(text: str) -> None:
    root = Path("/data/source")
    try:
        checked = relative_path(text, row(file=text))
    except EarshotError as error:
        assert str(error).isprintable()
    else:
        assert Path(os.path.realpath(root / checked)).is_relative_to(root)
        assert (
            checked == text and Path(os.path.realpath(root / checked)) == root / checked
        )  # the path is in normal form


@pytest.mark.parametrize("path", ["a.wav", "base/train/soundscape_1.wav", "..a/b..", "a b/~/ü:1.wav", ".hidden/x"])
def test_ordinary_paths_are_allowed(path: str) -> None:
    assert relative_path(path, row(file=path)) == path


OUTSIDE = ["", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", "a//b", "a/", "./a", "a/.", "C:/a", "a/C:"]
INVALID_NAMES = ["a\\b", "..\\a", "\\\\host\\a", "a\0", "a\n", "a/\x7f", "\ud800"]


@pytest.mark.parametrize("path", [*OUTSIDE, *INVALID_NAMES])
def test_paths_outside_the_folder_are_rejected(path: str) -> None:
    with pytest.raises(EarshotError, match=r"list.csv: line 7: expected a path inside the source folder"):
        relative_path(path, row(file=path))


@pytest.mark.parametrize(("text", "label"), [("0", 0), ("88", 88), ("007", 7)])
def test_labels(text: str, label: int) -> None:
    assert row(label=text).label("label", 89) == label


@pytest.mark.parametrize("text", ["89", "-1", "1.0", "+1", " 1", "1_0", "٣", "", "one", "9" * 30])
def test_invalid_labels_are_rejected(text: str) -> None:
    with pytest.raises(EarshotError, match="line 7: label: expected a label from 0 to 88 as in the vocabulary, found"):
        row(label=text).label("label", 89)


@given(st.floats(0, 86400))
def test_seconds_are_parsed_as_the_nearest_float(value: float) -> None:
    assert row(start=repr(value)).seconds("start") == value
    assert math.isclose(row(start=f"{value:.2f}").seconds("start"), value, abs_tol=0.00501)


@pytest.mark.parametrize(
    "text", ["-0.01", "nan", "inf", "-inf", "1e999", "86401", "", "1,5", "1_0", "0x10", "1.2.3", "٣"]
)
def test_invalid_seconds_are_rejected(text: str) -> None:
    with pytest.raises(EarshotError, match="line 7: start: expected seconds from 0 to 86400, found"):
        row(start=text).seconds("start")


def test_error_for_duplicates_names_both_lines() -> None:
    lines: dict[object, int] = {}
    check_unique(Row(Path("list.csv"), 3, 1, {}), ("a", 0), lines)
    check_unique(Row(Path("list.csv"), 4, 2, {}), ("a", 1), lines)
    with pytest.raises(EarshotError, match=r"list.csv: line 9: expected every clip once, found that of line 3 again"):
        check_unique(Row(Path("list.csv"), 9, 7, {}), ("a", 0), lines)


@pytest.mark.parametrize("content", [["b", "a"], {"a": 1, "b": 0}])
def test_vocabulary_is_a_list_or_an_object(tmp_path: Path, content: object) -> None:
    assert read_vocabulary(table(tmp_path, json.dumps(content))) == ("b", "a")


BAD_VOCABULARIES = {
    "not JSON": ("a, b", "expected JSON, found something else"),
    "not UTF-8": (b'["\xff"]', "line 1: expected UTF-8"),
    "deep": ("[" * 100_000, "expected JSON, found something else"),
    "huge number": (f'{{"a": {"9" * 5000}}}', "expected JSON, found something else"),
    "a text": ('"a"', "expected a list of class names, or an object of labels by name"),
    "nothing": ("[]", "expected a list of class names, or an object of labels by name"),
    "no labels": ("{}", "expected a list of class names, or an object of labels by name"),
    "a number": ("[1]", "expected a class name, found '1'"),
    "a list": ("[[]]", "expected a class name, found 'list'"),
    "no name": ('["a", " "]', "expected a class name, found ' '"),
    "a line end": ('["a\\nb"]', r"expected a class name, found 'a\\nb'"),
    "half a surrogate pair": ('["\\ud800"]', "expected a class name, found "),
    "name twice": ('["a", "b", "a"]', "expected every class once, found 'a' twice"),
    "key twice": ('{"a": 0, "a": 1}', "expected every class once, found 'a' twice"),
    "a hole": ('{"a": 0, "b": 2}', "label of 'b': expected the labels 0 to 1, each once, found '2'"),
    "label twice": ('{"a": 0, "b": 0}', "label of 'b': expected the labels 0 to 1, each once, found '0'"),
    "negative": ('{"a": -1}', "label of 'a': expected the labels 0 to 0, each once, found '-1'"),
    "a truth": ('{"a": 0, "b": true}', "label of 'b': .* found 'True'"),
    "a fraction": ('{"a": 0.0}', "label of 'a': .* found '0.0'"),
    "not a number": ('{"a": NaN}', "label of 'a': .* found 'nan'"),
    "an object": ('{"a": {}}', "label of 'a': .* found 'tuple'"),
}


@pytest.mark.parametrize(("content", "message"), BAD_VOCABULARIES.values(), ids=BAD_VOCABULARIES)
def test_invalid_vocabulary_is_an_error(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(EarshotError, match=f"list.csv: {message}") as caught:
        read_vocabulary(table(tmp_path, content))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_digest_is_that_of_the_concatenated_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc\n")
    two.write_bytes(b"\xff\0")
    assert digest([one]) == hashlib.sha256(b"abc\n").hexdigest()
    assert digest([one, two]) == hashlib.sha256(b"abc\n\xff\0").hexdigest() != digest([two, one])
