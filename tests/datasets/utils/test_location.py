import pickle
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import is_uri


def test_a_path_and_a_file_uri_are_the_same_place(tmp_path: Path) -> None:
    by_path, by_uri = Location.of(tmp_path / "a b"), Location.of(f"file://{tmp_path}/a%20b")
    by_path.write(b"content")
    assert by_uri.local == tmp_path / "a b" and by_uri.read_bytes() == b"content"
    assert by_uri.size() == 7 and Location.of(tmp_path).files() == ["a b"]
    assert by_uri.address == by_path.address == str(tmp_path / "a b")
    by_uri.remove()
    by_uri.remove()
    assert by_path.size() is None and Location.of(tmp_path).files() == []


def test_a_file_that_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), (Location.of(tmp_path) / "a").atomic_path() as aside:
        aside.write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_has_an_absolute_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = Location.of("data") / "shards/00000.parquet"
    assert str(place) == "data/shards/00000.parquet"
    assert place.address == str(tmp_path / "data/shards/00000.parquet")


def test_secrets_of_a_uri_are_never_shown() -> None:
    address = "s3://key:secret@bucket/a/b?endpoint_override=http://127.0.0.1:1&region=here"
    place = Location.of(address) / "c d"
    assert str(place) == "s3://bucket/a/b/c d" or str(place) == "s3://bucket/a/b/c%20d"
    assert "secret" not in repr(place)
    again = Location.of(place.address)
    assert again.name == "c d" and again.address == place.address
    assert pickle.loads(pickle.dumps(place)).address == place.address


@pytest.mark.parametrize(
    "address",
    [
        "nosuch://bucket/x", "s3://", "s3://bucket/x?nosuch=1", "s3://KEY:SEC RET@bucket/x", "s3://KEY:SEC[RET@bucket/x",
        "foo://KEY:SECRET@bucket/x", "s3://b[/x", "file://elsewhere/x", "file://", "file:///a#b", "file:///a?b=c",
    ],
)  # fmt: skip
def test_a_uri_that_is_not_understood_is_told(address: str) -> None:
    with pytest.raises(EarshotError, match=r"not a URI of pyarrow\.fs") as caught:
        Location.of(address)
    assert "SEC" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_secret_with_a_slash_is_not_shown() -> None:
    with pytest.raises(EarshotError) as caught:
        Location.of("foo://KEY:SE/CRET@bucket/x")
    assert "CRET" not in str(caught.value) and "KEY" not in str(caught.value)


def test_what_is_a_uri() -> None:
    assert is_uri("s3://bucket/x") and is_uri("file:///x")
    assert not is_uri("data/x") and not is_uri(Path("s3://bucket")) and not is_uri("C:x")
    with pytest.raises(EarshotError, match="expected a folder or a URI, found an empty text"):
        Location.of("")
    with pytest.raises(EarshotError, match="NUL"):
        Location.of("a\0b")
