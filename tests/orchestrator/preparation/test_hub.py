"""Benchmarks in the libraries of others: `datasets` of Hugging Face and `mlcroissant`, each in a process of its own."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets.benchmark.hub_features import HUB_KEY
from datasets.benchmark.manifest import Manifest
from datasets.benchmark.shard_writer import write_again
from datasets.benchmark.shards import Shards
from datasets.corpora.registry import corpora
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.preparation import split_files
from orchestrator.preparation.units import unit_key, write_unit
from orchestrator.prepare import main
from tests.support.plain_shards import remove_page_checksums
from tests.support.published_layouts import record
from tests.support.registry_packages import install, run_beside
from tests.support.shards_without_ray import write_shards

RATE = 16000
OPTIONS = {"clip_seconds": 0.2, "sample_rate": RATE}
HUGGING_FACE = ["datasets==5.2.0", "dill==0.4.1", "multiprocess==0.70.19"]
MLCROISSANT = ["mlcroissant==1.1.1", "etils==1.15.0", "rdflib==7.6.0", "jsonpath-rw==1.4.0", "ply==3.11"]

READ_FEATURES = """
import json, sys
from datasets import Audio, load_dataset
folder, files, cache = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
direct = load_dataset("parquet", data_files={"train": files[:1], "test": files[1:]}, cache_dir=cache)
found = {"direct": {split: [len(rows), str(rows.features["audio"].sampling_rate), rows.features["label"].names]
                    for split, rows in direct.items()}}
for split in ("train", "val", "test"):
    rows = load_dataset(folder, split, split=split, cache_dir=cache)
    names = [rows.features["label"].int2str(label) for label in rows["label"]]
    found[split] = [sorted(set(rows["split"])), list(rows["clip_id"]), names]
clips = load_dataset(folder, split="clips", cache_dir=cache)
found["clips"] = len(clips)
found["audio"] = clips.cast_column("audio", Audio(decode=False))[0]["audio"]["bytes"][:4].decode()
print(json.dumps(found))
"""

READ_CROISSANT = """
import json, sys
import mlcroissant
described = mlcroissant.Dataset(sys.argv[1])
rows = [{key.split("/")[1]: value.decode(errors="replace") if isinstance(value, bytes) else value
         for key, value in row.items()} for row in described.records("clips")]
print(json.dumps({
    "errors": list(described.metadata.ctx.issues.errors),
    "name": described.metadata.name,
    "clips": [[row["clip_id"], row["split"], row["label"], row["audio"][:4]] for row in rows],
    "classes": [row["classes/name"].decode() if isinstance(row["classes/name"], bytes) else row["classes/name"]
                for row in described.records("classes")],
    "splits": len(list(described.records("splits"))),
}))
"""


def add_class(source: Path, name: str) -> None:
    for number in range(6):
        record(source / name / f"{name[1:]}{number}.wav")


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, in a folder of its own."""
    return install(tmp_path_factory.mktemp("packages"), HUGGING_FACE)


def prepared(root: Path, name: str, *more: str) -> Path:
    """Prepares ROOT/in into a folder that has the shards of all units."""
    command = ["folder", "--source", str(root / "in"), "--out", str(root / name), "--clip-seconds=0.2"]
    assert main([*command, f"--sample-rate={RATE}", *more]) == 0
    return root / name


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    for name in ("<b>|x", "yes"):
        add_class(tmp_path / "in", name)
    write_shards("folder", tmp_path / "in", tmp_path / "out", OPTIONS)
    return prepared(tmp_path, "out")


def features(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata[HUB_KEY.encode()])["info"]["features"] if HUB_KEY.encode() in metadata else {}


def test_hugging_face_reads_audio_classes_and_splits(benchmark: Path, tmp_path: Path, hugging_face: Path) -> None:
    files = [str(path) for path in sorted((benchmark / "shards").iterdir())]
    arguments = (str(benchmark), json.dumps(files), str(tmp_path / "cache"))
    found = json.loads(run_beside(hugging_face, READ_FEATURES, tmp_path, *arguments))
    expected = [6, str(RATE), ["<b>|x", "yes"]]
    assert found["direct"] == {"train": expected, "test": expected}
    table = Shards(benchmark).table
    for split in ("train", "val", "test"):
        of_split = [number for number in range(len(table)) if table.splits[number] == split]
        splits, ids, names = found[split]
        assert splits == [split] and sorted(ids) == [table.clip_ids[number] for number in of_split]
        assert sorted(names) == [table.class_names[table.labels[number]] for number in of_split]
    assert found["clips"] == len(table) == 12 and found["audio"] == "fLaC"


READ_SPLITS = """
import json, sys
from datasets import load_dataset
folder, cache = sys.argv[1:]
files = {split: f"{folder}/splits/{split}-*.parquet" for split in ("train", "test")}
found = {}
for name, rows in (("direct", load_dataset("parquet", data_files=files, cache_dir=cache)),
                   ("card", load_dataset(folder, cache_dir=cache))):
    found[name] = {split: [list(one["clip_id"]), sorted(set(one["split"])), one.features["label"].names,
                           str(one.features["audio"].sampling_rate)] for split, one in rows.items()}
print(json.dumps(found))
"""


def test_files_of_the_splits(
    benchmark: Path, tmp_path: Path, hugging_face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_files, "FILE_BYTES", 20_000)  # several files of a split
    before = Manifest.load(benchmark)
    prepared(tmp_path, "out", "--split-files")  # the benchmark is complete: only these files are written
    assert Manifest.load(benchmark) == before
    names = sorted(path.name for path in (benchmark / "splits").iterdir())
    assert "train-00000-of-00003.parquet" in names and "test-00000-of-00001.parquet" in names
    found = json.loads(run_beside(hugging_face, READ_SPLITS, tmp_path, str(benchmark), str(tmp_path / "cache")))
    shards = Shards(benchmark)
    for hub_name, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        ids, splits, *features = found["card"][hub_name]
        expected = [shards.table.clip_ids[number] for number in shards.select(splits=[split])]
        assert sorted(ids) == expected and splits == [split] and features == [["<b>|x", "yes"], str(RATE)]
    assert found["direct"] == {split: found["card"][split] for split in ("train", "test")}
    times = {path: path.stat().st_mtime_ns for path in (benchmark / "splits").iterdir()}
    prepared(tmp_path, "out", "--split-files")
    assert {path: path.stat().st_mtime_ns for path in (benchmark / "splits").iterdir()} == times
    prepared(tmp_path, "out", "--force")  # may be another benchmark: the files would be out of date
    assert list((benchmark / "splits").iterdir()) == [] and "splits/" not in (benchmark / "README.md").read_text()


def test_only_a_registry_that_does_not_answer_skips_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(pytest.skip.Exception, match=r"needs dill==0\.4\.1 from the package registry: ERROR: "):
        install(tmp_path / "packages", ["dill==0.4.1"])
    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())  # has no packages
    with pytest.raises(pytest.fail.Exception, match=r"needs dill==0\.4\.1 from the package registry: ERROR: No match"):
        install(tmp_path / "packages", ["dill==0.4.1"])


def test_a_damaged_shard_is_named_and_the_files_of_the_splits_stay(
    benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(split_files, "FILE_BYTES", 20_000)
    prepared(tmp_path, "out", "--split-files")
    before = {path.name: path.read_bytes() for path in (benchmark / "splits").iterdir()}
    shard = benchmark / "shards/00001.parquet"
    content = bytearray(intact := shard.read_bytes())
    columns = pq.read_metadata(shard).row_group(0)
    audio = next(c for c in map(columns.column, range(columns.num_columns)) if c.path_in_schema == "audio.bytes")
    content[audio.data_page_offset + audio.total_compressed_size // 2] ^= 1
    shard.write_bytes(content)
    monkeypatch.setattr(split_files, "FILE_BYTES", 1 << 30)  # other names
    command = ["folder", "--source", str(tmp_path / "in"), "--out", str(benchmark), "--clip-seconds=0.2"]
    command += [f"--sample-rate={RATE}", "--split-files"]
    capfd.readouterr()
    assert main(command) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: {shard}: not readable (") and err.count("\n") == 1
    assert err.endswith("; prepare the benchmark again with --force\n")
    assert before.items() <= {path.name: path.read_bytes() for path in (benchmark / "splits").iterdir()}.items()
    shard.write_bytes(b"PAR1" + bytes(len(intact) - 8) + b"PAR1")
    with pytest.raises(EarshotError, match=rf"^{shard}: not readable \(.*--force$"):
        split_files.write_split_files(Location.of(benchmark), Manifest.load(benchmark))
    shard.write_bytes(intact)
    assert main(command) == 0
    names = sorted(path.name for path in (benchmark / "splits").iterdir())
    assert names == [f"{split}-00000-of-00001.parquet" for split in ("test", "train", "validation")]


def test_every_file_of_a_split_has_clips(benchmark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest.load(benchmark)
    for size in (1, 3_000, 7_000, 10_000, 20_000):
        monkeypatch.setattr(split_files, "FILE_BYTES", size)
        split_files.write_split_files(Location.of(benchmark), manifest)
        rows = {path.name: pq.read_metadata(path).num_rows for path in (benchmark / "splits").iterdir()}
        assert min(rows.values()) > 0 and sum(rows.values()) == manifest.clips.total
        of_train = [count for name, count in rows.items() if name.startswith("train-")]
        assert sum(of_train) == manifest.clips.train and max(of_train) - min(of_train) <= 1
        assert split_files.has_split_files(Location.of(benchmark), manifest)


def test_files_of_the_user_are_kept(benchmark: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = [benchmark / "splits" / name for name in ("mine.parquet", "x.aside", "train-00000-of-00009.parquet")]
    (benchmark / "splits").mkdir()
    for path in own:
        pq.write_table(pq.read_table(benchmark / "shards/00000.parquet"), path)
    contents = [path.read_bytes() for path in own]
    croissant = benchmark / "croissant.json"
    made = croissant.read_text()
    prepared(tmp_path, "out", "--split-files")
    prepared(tmp_path, "out", "--force", "--name=other")
    assert [path.read_bytes() for path in own] == contents and len(list((benchmark / "splits").iterdir())) == 3
    assert json.loads(croissant.read_text())["name"] == "other", "not edited, so it is replaced"
    edited = json.loads(made) | {"license": "CC BY 4.0"}
    croissant.write_text(json.dumps(edited))
    own[-1].rename(benchmark / "splits/train-00000-of-00001.parquet")
    capfd.readouterr()
    prepared(tmp_path, "out", "--force")
    assert json.loads(croissant.read_text()) == edited
    assert (
        "warning: croissant.json is not as earshot prepare made it, so it is kept as it is; " in capfd.readouterr().err
    )
    with pytest.raises(EarshotError, match=r"train-00000-of-00001.parquet: expected no file, or one that earshot"):
        split_files.write_split_files(Location.of(benchmark), Manifest.load(benchmark))
    croissant.unlink()
    prepared(tmp_path, "out")
    assert json.loads(croissant.read_text())["distribution"] == edited["distribution"]


def test_mlcroissant_validates_and_reads_the_clips(
    benchmark: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packages = install(tmp_path_factory.mktemp("packages"), MLCROISSANT)
    found = json.loads(run_beside(packages, READ_CROISSANT, tmp_path, str(benchmark / "croissant.json")))
    table = Shards(benchmark).table
    assert found["errors"] == [] and found["name"] == "out"
    assert found["classes"] == ["<b>|x", "yes"] and found["splits"] == 3
    rows = zip(table.clip_ids, table.splits.tolist(), table.labels.tolist(), strict=True)
    assert sorted(found["clips"]) == [[*row, "fLaC"] for row in rows]


def test_cached_shards_get_the_names_of_all_classes_without_being_cut_again(benchmark: Path, tmp_path: Path) -> None:
    before = Manifest.load(benchmark)
    add_class(tmp_path / "in", "zebra")
    write_shards("folder", tmp_path / "in", tmp_path / "more", OPTIONS)
    for entry in before.shards:  # as if this folder had been interrupted before there was a third class
        shutil.copy(benchmark / entry.file, tmp_path / "more" / entry.file)
    after = Manifest.load(prepared(tmp_path, "more"))
    assert after.class_names == ("<b>|x", "yes", "zebra")
    for entry in after.shards:
        found = features(tmp_path / "more" / entry.file)
        assert found["label"] == {"names": ["<b>|x", "yes", "zebra"], "_type": "ClassLabel"}
        assert found["audio"] == {"sampling_rate": RATE, "_type": "Audio"}
    assert [entry.identity for entry in after.shards[:2]] == [entry.identity for entry in before.shards]
    assert after.shards[0].sha256 != before.shards[0].sha256
    Shards(tmp_path / "more").verify()


def test_a_shard_of_the_first_version_is_copied_with_its_identity(benchmark: Path) -> None:
    labels, ids = Shards(benchmark).table.labels.tolist(), Shards(benchmark).table.clip_ids
    old = remove_page_checksums(benchmark)
    assert pq.read_schema(benchmark / "shards/00000.parquet").field("label").type == "int32"
    assert Shards(benchmark).table.labels.tolist() == labels and features(benchmark / "shards/00000.parquet") == {}
    places = [Location.of(benchmark / entry.file) for entry in old.shards]
    copied = [write_again(place, RATE, old.class_names) for place in places]
    assert [entry.identity for entry in copied] == [entry.identity for entry in old.shards]
    old.model_copy(update={"shards": tuple(copied)}).save(benchmark)
    shards = Shards(benchmark)
    assert shards.fingerprint == old.fingerprint
    assert (shards.table.labels.tolist(), shards.table.clip_ids) == (labels, ids)
    shards.verify()
    again = [write_again(place, RATE, old.class_names) for place in places]
    assert again == copied


def test_a_copied_shard_has_the_bytes_of_one_that_is_cut(tmp_path: Path) -> None:
    add_class(tmp_path / "in", "a")
    add_class(tmp_path / "in", "b")
    write_shards("folder", tmp_path / "in", tmp_path / "copied", OPTIONS)
    prepared(tmp_path, "copied")
    corpus, options = corpora()["folder"], corpora()["folder"].options_type(**OPTIONS)
    inventory = corpus.inventory(tmp_path / "in", options)
    options = corpus.resolve(tmp_path / "in", inventory, options)
    plan, files = corpus.plan(tmp_path / "in", inventory, options), {file.path: file for file in inventory.files}
    for number, unit in enumerate(plan.units):
        key = unit_key(corpus, corpus.identity(options), unit, [files[path] for path in unit.files])
        place = Location.of(tmp_path / f"cut/{number:05d}.parquet")
        write_unit(corpus, options, tmp_path / "in", unit, key, place, plan.sample_rate, plan.classes)
        assert place.read_bytes() == (tmp_path / f"copied/shards/{number:05d}.parquet").read_bytes()
