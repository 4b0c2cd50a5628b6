import json
from pathlib import Path
from typing import Any

import pytest

from datasets.benchmark.manifest import ClassEntry, FileIdentity, Manifest, ShardEntry, SourceEntry, SplitCounts
from datasets.utils.errors import EarshotError


def make(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "name": "n",
        "corpus": "c",
        "settings": {"a": 1},
        "sample_rate": 16000,
        "num_samples": 32000,
        "classes": (
            ClassEntry(label=0, name="x", clips=SplitCounts(train=2, val=1, test=1)),
            ClassEntry(label=1, name="<b>ÿ", clips=SplitCounts(train=1, val=0, test=1)),
        ),
        "shards": (
            ShardEntry(file="shards/00000.parquet", clips=4, bytes=10, sha256="a" * 64),
            ShardEntry(file="shards/00001.parquet", clips=2, bytes=10, sha256="b" * 64),
        ),
        "source": SourceEntry(fingerprint="f", files=3, rejected=0),
        "versions": {"python": "3.11"},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Manifest(**{**fields, **changes})


def test_a_manifest_is_saved_and_loaded(tmp_path: Path) -> None:
    manifest = make()
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
    assert manifest.class_names == ("x", "<b>ÿ")
    assert manifest.clips == SplitCounts(train=3, val=1, test=2)


def test_an_absent_manifest_means_an_incomplete_benchmark(tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match=r"manifest\.json: not found; expected a complete benchmark"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version: expected at most 1, found 2"),
        ({"surprise": 1}, "surprise: Extra inputs"),
        ({"sample_rate": 0}, "sample_rate: Input should be greater than 0"),
        ({"classes": []}, "do not add up"),
    ],
)
def test_an_invalid_manifest_is_an_error_of_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {**make().model_dump(mode="json"), **change}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(EarshotError, match=message) as caught:
        Manifest.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\0\0"])
def test_a_file_that_is_no_json_object_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(EarshotError):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    "file", ["../00000.parquet", "shards/../x/00000.parquet", "/etc/00000.parquet", "shards/1.parquet",
             "shards/00000.parquet\n", "shards/\u0660\u0660\u0660\u0660\u0660.parquet"],
)  # fmt: skip
def test_shards_outside_of_the_benchmark_are_rejected(file: str) -> None:
    with pytest.raises(ValueError, match="expected shards/NNNNN"):
        ShardEntry(file=file, clips=1, bytes=1, sha256="a" * 64)


def test_the_fingerprint_depends_on_the_content_only() -> None:
    manifest = make()
    same = make(name="other", corpus="other", settings={}, versions={}, created="later", base_classes=1)
    assert same.fingerprint == manifest.fingerprint
    shards = (manifest.shards[0], manifest.shards[1].model_copy(update={"sha256": "c" * 64}))
    renamed = (manifest.classes[0], manifest.classes[1].model_copy(update={"name": "y"}))
    others = [make(shards=shards), make(classes=renamed), make(sample_rate=8000), make(num_samples=1)]
    assert len({manifest.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_the_fingerprint_of_an_earlier_release_is_unchanged() -> None:
    """Stages in a store are found by it."""
    assert make().fingerprint == "2276d8add74ebb5feb8a62955bc7bb98b37de8c24bdc07863832d75949d54db6"
    plain = FileIdentity(bytes=10, sha256="b" * 64)
    with_checksums = ShardEntry(file="shards/00001.parquet", clips=2, bytes=14, sha256="d" * 64, plain=plain)
    assert make(shards=(make().shards[0], with_checksums)).fingerprint == make().fingerprint


def test_a_manifest_without_page_checksums_is_read(tmp_path: Path) -> None:
    """As written before `plain` was introduced."""
    manifest = make()
    content = manifest.model_dump(mode="json")
    for entry in content["shards"]:
        del entry["plain"]
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    assert Manifest.load(tmp_path) == manifest
    assert [entry.page_checksums for entry in manifest.shards] == [False, False]
