"""Shards: the Parquet files of a prepared benchmark, read by column, by class and by clip.

The order of everything is that of the clip ids, whatever the order of the shards. On this machine shards are
memory-mapped, behind a URI they are streamed; `datasets.benchmark.shard_writer` writes them.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets.audio.recordings import decode_flac
from datasets.benchmark.manifest import SPLITS, Manifest, ShardEntry
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location

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
"""The audio convention of the Hugging Face hub, whose tools and viewers open a shard; bytes is 16-bit FLAC."""

OPEN_FILES = 128
HELD_BYTES = (64 << 20, 512 << 20)
"""Least and most memory for encoded clips that may be asked for again: a class, as its ids rarely follow the rows."""

_TABLE_COLUMNS = ["clip_id", "split", "label", "class_name"]


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


class Shards:
    """A complete benchmark, read lazily.

    Args:
        root: the benchmark's folder: a path or a URI.

    Raises:
        EarshotError: there is no manifest, or a shard is absent or not of the size that the manifest tells.
    """

    def __init__(self, root: Path | str | Location) -> None:
        self.root = Location.of(root)
        self.manifest = Manifest.load(self.root)
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._held: OrderedDict[tuple[int, int], pa.Array] = OrderedDict()
        for entry in self.manifest.shards:
            size = self._place(entry).size()
            if size is None:
                raise EarshotError(f"{self._place(entry)}: not found; prepare the benchmark again")
            if size != entry.bytes:
                raise EarshotError(
                    f"{self._place(entry)}: expected {entry.bytes} bytes, found {size}; prepare the benchmark again"
                )

    @property
    def sample_rate(self) -> int:
        """Of every clip, in Hz."""
        return self.manifest.sample_rate

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what the data is; see `Manifest.fingerprint`."""
        return self.manifest.fingerprint

    @cached_property
    def _may_hold(self) -> int:
        """Bytes: a quarter more than the largest class takes by its share of the clips."""
        clips, largest = self.manifest.clips.total, max((one.clips.total for one in self.manifest.classes), default=0)
        size = sum(entry.bytes for entry in self.manifest.shards)
        return min(max(HELD_BYTES[0], 5 * size * largest // (4 * max(1, clips))), HELD_BYTES[1])

    @cached_property
    def table(self) -> ClipTable:
        """The clips without their audio, read by column projection.

        Raises:
            EarshotError: a shard cannot be read or does not agree with the manifest, or a clip id occurs
                twice.
        """
        return self._index[0]

    @property
    def sources(self) -> tuple[str, ...]:
        """By position: the recording that the clip was cut from, or begins in."""
        return self._origins[0]

    @property
    def starts(self) -> np.ndarray:
        """By position: first sample of the clip in its unit's stream, int64 [clips]."""
        return self._origins[1]

    def select(self, labels: Collection[int] | None = None, splits: Collection[str] | None = None) -> np.ndarray:
        """Positions of the clips of these classes and splits (default: all), in the order of the clip ids."""
        chosen = np.ones(len(self.table), bool)
        if labels is not None:
            chosen &= np.isin(self.table.labels, list(labels))
        if splits is not None:
            chosen &= np.isin(self.table.splits, list(splits))
        return np.flatnonzero(chosen)

    def positions_by_shard(self) -> list[np.ndarray]:
        """The positions of each shard's clips: for work that goes shard by shard and reads each of them once."""
        shards = self._index[1][:, 0]
        ends = np.cumsum(np.bincount(shards, minlength=len(self.manifest.shards)))
        return np.split(np.argsort(shards, kind="stable"), ends[:-1]) if len(ends) else []

    def verify(self) -> None:
        """Compares the SHA-256 of every shard with the manifest.

        Raises:
            EarshotError: a shard's bytes have changed since the benchmark was prepared.
        """
        for entry in self.manifest.shards:
            place = self._place(entry)
            try:
                found = place.digest()
            except OSError as error:
                raise EarshotError(f"{place}: not readable ({_one_line(error)}); {_AGAIN}") from None
            if found != entry.sha256:
                raise EarshotError(f"{place}: expected SHA-256 {entry.sha256}, found {found}; {_AGAIN}")

    def batches(
        self, positions: Sequence[int] | np.ndarray | None = None, size: int = 64
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Decodes clips batch by batch, so that a benchmark of any size is read in little memory.

        Args:
            positions: rows of `table`, in the order wanted (default: all, in the order of the clip ids).
            size: clips of a batch; the last one may have fewer.

        Yields:
            Positions int64 [clips] and audio float32 [clips, num_samples].

        Raises:
            EarshotError: see `audio`.
        """
        wanted = np.arange(len(self.table)) if positions is None else np.asarray(positions, np.int64).reshape(-1)
        for first in range(0, len(wanted), size):
            part = wanted[first : first + size]
            yield part, self.audio(part)

    def audio(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Decodes clips; of each shard only the row groups that hold them are read.

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
            for row, content in self._contents(int(shard), places[wanted[rows], 1], rows):
                result[row] = self._decoded(content, self.manifest.shards[shard], int(wanted[row]))
        return result

    def digests(self, positions: Sequence[int] | np.ndarray) -> list[bytes]:
        """SHA-256 of the encoded bytes of clips, in the order asked: equal where two clips are the same audio.

        Nothing is decoded. (The clips of a benchmark were encoded by one encoder, so the same audio is the same bytes.)

        Raises:
            EarshotError: a shard cannot be read.
        """
        wanted = np.asarray(positions, dtype=np.int64).reshape(-1)
        places = self._index[1]
        found = [b""] * len(wanted)
        for shard in np.unique(places[wanted, 0]):
            rows = np.flatnonzero(places[wanted, 0] == shard)
            for row, content in self._contents(int(shard), places[wanted[rows], 1], rows):
                found[row] = hashlib.sha256(content or b"").digest()
        return found

    def _contents(
        self, number: int, shard_rows: np.ndarray, result_rows: np.ndarray
    ) -> Iterator[tuple[int, bytes | None]]:
        """Pairs of a row in the result and the clip's bytes."""
        try:
            metadata = self._open(number).metadata
            sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            ends = np.cumsum(sizes)
            groups = np.searchsorted(ends, shard_rows, side="right")
            for group in np.unique(groups):
                content = self._row_group(number, int(group))
                first = ends[group] - sizes[group]
                for index in np.flatnonzero(groups == group):
                    yield int(result_rows[index]), content[int(shard_rows[index] - first)].as_py()
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(number, error) from None

    def _row_group(self, number: int, group: int) -> pa.Array:
        """The encoded clips of a row group; the latest ones are held, as clip ids rarely follow the shards' rows."""
        key = (number, group)
        if key not in self._held:
            column = self._open(number).read_row_group(group, columns=["audio.bytes"])["audio"].combine_chunks()
            self._held[key] = column.field("bytes")
            while len(self._held) > 1 and sum(array.nbytes for array in self._held.values()) > self._may_hold:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]

    def _open(self, number: int) -> pq.ParquetFile:
        if number not in self._files:
            file = pq.ParquetFile(self._place(self.manifest.shards[number]).open(), pre_buffer=True)
            if not file.schema_arrow.remove_metadata().equals(SCHEMA):
                raise pa.ArrowInvalid("its columns are not those of a shard")
            self._files[number] = file
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close(force=True)
        self._files.move_to_end(number)
        return self._files[number]

    @cached_property
    def _index(self) -> tuple[ClipTable, np.ndarray]:
        """The table, and for each position (shard, row in the shard) int64 [clips, 2]."""
        ids: list[str] = []
        splits: list[str] = []
        labels: list[np.ndarray] = []
        places: list[np.ndarray] = []
        for number, entry in enumerate(self.manifest.shards):
            columns = self._checked_columns(number, entry)
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

    @cached_property
    def _origins(self) -> tuple[tuple[str, ...], np.ndarray]:
        """By position: source and start."""
        sources: list[list[str]] = []
        starts: list[np.ndarray] = []
        for number in range(len(self.manifest.shards)):
            columns = self._columns(number, ["source", "start"])
            sources.append(columns["source"].to_pylist())
            starts.append(columns["start"].to_numpy())
        places = self._index[1]
        return (
            tuple(sources[shard][row] for shard, row in places),
            np.array([starts[shard][row] for shard, row in places], np.int64),
        )

    def _checked_columns(self, number: int, entry: ShardEntry) -> pa.Table:
        columns = self._columns(number, _TABLE_COLUMNS)
        names = self.manifest.class_names
        labels = columns["label"].to_pylist()
        agrees = (
            len(labels) == entry.clips
            and set(columns["split"].to_pylist()) <= set(SPLITS)
            and all(0 <= label < len(names) for label in labels)
            and all(names[label] == name for label, name in zip(labels, columns["class_name"].to_pylist(), strict=True))
        )
        if not agrees:
            raise EarshotError(
                f"{self._place(entry)}: clips, splits or classes do not agree with the manifest; {_AGAIN}"
            )
        return columns

    def _columns(self, number: int, names: list[str]) -> pa.Table:
        try:
            columns = self._open(number).read(columns=names)
            if any(column.null_count for column in columns.columns):
                raise pa.ArrowInvalid("a value is missing")
            return columns
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(number, error) from None

    def _decoded(self, content: bytes | None, entry: ShardEntry, position: int) -> np.ndarray:
        clip = f"{self._place(entry)}: clip {self.table.clip_ids[position]!r}"
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

    def _place(self, entry: ShardEntry) -> Location:
        return self.root / entry.file

    def _unreadable(self, number: int, error: BaseException) -> EarshotError:
        return EarshotError(f"{self._place(self.manifest.shards[number])}: not readable ({_one_line(error)}); {_AGAIN}")


_AGAIN = "prepare the benchmark again with --force"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
