"""Shards: the Parquet files of a prepared benchmark, read by column, by class and by clip.

Clips are ordered by their ids, independent of the order of the shards. Local shards are memory-mapped, those behind a
URI are streamed. `datasets.benchmark.shard_writer` writes them with a CRC-32 in every page, which is verified whenever
the page is read; opening a benchmark reads its manifest and the sizes of its shards only.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.audio.recordings import decode_flac
from datasets.benchmark.clips import ClipTable
from datasets.benchmark.manifest import SPLITS, Manifest, ShardEntry
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import one_line

SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("split", pa.string()),
        ("label", pa.int64()),
        ("class_name", pa.string()),
        ("source", pa.string()),
        ("start", pa.int64()),
        ("num_samples", pa.int32()),
        ("sample_rate", pa.int32()),
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)
"""Types as on the Hugging Face hub, whose tools and viewers open a shard; `bytes` of audio is 16-bit FLAC."""

PLAIN_SCHEMA = SCHEMA.set(SCHEMA.get_field_index("label"), pa.field("label", pa.int32()))
"""Columns of the shards of earlier versions, which are still read; see `ShardEntry.plain`."""

OPEN_FILES = 128
CACHE_BYTES = (64 << 20, 512 << 20)
"""Minimum and maximum size of the cache of encoded clips, which should hold a class: ids rarely follow the rows."""

GROUPS_KEY = "earshot.groups"
"""Metadata key of the groups of a shard's recordings: a JSON object of groups by source."""

_PREPARE_AGAIN = "prepare the benchmark again with --force"
READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What reading a damaged Parquet file raises."""
"""Raised by pyarrow for files that are unreadable or damaged, also in their footers."""

_TABLE_COLUMNS = ["clip_id", "split", "label", "class_name"]


class Shards:
    """A complete benchmark, read lazily.

    Args:
        root: folder of the benchmark: a path or a URI.

    Raises:
        EarshotError: there is no manifest, or a shard is absent or differs in size from the manifest.
    """

    def __init__(self, root: Path | str | Location) -> None:
        self.root = Location.of(root)
        self.manifest = Manifest.load(self.root)
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._cache: OrderedDict[tuple[int, int], pa.Array] = OrderedDict()
        for entry in self.manifest.shards:
            location = self.root / entry.file
            size = location.size()
            if size is None:
                raise EarshotError(f"{location}: not found; prepare the benchmark again")
            if size != entry.bytes:
                raise EarshotError(f"{location}: expected {entry.bytes} bytes, found {size}; {_PREPARE_AGAIN}")

    @property
    def sample_rate(self) -> int:
        """Sample rate of every clip, in Hz."""
        return self.manifest.sample_rate

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the files; see `Manifest.fingerprint`."""
        return self.manifest.fingerprint

    @property
    def class_names(self) -> tuple[str, ...]:
        """Indexed by label; untrusted text."""
        return self.manifest.class_names

    @cached_property
    def _cache_limit(self) -> int:
        """Bytes of encoded clips to cache: 1.25 times the largest class, estimated from its share of the clips."""
        clips = self.manifest.clips.total
        largest = max((entry.clips.total for entry in self.manifest.classes), default=0)
        size = sum(entry.bytes for entry in self.manifest.shards)
        return min(max(CACHE_BYTES[0], 5 * size * largest // (4 * max(1, clips))), CACHE_BYTES[1])

    @cached_property
    def table(self) -> ClipTable:
        """The clips without their audio, read by column projection.

        Raises:
            EarshotError: a shard cannot be read or contradicts the manifest, or a clip id occurs twice.
        """
        return self._index[0]

    @property
    def sources(self) -> tuple[str, ...]:
        """By position: the recording in which the clip starts."""
        return self._origins[0]

    @property
    def starts(self) -> np.ndarray:
        """By position: first sample of the clip in the stream of its unit, int64 [clips]."""
        return self._origins[1]

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """By position: the group of the clip's recording; None if the benchmark was prepared without groups.

        All recordings of a group (of a speaker, a session, a longer recording) were put into one split. In a mix of
        benchmarks with and without groups, a recording without one has its own source as its group.

        Raises:
            EarshotError: the metadata of a shard is damaged.
        """
        by_shard = [self._groups(number) for number in range(len(self.manifest.shards))]
        if not any(by_shard):
            return None
        shards = self._index[1][:, 0].tolist()
        return tuple(by_shard[shard].get(source, source) for shard, source in zip(shards, self.sources, strict=True))

    def select(self, labels: Collection[int] | None = None, splits: Collection[str] | None = None) -> np.ndarray:
        """Positions of the clips of these classes and splits (default: all), in the order of the clip ids."""
        chosen = np.ones(len(self.table), bool)
        if labels is not None:
            chosen &= np.isin(self.table.labels, list(labels))
        if splits is not None:
            chosen &= np.isin(self.table.splits, list(splits))
        return np.flatnonzero(chosen)

    def positions_by_shard(self) -> list[np.ndarray]:
        """The positions of the clips of each shard, to read every shard once."""
        shards = self._index[1][:, 0]
        ends = np.cumsum(np.bincount(shards, minlength=len(self.manifest.shards)))
        return np.split(np.argsort(shards, kind="stable"), ends[:-1]) if len(ends) else []

    def verify(self) -> None:
        """Compares the SHA-256 of every shard with the manifest: reads everything.

        Raises:
            EarshotError: a shard has changed since the benchmark was prepared.
        """
        self._verify_digests(self.manifest.shards)

    def verify_without_page_checksums(self) -> None:
        """Compares the SHA-256 of the local shards that were written before shards had page checksums.

        To be called once before a benchmark is used. The other shards are verified page by page as they are read.
        Behind a URI a shard without page checksums is not verified, as all of it would be downloaded; see `verify`.

        Raises:
            EarshotError: a shard has changed since the benchmark was prepared.
        """
        if self.root.local is not None:
            self._verify_digests([entry for entry in self.manifest.shards if not entry.page_checksums])

    def _verify_digests(self, entries: Iterable[ShardEntry]) -> None:
        for entry in entries:
            location = self.root / entry.file
            try:
                digest = location.digest()
            except OSError as error:
                raise EarshotError(f"{location}: not readable ({one_line(error)}); {_PREPARE_AGAIN}") from None
            if digest != entry.sha256:
                raise EarshotError(f"{location}: expected SHA-256 {entry.sha256}, found {digest}; {_PREPARE_AGAIN}")

    def batches(
        self, positions: Sequence[int] | np.ndarray | None = None, size: int = 64
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Decodes clips batch by batch, in little memory for a benchmark of any size.

        Args:
            positions: rows of `table`, in the order of the output (default: all, in the order of the clip ids).
            size: clips per batch; the last batch may have fewer.

        Yields:
            Positions int64 [clips] and audio float32 [clips, num_samples].

        Raises:
            EarshotError: see `audio`.
        """
        rows = np.arange(len(self.table)) if positions is None else np.asarray(positions, np.int64).reshape(-1)
        for first in range(0, len(rows), size):
            batch = rows[first : first + size]
            yield batch, self.audio(batch)

    def audio(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decodes clips; only the row groups that contain them are read.

        Args:
            positions: rows of `table`, in any order, with or without repetitions.

        Returns:
            float32 [clips, num_samples] in [-1, 1], in the order of `positions`.

        Raises:
            EarshotError: a shard is damaged or cannot be read, or a clip in it cannot be decoded.
            IndexError: a position is outside the table.
        """
        rows = np.asarray(positions, dtype=np.int64).reshape(-1)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self.table)):
            raise IndexError(f"positions must lie in 0..{len(self.table) - 1}")
        result = np.empty((len(rows), self.manifest.num_samples), np.float32)
        for index, shard, content in self._contents(rows):
            result[index] = self._decode(content, self.manifest.shards[shard], int(rows[index]))
        return result

    def digests(self, positions: Sequence[int] | np.ndarray) -> list[bytes]:
        """SHA-256 of the encoded bytes of clips, in the order of `positions`; equal for clips with the same audio.

        Nothing is decoded: all clips of a benchmark were encoded by the same encoder, so equal audio has equal bytes.

        Raises:
            EarshotError: a shard is damaged or cannot be read.
        """
        rows = np.asarray(positions, dtype=np.int64).reshape(-1)
        digests = [b""] * len(rows)
        for index, _, content in self._contents(rows):
            digests[index] = hashlib.sha256(content or b"").digest()
        return digests

    def _contents(self, positions: np.ndarray) -> Iterator[tuple[int, int, bytes | None]]:
        """Yields index in `positions`, shard and encoded bytes of each clip; shard by shard."""
        shards, rows = self._index[1][positions].T
        for shard in np.unique(shards):
            indices = np.flatnonzero(shards == shard)
            for index, content in self._shard_contents(int(shard), rows[indices]):
                yield int(indices[index]), int(shard), content

    def _shard_contents(self, number: int, shard_rows: np.ndarray) -> Iterator[tuple[int, bytes | None]]:
        """Yields index in `shard_rows` and encoded bytes of each clip; row group by row group."""
        try:
            metadata = self._open(number).metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            ends = np.cumsum(sizes)
            groups = np.searchsorted(ends, shard_rows, side="right")
            for group in np.unique(groups):
                content = self._row_group(number, int(group))
                first = ends[group] - sizes[group]
                for index in np.flatnonzero(groups == group):
                    yield int(index), content[int(shard_rows[index] - first)].as_py()
        except READ_ERRORS as error:
            raise self._unreadable(number, error) from None

    def _row_group(self, number: int, group: int) -> pa.Array:
        """The encoded clips of a row group, from an LRU cache."""
        key = (number, group)
        if key not in self._cache:
            column = self._open(number).read_row_group(group, columns=["audio.bytes"])["audio"].combine_chunks()
            self._cache[key] = column.field("bytes")
            while len(self._cache) > 1 and sum(array.nbytes for array in self._cache.values()) > self._cache_limit:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def _open(self, number: int) -> pq.ParquetFile:
        if number not in self._files:
            location = self.root / self.manifest.shards[number].file
            # Pages without a checksum, of shards that were written before, are read without verification.
            file = pq.ParquetFile(location.open(), pre_buffer=True, page_checksum_verification=True)
            if file.schema_arrow.remove_metadata() not in (SCHEMA, PLAIN_SCHEMA):
                raise pa.ArrowInvalid("its columns are not those of a shard")
            self._files[number] = file
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close(force=True)
        self._files.move_to_end(number)
        return self._files[number]

    @cached_property
    def _index(self) -> tuple[ClipTable, np.ndarray]:
        """The table, and the shard and the row in it of each position, int64 [clips, 2]."""
        ids: list[str] = []
        splits: list[str] = []
        labels: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        for number, entry in enumerate(self.manifest.shards):
            columns = self._checked_columns(number, entry)
            ids += columns["clip_id"]
            splits += columns["split"]
            labels.append(np.array(columns["label"], np.int32))
            rows.append(np.stack([np.full(entry.clips, number), np.arange(entry.clips)], axis=1))
        order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
        sorted_ids = tuple(ids[row] for row in order)
        for left, right in pairwise(sorted_ids):
            if left == right:
                raise EarshotError(f"{self.root}: clip id {left!r} occurs twice; {_PREPARE_AGAIN}")
        table = ClipTable(
            clip_ids=sorted_ids,
            labels=np.concatenate([np.zeros(0, np.int32), *labels])[order],
            splits=np.array(splits, dtype="U5")[order],
            class_names=self.manifest.class_names,
        )
        return table, np.concatenate([np.zeros((0, 2), np.int64), *rows])[order]

    @cached_property
    def _origins(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Source and start of each position."""
        columns = [self._columns(number, ["source", "start"]) for number in range(len(self.manifest.shards))]
        rows = self._index[1]
        return (
            tuple(columns[shard]["source"][row] for shard, row in rows),
            np.array([columns[shard]["start"][row] for shard, row in rows], np.int64),
        )

    def _groups(self, number: int) -> dict[str, str]:
        """The groups of a shard by source; empty if it has none."""
        try:
            text = (self._open(number).metadata.metadata or {}).get(GROUPS_KEY.encode(), b"{}")
            groups = json.loads(text)
            if not isinstance(groups, dict) or not all(isinstance(group, str) for group in groups.values()):
                raise ValueError("its groups are not text")
        except (*READ_ERRORS, ValueError, RecursionError) as error:
            raise self._unreadable(number, error) from None
        return groups

    def _checked_columns(self, number: int, entry: ShardEntry) -> dict[str, list[Any]]:
        columns = self._columns(number, _TABLE_COLUMNS)
        names, labels = self.manifest.class_names, columns["label"]
        agrees = (
            len(labels) == entry.clips
            and set(columns["split"]) <= set(SPLITS)
            and all(0 <= label < len(names) for label in labels)
            and all(names[label] == name for label, name in zip(labels, columns["class_name"], strict=True))
        )
        if not agrees:
            raise EarshotError(
                f"{self.root / entry.file}: clips, splits or classes do not agree with the manifest; {_PREPARE_AGAIN}"
            )
        return columns

    def _columns(self, number: int, names: list[str]) -> dict[str, list[Any]]:
        """The values of columns of a shard, by name."""
        try:
            columns = self._open(number).read(columns=names)
            if any(column.null_count for column in columns.columns):
                raise pa.ArrowInvalid("a value is missing")
            return columns.to_pydict()
        except READ_ERRORS as error:
            raise self._unreadable(number, error) from None

    def _decode(self, content: bytes | None, entry: ShardEntry, position: int) -> np.ndarray:
        clip = f"{self.root / entry.file}: clip {self.table.clip_ids[position]!r}"
        try:
            samples, rate = decode_flac(content or b"")
        except ValueError as error:
            raise EarshotError(f"{clip}: {error}; {_PREPARE_AGAIN}") from None
        expected = (self.manifest.num_samples, self.manifest.sample_rate)
        if (len(samples), rate) != expected:
            raise EarshotError(
                f"{clip}: expected {expected[0]} samples at {expected[1]} Hz, "
                f"found {len(samples)} at {rate} Hz; {_PREPARE_AGAIN}"
            )
        return samples

    def _unreadable(self, number: int, error: BaseException) -> EarshotError:
        return unreadable(self.root / self.manifest.shards[number].file, error)


def unreadable(location: Location, error: BaseException) -> EarshotError:
    """The error for a shard that cannot be read.

    Args:
        location: of the shard.
        error: one of `READ_ERRORS`.
    """
    return EarshotError(f"{location}: not readable ({one_line(error)}); {_PREPARE_AGAIN}")
