import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, FileIdentity, Manifest, ShardEntry, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import read_entry, write_again, write_shard
from datasets.benchmark.shards import SCHEMA, Shards
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest
from datasets.utils.location import Location
from tests.support.plain_shards import remove_page_checksums

SAMPLES, RATE = 800, 16000


def clip(number: int, label: int, split: str = "train") -> Clip:
    samples = np.random.default_rng(number).uniform(-1, 1, SAMPLES).astype(np.float32)
    return Clip(f"{'ab'[label]}_{number}", split, label, "ab"[label], f"{label}.wav", number * SAMPLES, samples)


def benchmark(root: Path, clips: list[list[Clip]]) -> dict[str, np.ndarray]:
    """Writes a benchmark of two classes; returns the samples by clip id."""
    (root / "shards").mkdir()
    shards = [write_shard(root / f"shards/{i:05d}.parquet", part, RATE) for i, part in enumerate(clips)]
    everything = [item for part in clips for item in part]
    counts = [sum(item.label == label for item in everything) for label in range(2)]
    write_manifest(root, shards, counts)
    return {item.clip_id: item.samples for item in everything}


def write_manifest(root: Path, shards: list[ShardEntry], counts: list[int]) -> None:
    Manifest(
        name="n",
        corpus="c",
        settings={},
        sample_rate=RATE,
        num_samples=SAMPLES,
        classes=tuple(ClassEntry(label=i, name="ab"[i], clips=SplitCounts(train=n)) for i, n in enumerate(counts)),
        shards=tuple(shards),
        source=SourceEntry(fingerprint="f", files=1, rejected=0),
        versions={},
        created="now",
    ).save(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    benchmark(tmp_path, [[clip(i, 0) for i in range(150)], [], [clip(i, 1) for i in range(12)]])
    return tmp_path


def damage(path: Path, offset: int, count: int = 1) -> None:
    """Inverts bytes of a file."""
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = bytes(255 - value for value in content[offset : offset + count])
    path.write_bytes(content)


def test_audio_has_the_order_of_the_positions_across_shards_and_row_groups(tmp_path: Path) -> None:
    samples = benchmark(tmp_path, [[clip(i, 0) for i in range(150)], [], [clip(i, 1) for i in range(12)]])
    shards = Shards(tmp_path)
    assert shards.table.clip_ids == tuple(sorted(samples))
    positions = [161, 0, 149, 63, 64, 65, 0, 155]
    audio = shards.audio(positions)
    expected = np.stack([samples[shards.table.clip_ids[position]] for position in positions])
    assert audio.dtype == np.float32 and audio.shape == (8, SAMPLES)
    assert np.abs(audio - expected).max() <= 0.5001 / 32768
    assert shards.audio([]).shape == (0, SAMPLES)
    with pytest.raises(IndexError):
        shards.audio([162])
    shards.verify()


@pytest.mark.parametrize(
    ("page_checksums", "message"),
    [
        (True, r"00000\.parquet: not readable \(could not verify page integrity, [^)]*\)"),
        (False, r"00000\.parquet: clip 'a_\d+': [^;]*"),
    ],
)
def test_the_table_is_read_without_audio(root: Path, page_checksums: bool, message: str) -> None:
    """Damage in the audio column is not noticed by the table, and is an error in `audio`."""
    if not page_checksums:
        remove_page_checksums(root)
    path = root / "shards/00000.parquet"
    column = pq.ParquetFile(path).metadata.row_group(0).column(8)
    assert column.path_in_schema == "audio.bytes"
    damage(path, column.data_page_offset + column.total_compressed_size // 2 + 500, 400)
    shards = Shards(root)
    assert len(shards.table) == 162
    with pytest.raises(EarshotError, match=f"{message}; prepare the benchmark again with --force$"):
        shards.audio(range(len(shards.table)))
    with pytest.raises(EarshotError, match=r"00000\.parquet: expected SHA-256 \w{64}, found \w{64}"):
        shards.verify()


def test_one_changed_byte_in_any_page_is_detected_when_the_page_is_read(tmp_path: Path) -> None:
    """Other bytes (of headers, of the footer, of columns that are not read) are detected or change nothing."""
    benchmark(tmp_path, [[clip(0, 0), clip(1, 1)]])
    path = tmp_path / "shards/00000.parquet"

    def read() -> list[object]:
        shards = Shards(tmp_path)
        return [*shards.table.clip_ids, *shards.table.splits, *shards.table.labels, *shards.audio([0, 1]).ravel()]

    before, tested, detected = read(), range(0, path.stat().st_size, 7), set()
    for offset in tested:
        damage(path, offset)
        try:
            assert read() == before, offset
        except EarshotError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            assert str(error).endswith("; prepare the benchmark again with --force")
            detected.add(offset)
        damage(path, offset)  # back to the original
    metadata = pq.ParquetFile(path).metadata
    for group in range(metadata.num_row_groups):
        audio = metadata.row_group(group).column(8)
        end = audio.data_page_offset + audio.total_compressed_size
        assert detected >= set(range(end - int(0.9 * audio.total_compressed_size), end)) & set(tested)


def test_page_checksums_do_not_change_the_fingerprint(root: Path) -> None:
    """Stages that were computed from shards without page checksums are those of shards with them."""
    manifest = Manifest.load(root)
    plain = remove_page_checksums(root)
    assert plain.fingerprint == manifest.fingerprint
    for before, now in zip(plain.shards, manifest.shards, strict=True):
        assert now.page_checksums and not before.page_checksums
        assert now.identity == before.identity == FileIdentity(bytes=before.bytes, sha256=before.sha256)
        assert now.sha256 != before.sha256 and now.bytes > before.bytes
    assert len(Shards(root).audio([0, 161])) == 2


def test_the_content_digest_covers_the_clips_and_not_how_they_are_stored(tmp_path: Path) -> None:
    def digest(*shards: list[Clip]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        benchmark(folder, list(shards))
        return Manifest.load(folder).content_digest

    clips = [clip(0, 0), clip(1, 0), clip(2, 1)]
    first = digest(clips)
    assert digest(clips[::-1]) == digest(clips[2:], [], clips[:2]) == first
    elsewhere = [replace(one, source="elsewhere.wav", start=3, group="one") for one in clips]
    assert digest(elsewhere) == first
    assert digest([replace(one, label=np.int64(one.label)) for one in clips]) == first
    others = [
        replace(clips[0], clip_id="a_9"),
        replace(clips[0], split="test"),
        replace(clips[0], label=1, class_name="b"),
        replace(clips[0], samples=clips[0].samples + np.float32(1 / 32768)),
    ]
    assert len({first, *(digest([other, *clips[1:]]) for other in others)}) == 5
    assert digest(clips[1:]) != first


def test_shards_of_earlier_versions_have_a_content_digest_once_copied(root: Path) -> None:
    manifest = Manifest.load(root)
    old = remove_page_checksums(root)
    assert old.content_digest == old.fingerprint
    copied = [write_again(Location.of(root / entry.file), RATE, old.class_names) for entry in old.shards]
    partly = old.model_copy(update={"shards": (*copied[:-1], old.shards[-1])})
    assert partly.content_digest == old.fingerprint
    after = old.model_copy(update={"shards": tuple(copied)})
    assert (after.content_digest, after.fingerprint) == (manifest.content_digest, manifest.fingerprint)


def test_the_entry_of_a_shard_is_read_back(root: Path) -> None:
    def entries(manifest: Manifest) -> list[ShardEntry]:
        return [read_entry(Location.of(root / entry.file), entry.clips) for entry in manifest.shards]

    manifest = Manifest.load(root)
    assert entries(manifest) == list(manifest.shards)
    plain = remove_page_checksums(root)
    assert entries(plain) == list(plain.shards)


def test_local_shards_without_page_checksums_are_verified_by_their_digest(root: Path) -> None:
    path = root / "shards/00000.parquet"
    damage(path, 1000)
    Shards(root).verify_without_page_checksums()
    damage(path, 1000)
    remove_page_checksums(root)
    Shards(root).verify_without_page_checksums()
    damage(path, 1000)
    with pytest.raises(EarshotError, match=r"00000\.parquet: expected SHA-256 .* again with --force"):
        Shards(root).verify_without_page_checksums()


def test_columns_row_groups_and_schema(root: Path) -> None:
    with pq.ParquetFile(root / "shards/00000.parquet") as file:
        assert file.schema_arrow.remove_metadata() == SCHEMA
        assert [file.metadata.row_group(i).num_rows for i in range(3)] == [64, 64, 22]
        compression = {
            file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i).compression
            for i in range(10)
        }
        row = file.read().slice(3, 1).to_pylist()[0]
    assert compression["audio.bytes"] == "UNCOMPRESSED" and compression["clip_id"] == "ZSTD"
    assert row["audio"]["bytes"][:4] == b"fLaC" and row["audio"]["path"] == "a_3.flac"
    assert (row["start"], row["num_samples"], row["sample_rate"]) == (2400, SAMPLES, RATE)


def interleaved(root: Path) -> dict[str, np.ndarray]:
    """One shard in which clips of both classes alternate, as in shards of soundscapes."""
    return benchmark(root, [[clip(i, int(i % 3 == 0)) for i in range(150)]])


def test_a_class_is_read_without_the_bytes_of_another_class(tmp_path: Path) -> None:
    samples = interleaved(tmp_path)
    path = tmp_path / "shards/00000.parquet"
    content = bytearray(path.read_bytes())
    metadata = pq.ParquetFile(path).metadata
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        labels = group.column(2)
        assert labels.path_in_schema == "label" and labels.statistics.min == labels.statistics.max
        if labels.statistics.min == 0:  # erase the audio of class a
            audio = group.column(8)
            content[audio.data_page_offset : audio.data_page_offset + audio.total_compressed_size] = bytes(
                audio.total_compressed_size
            )
    path.write_bytes(content)
    shards = Shards(tmp_path)
    positions = shards.select(labels=[1])
    assert [shards.table.clip_ids[position] for position in positions] == sorted(i for i in samples if i[0] == "b")
    assert len(shards.audio(positions)) == 50
    with pytest.raises(EarshotError):
        shards.audio(shards.select(labels=[0])[:1])


def test_batches_have_the_order_of_the_clip_ids_or_of_the_positions(tmp_path: Path) -> None:
    samples = interleaved(tmp_path)
    shards = Shards(tmp_path)
    batches = list(shards.batches(size=40))
    assert [len(positions) for positions, _ in batches] == [40, 40, 40, 30]
    assert np.concatenate([positions for positions, _ in batches]).tolist() == list(range(150))
    everything = np.concatenate([audio for _, audio in batches])
    expected = np.stack([samples[clip_id] for clip_id in shards.table.clip_ids])
    assert everything.dtype == np.float32 and np.abs(everything - expected).max() <= 1 / 32768
    (positions, audio), *rest = shards.batches([5, 3, 3], size=2)
    assert positions.tolist() == [5, 3] and rest[0][0].tolist() == [3]
    assert np.array_equal(audio, everything[[5, 3]])


def test_sources_starts_selection_and_shards_by_position(root: Path) -> None:
    shards = Shards(root)
    position = shards.table.clip_ids.index("b_7")
    assert (shards.sources[position], shards.starts[position]) == ("1.wav", 7 * SAMPLES)
    assert [len(positions) for positions in shards.positions_by_shard()] == [150, 0, 12]
    assert set(shards.positions_by_shard()[2]) == set(shards.select(labels={1})) == set(range(150, 162))
    assert len(shards.select(splits=["test"])) == 0 and len(shards.select()) == 162


def test_the_cache_and_the_open_files_are_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.benchmark.shards.CACHE_BYTES", (1, 1))
    monkeypatch.setattr("datasets.benchmark.shards.OPEN_FILES", 1)
    shards = Shards(root)
    forwards = np.concatenate([audio for _, audio in shards.batches(size=7)])
    assert np.array_equal(shards.audio(range(len(shards.table))), forwards)
    assert len(shards._cache) == 1 and len(shards._files) == 1


def test_unsafe_clip_ids_give_safe_file_names(tmp_path: Path) -> None:
    odd = Clip("../a b<é>", "train", 0, "a", "s", 0, np.zeros(SAMPLES, np.float32))
    write_shard(tmp_path / "00000.parquet", [odd], RATE)
    row = pq.read_table(tmp_path / "00000.parquet").to_pylist()[0]
    assert row["clip_id"] == "../a b<é>" and row["audio"]["path"] == ".._a_b___.flac"


def test_the_same_clips_give_the_same_bytes(tmp_path: Path) -> None:
    entries = [
        write_shard(tmp_path / f"0000{i}.parquet", [clip(n, 0) for n in range(70)], RATE, {"k": "v"}) for i in range(2)
    ]
    assert entries[0].sha256 == entries[1].sha256 == file_digest(tmp_path / "00000.parquet")
    assert entries[0].plain == entries[1].plain


def test_a_failed_writer_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> object:
        yield from (clip(i, 0) for i in range(70))
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_shard(tmp_path / "00000.parquet", failing(), RATE)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_absent_short_and_foreign_shards_are_errors(root: Path) -> None:
    path = root / "shards/00002.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(EarshotError, match=r"00002\.parquet: expected \d+ bytes, found \d+"):
        Shards(root)
    path.write_bytes(bytes(len(content)))
    with pytest.raises(EarshotError, match=r"00002\.parquet: not readable"):
        _ = Shards(root).table
    path.unlink()
    with pytest.raises(EarshotError, match=r"00002\.parquet: not found"):
        Shards(root)


def test_a_clip_id_must_be_unique(tmp_path: Path) -> None:
    benchmark(tmp_path, [[clip(1, 0)], [clip(1, 0), clip(1, 1)]])
    with pytest.raises(EarshotError, match="clip id 'a_1' occurs twice"):
        _ = Shards(tmp_path).table


def test_a_shard_must_agree_with_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    entry = write_shard(tmp_path / "shards/00000.parquet", [clip(1, 1), clip(2, 1)], RATE)
    write_manifest(tmp_path, [entry], [2])
    with pytest.raises(EarshotError, match="do not agree with the manifest"):
        _ = Shards(tmp_path).table


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["label"]),
        lambda table: table.drop_columns(["audio"]),
        lambda table: table.set_column(2, "label", [["one"] * len(table)]),
        lambda table: table.set_column(6, "start", pa.array([None] * len(table), pa.int64())),
        lambda table: table.set_column(8, "audio", [["text"] * len(table)]),
    ],
    ids=["no label", "no audio", "label as text", "no start", "audio as text"],
)
def test_foreign_parquet_is_one_clear_error(root: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = root / "shards/00002.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    manifest = Manifest.load(root)
    entry = manifest.shards[2].model_copy(update={"bytes": path.stat().st_size})
    manifest.model_copy(update={"shards": (*manifest.shards[:2], entry)}).save(root)
    shards = Shards(root)
    with pytest.raises(EarshotError, match=r"00002\.parquet: not readable"):
        _ = shards.table, shards.starts


clips_to_store = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),  # any text that UTF-8 can hold
        st.sampled_from(["train", "val", "test"]),
        st.integers(0, 1),
        st.integers(0, 2**40),
        st.integers(0, 2**32 - 1),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
)


@given(clips_to_store, st.integers(1, 5))
@settings(max_examples=40)
def test_shards_are_read_as_they_were_written(rows: list[tuple[str, str, int, int, int]], batch_size: int) -> None:
    noise = {row[0]: np.random.default_rng(row[4]).integers(-32768, 32768, SAMPLES) / 32768 for row in rows}
    clips = [
        Clip(name, split, label, "ab"[label], f"{name}.wav", start, noise[name].astype(np.float32))
        for name, split, label, start, _ in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        benchmark(Path(folder), [clips[: len(clips) // 2], clips[len(clips) // 2 :]])
        shards = Shards(folder)
        ordered = sorted(clips, key=lambda item: item.clip_id)
        assert shards.table.clip_ids == tuple(item.clip_id for item in ordered)
        assert shards.table.labels.tolist() == [item.label for item in ordered]
        assert shards.table.splits.tolist() == [item.split for item in ordered]
        assert shards.sources == tuple(item.source for item in ordered)
        assert shards.starts.tolist() == [item.start for item in ordered]
        for positions, audio in shards.batches(size=batch_size):
            for position, samples in zip(positions, audio, strict=True):
                assert np.array_equal(samples, ordered[position].samples)


def test_groups_are_stored_by_source_and_only_where_there_are_any(tmp_path: Path) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    benchmark(tmp_path / "without", [[clip(0, 0)], [clip(1, 1)]])
    assert Shards(tmp_path / "without").groups is None
    benchmark(tmp_path / "with", [[replace(clip(0, 0), group="anna"), clip(2, 0)], [clip(1, 1)]])
    shards = Shards(tmp_path / "with")
    shards.verify()
    by_id = dict(zip(shards.table.clip_ids, shards.groups or (), strict=True))
    assert by_id == {"a_0": "anna", "a_2": "anna", "b_1": "1.wav"}  # a_0 and a_2 are of one recording
    digests = [
        [entry.identity.sha256 for entry in Manifest.load(tmp_path / name).shards] for name in ("with", "without")
    ]
    assert digests[0][1] == digests[1][1]  # a shard without groups has the same bytes as ever


def test_a_recording_has_one_group(tmp_path: Path) -> None:
    clips = [replace(clip(number, 0), group=group) for number, group in enumerate(("anna", "anna", "ben"))]
    with pytest.raises(
        EarshotError, match=r"^0\.wav: expected one group of the recording, found 'anna' and 'ben'; give"
    ):
        write_shard(tmp_path / "00000.parquet", clips, RATE)
    assert list(tmp_path.iterdir()) == []
    write_shard(tmp_path / "00000.parquet", clips[:2], RATE)


def test_damaged_groups_are_reported(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    notes = {"earshot.groups": '{"0.wav": 3}'}
    write_manifest(tmp_path, [write_shard(tmp_path / "shards/00000.parquet", [clip(0, 0)], RATE, notes)], [1, 0])
    with pytest.raises(EarshotError, match=r"00000\.parquet: not readable \(its groups are not text\)"):
        _ = Shards(tmp_path).groups
