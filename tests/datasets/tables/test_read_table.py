"""Tables of any format: what is read, and the error for what is none."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.tables import read_table as module
from datasets.tables.read_table import read_table
from datasets.tables.table import Table, joined
from datasets.utils.errors import EarshotError

ROWS = {"file": ["a.wav", "b, c.wav"], "label": ["dog", "Vögel"]}


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("x.csv", 'file,label\na.wav,dog\n"b, c.wav",Vögel\n'.encode(), {}),
        ("bom-crlf.csv", '\ufefffile;label\r\na.wav;dog\r\n\r\n"b, c.wav";Vögel\r\n'.encode(), {}),
        ("x.tsv", "file\tlabel\na.wav\tdog\nb, c.wav\tVögel".encode(), {}),
        ("pipes.txt", "file|label\na.wav|dog\nb, c.wav|Vögel\n".encode(), {}),
        ("latin.csv", 'file,label\na.wav,dog\n"b, c.wav",Vögel\n'.encode("latin-1"), {"encoding": "latin-1"}),
        ("excel.csv", "file\tlabel\na.wav\tdog\nb, c.wav\tVögel\n".encode("utf-16"), {}),
        ("bare.txt", 'a.wav dog\n"b, c.wav" Vögel\n'.encode(), {"separator": " ", "columns": ("file", "label")}),
        ("x.jsonl", '{"file": "a.wav", "label": "dog"}\n{"label": "Vögel", "file": "b, c.wav"}\n'.encode(), {}),
    ],
)
def test_every_format_gives_the_same_rows(name: str, content: bytes, options: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_table(tmp_path / name, **options).columns == ROWS  # type: ignore[arg-type]


def test_typed_values_are_text(tmp_path: Path) -> None:
    values = {"n": [1.0, None], "b": [True, False], "x": [0.25, float("nan")], "l": [["a", "b"], ["c"]]}
    pq.write_table(pa.table(values), tmp_path / "x.parquet")
    rows = [{key: None if cells[row] != cells[row] else cells[row] for key, cells in values.items()} for row in (0, 1)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    expected = {"n": ["1", ""], "b": ["True", "False"], "x": ["0.25", ""], "l": ["a\x1fb", "c"]}
    table = read_table(tmp_path / "x.parquet")
    assert table.columns == expected == read_table(tmp_path / "x.jsonl").columns
    assert table.places == [f"{tmp_path}/x.parquet: row 1", f"{tmp_path}/x.parquet: row 2"]


def test_places_are_lines_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('a,b\n1,"two\nlines"\n\n3,4\n')
    assert [place.rpartition(": ")[2] for place in read_table(tmp_path / "x.csv").places] == ["line 2", "line 5"]


def _parquet(values: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": values}), file, use_dictionary=False, write_statistics=False)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"a,b\n1,2\n1,2,3\n", r"line 3: expected 2 cells as in the header \(a, b\), found 3 \(the first is"),
        ("x.csv", b"a,a\n", r"expected every column once, found 'a' twice"),
        ("x.csv", b"\n\n", r"expected a header and rows, found an empty file"),
        ("x.csv", b'a,b\n1,"2\n', r"line 2: expected CSV, found something else"),
        ("x.csv", b"a,b\n1,\xe9\n", r"line 2: expected text in utf-8, found byte 0xe9; .* --encoding latin-1$"),
        ("x.jsonl", b'{"a": 1}\n[1]\n', r"line 2: expected a JSON object \(one row in each line\), found '\[1\]'"),
        ("x.jsonl", b'{"a": {"b": 1}}\n', r"line 1: column a: expected text or a number"),
        ("x.jsonl", b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}\n", r"line 1: column a: expected text or a number"),
        ("x.jsonl", b'{"a": "\\ud800"}\n', r"line 1: column a: expected text, found '.*ud800'; fix the table"),
        ("x.jsonl", b'{"\\ud800": 1}\n', r"line 1: column .*ud800: expected text, found"),
        ("x.parquet", b"PAR1 no", r"expected Parquet, found something else"),
        ("x.parquet", _parquet(pa.array([1 << 62], pa.timestamp("ms"))), r"expected Parquet, found something else"),
        ("x.parquet", _parquet(pa.array(["sound"])).replace(b"sound", b"s\xffund"), r"expected Parquet, found"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_an_error_of_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EarshotError, match=message) as caught:
        read_table(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path}/{name}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["punycode", "undefined", "no\0ne", "hex"])
def test_encodings_that_are_none_are_an_error_of_one_line(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("file,label\na,Vögel\n".encode())
    with pytest.raises(EarshotError, match=r"expected (text in|an encoding that) .*such as (--encoding )?latin-1$"):
        read_table(tmp_path / "x.csv", encoding=encoding)


def test_missing_tables_and_those_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EarshotError, match="expected a table, found no file; check --csv"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(EarshotError, match="found something else than a file"):
        read_table(tmp_path)
    monkeypatch.setattr(module, "MAX_BYTES", 3)
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(EarshotError, match="expected at most 3 bytes, found more"):
        read_table(tmp_path / "x.csv")


def test_joined_tables_have_all_columns() -> None:
    both = joined([Table({"a": ["1"]}, ["x: line 2"], "x"), Table({"b": ["2"], "a": ["3"]}, ["y: line 2"], "y")])
    assert both.columns == {"a": ["1", "3"], "b": ["", "2"]} and both.places == ["x: line 2", "y: line 2"]
    with pytest.raises(EarshotError, match=r"^--label-column labl: expected a column of x, y, found a, b; give one"):
        both.column("labl", "--label-column")
