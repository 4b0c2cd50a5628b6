import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.benchmark.manifest import ClassEntry, Manifest, ShardEntry, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard
from datasets.benchmark.shards import SCHEMA, Clip, Shards
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest

SAMPLES, RATE = 800, 16000


def clip(number: int, label: int, split: str = "train") -> Clip:
    samples = np.random.default_rng(number).uniform(-1, 1, SAMPLES).astype(np.float32)
    return Clip(f"{'ab'[label]}_{number}", split, label, "ab"[label], f"{label}.wav", number * SAMPLES, samples)


def benchmark(root: Path, clips: list[list[Clip]]) -> dict[str, np.ndarray]:
    """Writes a benchmark of two classes; returns the samples by clip id."""
    (root / "shards").mkdir()
    shards = [write_shard(root / f"shards/{i:05d}.parquet", part, RATE) for i, part in enumerate(clips)]
    everything = [one for part in clips for one in part]
    counts = [sum(one.label == label for one in everything) for label in range(2)]
    finish(root, shards, counts)
    return {one.clip_id: one.samples for one in everything}


def finish(root: Path, shards: list[ShardEntry], counts: list[int]) -> None:
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


def test_audio_comes_in_the_order_asked_across_shards_and_row_groups(tmp_path: Path) -> None:
    samples = benchmark(tmp_path, [[clip(i, 0) for i in range(150)], [], [clip(i, 1) for i in range(12)]])
    shards = Shards(tmp_path)
    assert shards.table.clip_ids == tuple(sorted(samples))
    positions = [161, 0, 149, 63, 64, 65, 0, 155]
    found = shards.audio(positions)
    wanted = np.stack([samples[shards.table.clip_ids[position]] for position in positions])
    assert found.dtype == np.float32 and found.shape == (8, SAMPLES)
    assert np.abs(found - wanted).max() <= 0.5001 / 32768
    assert shards.audio([]).shape == (0, SAMPLES)
    with pytest.raises(IndexError):
        shards.audio([162])
    shards.verify()


def test_the_table_never_reads_audio(root: Path) -> None:
    """Damage in the audio column alone is not noticed by the table, and is told with the clip by `audio`."""
    path = root / "shards/00000.parquet"
    column = pq.ParquetFile(path).metadata.row_group(0).column(8)
    assert column.path_in_schema == "audio.bytes"
    content = bytearray(path.read_bytes())
    start, end = column.data_page_offset, column.data_page_offset + column.total_compressed_size
    content[(start + end) // 2 : (start + end) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    shards = Shards(root)
    assert len(shards.table) == 162
    with pytest.raises(EarshotError, match=r"00000\.parquet: clip 'a_\d+': .* prepare the benchmark again"):
        shards.audio(range(len(shards.table)))
    with pytest.raises(EarshotError, match=r"00000\.parquet: expected SHA-256 \w{64}, found \w{64}"):
        shards.verify()


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
    """One shard whose clips change class all the time, as the cuts of soundscapes do."""
    return benchmark(root, [[clip(i, int(i % 3 == 0)) for i in range(150)]])


def test_one_class_is_read_without_the_bytes_of_another(tmp_path: Path) -> None:
    samples = interleaved(tmp_path)
    path = tmp_path / "shards/00000.parquet"
    content = bytearray(path.read_bytes())
    metadata = pq.ParquetFile(path).metadata
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        labels = group.column(2)
        assert labels.path_in_schema == "label" and labels.statistics.min == labels.statistics.max
        if labels.statistics.min == 0:  # the audio of class a is gone
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


def test_batches_come_in_the_order_of_the_clip_ids_or_as_asked(tmp_path: Path) -> None:
    samples = interleaved(tmp_path)
    shards = Shards(tmp_path)
    batches = list(shards.batches(size=40))
    assert [len(positions) for positions, _ in batches] == [40, 40, 40, 30]
    assert np.concatenate([positions for positions, _ in batches]).tolist() == list(range(150))
    everything = np.concatenate([audio for _, audio in batches])
    wanted = np.stack([samples[clip_id] for clip_id in shards.table.clip_ids])
    assert everything.dtype == np.float32 and np.abs(everything - wanted).max() <= 1 / 32768
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


def test_what_is_held_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.benchmark.shards.HELD_BYTES", (1, 1))
    monkeypatch.setattr("datasets.benchmark.shards.OPEN_FILES", 1)
    shards = Shards(root)
    forwards = np.concatenate([audio for _, audio in shards.batches(size=7)])
    assert np.array_equal(shards.audio(range(len(shards.table))), forwards)
    assert len(shards._held) == 1 and len(shards._files) == 1


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


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> object:
        yield from (clip(i, 0) for i in range(70))
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_shard(tmp_path / "00000.parquet", failing(), RATE)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_absent_short_and_foreign_shards_are_told(root: Path) -> None:
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
    finish(tmp_path, [entry], [2])
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
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_what_is_read(rows: list[tuple[str, str, int, int, int]], in_a_batch: int) -> None:
    noise = {row[0]: np.random.default_rng(row[4]).integers(-32768, 32768, SAMPLES) / 32768 for row in rows}
    clips = [
        Clip(name, split, label, "ab"[label], f"{name}.wav", start, noise[name].astype(np.float32))
        for name, split, label, start, _ in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        benchmark(Path(folder), [clips[: len(clips) // 2], clips[len(clips) // 2 :]])
        shards = Shards(folder)
        ordered = sorted(clips, key=lambda one: one.clip_id)
        assert shards.table.clip_ids == tuple(one.clip_id for one in ordered)
        assert shards.table.labels.tolist() == [one.label for one in ordered]
        assert shards.table.splits.tolist() == [one.split for one in ordered]
        assert shards.sources == tuple(one.source for one in ordered)
        assert shards.starts.tolist() == [one.start for one in ordered]
        for positions, audio in shards.batches(size=in_a_batch):
            for position, samples in zip(positions, audio, strict=True):
                assert np.array_equal(samples, ordered[position].samples)
