"""Shards: Parquet files of clips, written whole or not at all, read by column.

A shard's schema is the audio convention of the Hugging Face hub (`audio: struct<bytes, path>`, bytes is
16-bit FLAC), so that its tools and viewers open it. Row groups hold at most 64 clips: one class is read
without the rest.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.audio import decode_flac, encode_flac
from datasets.errors import EarshotError
from datasets.files import written_aside
from datasets.manifest import SPLITS, Manifest, ShardEntry

SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("split", pa.string()),
        ("label", pa.int32()),
        ("class_name", pa.string()),
        ("source", pa.string()),
        ("start", pa.int64()),
        ("num_samples", pa.int32()),
        ("sample_rate", pa.int32()),
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)
ROW_GROUP = 64

_TABLE_COLUMNS = ["clip_id", "split", "label", "class_name"]
# FLAC does not shrink further, and min/max of audio bytes help nobody.
_COMPRESSION = {
    **{name: "zstd" for name in SCHEMA.names if name != "audio"},
    "audio.bytes": "none",
    "audio.path": "zstd",
}
_REPEATED = ["split", "class_name", "source"]
_WITH_STATISTICS = [name for name in SCHEMA.names if name != "audio"]


@dataclass(frozen=True)
class Clip:
    """A fixed-length labelled excerpt on its way into a shard.

    Attributes:
        clip_id: unique in the benchmark.
        split: 'train', 'val' or 'test'.
        source: relative POSIX path of the recording; for a clip that spans several, of the first.
        start: first sample, in the unit's stream at the benchmark's rate.
        samples: [samples] float32, full scale 1.0.
    """

    clip_id: str
    split: str
    label: int
    class_name: str
    source: str
    start: int
    samples: np.ndarray


@dataclass(frozen=True)
class ClipTable:
    """All clips of a benchmark without their audio, sorted by clip id; a clip's *position* is its row here.

    Attributes:
        labels: int32 [clips].
        splits: strings [clips].
        class_names: by label.
    """

    clip_ids: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clip_ids)


def write_shard(
    path: Path, clips: Iterable[Clip], sample_rate: int, metadata: Mapping[str, str] | None = None
) -> ShardEntry:
    """Writes one shard aside, flushes it to the disk and renames it, so that `path` is never half a shard.

    Two writers of the same path are harmless: each has its own file aside, and the last rename wins.

    Args:
        path: ends in `shards/NNNNN.parquet`.
        clips: written in this order, 64 at a time; only these are held in memory.
        sample_rate: in Hz, of all clips.
        metadata: key-value metadata of the Parquet file, read after the last clip (so a generator may fill
            it).
    """
    count = 0
    with written_aside(path) as aside:
        with pq.ParquetWriter(
            aside,
            SCHEMA,
            compression=_COMPRESSION,
            use_dictionary=_REPEATED,
            write_statistics=_WITH_STATISTICS,
            data_page_size=1 << 20,
        ) as writer:
            rows = iter(clips)
            while group := list(islice(rows, ROW_GROUP)):
                writer.write_table(_to_table(group, sample_rate), row_group_size=ROW_GROUP)
                count += len(group)
            writer.add_key_value_metadata(dict(metadata or {}))
        entry = ShardEntry(
            file=f"shards/{path.name}", clips=count, bytes=aside.stat().st_size, sha256=file_digest(aside)
        )
    return entry


def _to_table(clips: Sequence[Clip], sample_rate: int) -> pa.Table:
    audio = [{"bytes": encode_flac(clip.samples, sample_rate), "path": _file_name(clip.clip_id)} for clip in clips]
    return pa.table(
        [
            [clip.clip_id for clip in clips],
            [clip.split for clip in clips],
            [clip.label for clip in clips],
            [clip.class_name for clip in clips],
            [clip.source for clip in clips],
            [clip.start for clip in clips],
            [len(clip.samples) for clip in clips],
            [sample_rate] * len(clips),
            audio,
        ],
        schema=SCHEMA,
    )


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", clip_id) + ".flac"


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Shards:
    """A complete benchmark on disk, read lazily.

    Args:
        root: the benchmark's folder.

    Raises:
        EarshotError: there is no manifest, or a shard is absent or not of the size that the manifest tells.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.manifest = Manifest.load(self.root)
        for entry in self.manifest.shards:
            path = self.root / entry.file
            try:
                size = path.stat().st_size
            except OSError:
                raise EarshotError(f"{path}: not found; prepare the benchmark again") from None
            if size != entry.bytes:
                raise EarshotError(f"{path}: expected {entry.bytes} bytes, found {size}; prepare the benchmark again")

    @cached_property
    def table(self) -> ClipTable:
        """The clips without their audio, read by column projection.

        Raises:
            EarshotError: a shard cannot be read or does not agree with the manifest, or a clip id occurs
                twice.
        """
        return self._index[0]

    @cached_property
    def _index(self) -> tuple[ClipTable, np.ndarray]:
        """The table, and for each position (shard, row in the shard) int64 [clips, 2]."""
        ids: list[str] = []
        splits: list[str] = []
        labels: list[np.ndarray] = []
        places: list[np.ndarray] = []
        for number, entry in enumerate(self.manifest.shards):
            columns = self._read_columns(entry)
            ids += columns["clip_id"].to_pylist()
            splits += columns["split"].to_pylist()
            labels.append(columns["label"].to_numpy().astype(np.int32))
            places.append(np.stack([np.full(entry.clips, number), np.arange(entry.clips)], axis=1))
        order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
        sorted_ids = tuple(ids[row] for row in order)
        for left, right in pairwise(sorted_ids):
            if left == right:
                raise EarshotError(f"{self.root}: clip id {left!r} occurs twice; prepare the benchmark again")
        table = ClipTable(
            clip_ids=sorted_ids,
            labels=np.concatenate([np.zeros(0, np.int32), *labels])[order],
            splits=np.array(splits, dtype="U5")[order],
            class_names=self.manifest.class_names,
        )
        return table, np.concatenate([np.zeros((0, 2), np.int64), *places])[order]

    def _read_columns(self, entry: ShardEntry) -> pa.Table:
        path = self.root / entry.file
        try:
            with pq.ParquetFile(path) as file:
                columns = file.read(columns=_TABLE_COLUMNS)
        except (pa.ArrowException, OSError) as error:
            raise EarshotError(f"{path}: not readable ({_one_line(error)}); {_AGAIN}") from None
        names = self.manifest.class_names
        labels = columns["label"].to_pylist()
        agrees = (
            len(labels) == entry.clips
            and set(columns["split"].to_pylist()) <= set(SPLITS)
            and None not in columns["clip_id"].to_pylist()
            and all(label is not None and 0 <= label < len(names) for label in labels)
            and all(names[label] == name for label, name in zip(labels, columns["class_name"].to_pylist(), strict=True))
        )
        if not agrees:
            raise EarshotError(f"{path}: clips, splits or classes do not agree with the manifest; {_AGAIN}")
        return columns

    def verify(self) -> None:
        """Compares the SHA-256 of every shard with the manifest.

        Raises:
            EarshotError: a shard's bytes have changed since the benchmark was prepared.
        """
        for entry in self.manifest.shards:
            path = self.root / entry.file
            try:
                found = file_digest(path)
            except OSError as error:
                raise EarshotError(f"{path}: not readable ({_one_line(error)}); {_AGAIN}") from None
            if found != entry.sha256:
                raise EarshotError(f"{path}: expected SHA-256 {entry.sha256}, found {found}; {_AGAIN}")

    def audio(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decodes clips.

        Args:
            positions: rows of `table`, in any order, repeated or not.

        Returns:
            float32 [clips, num_samples] in [-1, 1], in the order asked.

        Raises:
            EarshotError: a shard cannot be read, or a clip in it cannot be decoded.
            IndexError: a position is outside the table.
        """
        wanted = np.asarray(positions, dtype=np.int64).reshape(-1)
        table, places = self._index
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(table)):
            raise IndexError(f"positions must lie in 0..{len(table) - 1}")
        result = np.empty((len(wanted), self.manifest.num_samples), np.float32)
        for shard in np.unique(places[wanted, 0]):
            rows = np.flatnonzero(places[wanted, 0] == shard)
            for row, content in self._contents(self.manifest.shards[shard], places[wanted[rows], 1], rows):
                result[row] = self._decoded(content, self.manifest.shards[shard], int(wanted[row]))
        return result

    def _contents(
        self, entry: ShardEntry, shard_rows: np.ndarray, result_rows: np.ndarray
    ) -> Iterator[tuple[int, bytes]]:
        """Pairs of a row in the result and the clip's bytes; reads only the row groups that are asked for."""
        path = self.root / entry.file
        try:
            with pq.ParquetFile(path) as file:
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                ends = np.cumsum(sizes)
                groups = np.searchsorted(ends, shard_rows, side="right")
                for group in np.unique(groups):
                    column = file.read_row_group(int(group), columns=["audio.bytes"])["audio"].combine_chunks()
                    content = column.field("bytes")
                    first = ends[group] - sizes[group]
                    for index in np.flatnonzero(groups == group):
                        yield int(result_rows[index]), content[int(shard_rows[index] - first)].as_py()
        except (pa.ArrowException, OSError) as error:
            raise EarshotError(f"{path}: not readable ({_one_line(error)}); {_AGAIN}") from None

    def _decoded(self, content: bytes | None, entry: ShardEntry, position: int) -> np.ndarray:
        clip = f"{self.root / entry.file}: clip {self.table.clip_ids[position]!r}"
        try:
            samples, rate = decode_flac(content or b"")
        except ValueError as error:
            raise EarshotError(f"{clip}: {error}; {_AGAIN}") from None
        expected = (self.manifest.num_samples, self.manifest.sample_rate)
        if (len(samples), rate) != expected:
            raise EarshotError(
                f"{clip}: expected {expected[0]} samples at {expected[1]} Hz, "
                f"found {len(samples)} at {rate} Hz; {_AGAIN}"
            )
        return samples


_AGAIN = "prepare the benchmark again with --force"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
