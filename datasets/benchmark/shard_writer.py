"""Writes shards: Parquet files of clips, atomically.

A row group holds at most 64 clips of one class, so a class is read without the others. Every page carries a CRC-32,
which readers verify (`datasets.benchmark.shards`).
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.audio.recordings import decode_flac, encode_flac
from datasets.benchmark.clips import Clip, clip_digest
from datasets.benchmark.hub_features import HUB_KEY, hub_features
from datasets.benchmark.manifest import FileIdentity, ShardEntry
from datasets.benchmark.shards import GROUPS_KEY, PLAIN_SCHEMA, SCHEMA
from datasets.utils.checksum import sum_of_digests
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest
from datasets.utils.location import Location
from datasets.utils.text import printable

ROW_GROUP = 64

# FLAC cannot be compressed further, and nothing uses the minimum and maximum of audio bytes.
_COMPRESSION = {
    **{name: "zstd" for name in SCHEMA.names if name != "audio"},
    "audio.bytes": "none",
    "audio.path": "zstd",
}
_REPEATED = ["split", "class_name", "source"]
_WITH_STATISTICS = [name for name in SCHEMA.names if name != "audio"]
_PLAIN = "earshot.plain"
"""Metadata key of a shard's `ShardEntry.plain`."""
_CONTENT = "earshot.content"
"""Metadata key of a shard's `ShardEntry.content`."""


def write_shard(
    place: Location | Path,
    clips: Iterable[Clip],
    sample_rate: int,
    metadata: Mapping[str, str] | None = None,
    class_names: Sequence[str] = (),
) -> ShardEntry:
    """Writes one shard so that a reader sees all of it or none.

    Concurrent writers of the same shard are safe: each writes a temporary file, and the last one wins.

    Args:
        place: ends in `shards/NNNNN.parquet`.
        clips: written in this order, class by class; of each class fewer than 64 are held in memory, encoded.
        sample_rate: of all clips, in Hz.
        metadata: key-value metadata of the Parquet file, read after the last clip (so a generator may fill it).
        class_names: of the benchmark, by label, for readers of the Hugging Face hub (default: not in the metadata).
    """
    location, count, plain_file = Location.of(place), 0, _DigestFile()
    groups: dict[str, str] = {}
    digests: list[str] = []
    with location.atomic_path() as temporary:
        with parquet_writer(temporary, schema=_schema(sample_rate, class_names)) as writer:
            # Written a second time as by the first versions, for the digest alone: see `ShardEntry.identity`.
            with parquet_writer(plain_file, page_checksums=False) as plain_writer:
                for group in _row_groups(_noting(clips, groups, digests), sample_rate):
                    writer.write_table(group, row_group_size=ROW_GROUP)
                    plain_writer.write_table(group, row_group_size=ROW_GROUP)
                    count += len(group)
                notes = dict(metadata or {})
                if groups:  # without groups a shard has the bytes, and the digest, that it had before there were any
                    notes[GROUPS_KEY] = json.dumps(groups, sort_keys=True)
                plain_writer.add_key_value_metadata(notes)
            plain = plain_file.identity()
            content = sum_of_digests(digests)
            writer.add_key_value_metadata({**notes, _PLAIN: plain.model_dump_json(), _CONTENT: content})
        return _entry(location, temporary, count, plain, content)


def write_again(location: Location, sample_rate: int, class_names: Sequence[str]) -> ShardEntry:
    """Copies a shard that has no features, those of other classes, or no digest of its clips.

    The bytes are those of `write_shard`. Encoded audio is copied as it is.

    Raises:
        OSError: the shard cannot be read or written.
        ValueError: the file is not a shard.
    """
    schema = _schema(sample_rate, class_names)
    with location.atomic_path() as temporary, location.open() as file:
        with (
            pq.ParquetFile(file, page_checksum_verification=True) as shard,
            parquet_writer(temporary, schema=schema) as writer,
        ):
            found = {key.decode(): value.decode() for key, value in (shard.metadata.metadata or {}).items()}
            plain, content = (found.pop(key, None) for key in (_PLAIN, _CONTENT))
            content = content or sum_of_digests(clip_digest(clip) for clip in read_clips(location))
            identity = FileIdentity.model_validate_json(plain) if plain else _identity(location)
            notes = {key: value for key, value in found.items() if key not in (HUB_KEY, "ARROW:schema")}
            for number in range(shard.num_row_groups):
                writer.write_table(shard.read_row_group(number).cast(SCHEMA), row_group_size=ROW_GROUP)
            notes |= {_PLAIN: identity.model_dump_json(), _CONTENT: content}
            writer.add_key_value_metadata(notes)
            count = shard.metadata.num_rows
        return _entry(location, temporary, count, identity, content)


def _schema(sample_rate: int, class_names: Sequence[str]) -> pa.Schema:
    return SCHEMA.with_metadata({HUB_KEY: hub_features(sample_rate, class_names)}) if class_names else SCHEMA


def _entry(location: Location, written: Path, clips: int, plain: FileIdentity, content: str | None) -> ShardEntry:
    return ShardEntry(
        file=f"shards/{location.name}",
        clips=clips,
        bytes=written.stat().st_size,
        sha256=file_digest(written),
        plain=plain,
        content=content,
    )


def _identity(location: Location) -> FileIdentity:
    return FileIdentity.model_validate({"bytes": location.size(), "sha256": location.digest()})


def read_entry(location: Location, clips: int) -> ShardEntry:
    """The manifest entry of a shard that is already written; reads all of it for its digest.

    Args:
        location: of the shard.
        clips: number of clips in it.

    Raises:
        OSError: the shard is absent or cannot be read.
        ValueError: the file is not a shard.
    """
    with location.open() as file:
        notes = pq.read_metadata(file).metadata or {}
    plain, content = (notes.get(key.encode()) for key in (_PLAIN, _CONTENT))
    return ShardEntry.model_validate(
        {
            "file": f"shards/{location.name}",
            "clips": clips,
            "bytes": location.size(),
            "sha256": location.digest(),
            "plain": None if plain is None else FileIdentity.model_validate_json(plain),
            "content": None if content is None else content.decode(),
        }
    )


def read_clips(location: Location) -> Iterator[Clip]:
    """The clips of a shard in their order, to write some of them again.

    Raises:
        OSError: the shard cannot be read.
        ValueError: a clip is damaged.
    """
    with location.open() as file, pq.ParquetFile(file, page_checksum_verification=True) as shard:
        groups = json.loads((shard.metadata.metadata or {}).get(GROUPS_KEY.encode(), b"{}"))
        for batch in shard.iter_batches(batch_size=ROW_GROUP):
            for row in batch.to_pylist():
                samples, _ = decode_flac(row["audio"]["bytes"])
                values = {name: row[name] for name in ("clip_id", "split", "label", "class_name", "source", "start")}
                yield Clip(**values, samples=samples, group=groups.get(row["source"]))


def parquet_writer(sink: Any, page_checksums: bool = True, schema: pa.Schema = SCHEMA) -> pq.ParquetWriter:
    """A writer of shards to a path or a file object; the caller closes it.

    Args:
        sink: the path or file object.
        page_checksums: False to write as the first versions did.
        schema: `SCHEMA`, with or without metadata.
    """
    writer = pq.ParquetWriter if page_checksums else _PlainWriter
    return writer(
        sink,
        schema if page_checksums else PLAIN_SCHEMA,
        compression=_COMPRESSION,
        use_dictionary=_REPEATED,
        write_statistics=_WITH_STATISTICS,
        data_page_size=1 << 20,
        write_page_checksum=page_checksums,
    )


class _PlainWriter(pq.ParquetWriter):
    """Writes tables of `SCHEMA` with labels of 32 bits."""

    def write_table(self, table: pa.Table, row_group_size: int | None = None) -> None:
        super().write_table(table.cast(PLAIN_SCHEMA), row_group_size)


class _DigestFile(io.RawIOBase):
    """Hashes what is written to it and stores nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._digest = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._digest.update(content)
        self._size += len(content)
        return len(content)

    def identity(self) -> FileIdentity:
        return FileIdentity(bytes=self._size, sha256=self._digest.hexdigest())


def _noting(clips: Iterable[Clip], groups: dict[str, str], digests: list[str]) -> Iterator[Clip]:
    """Yields the clips, and adds the group of each recording to `groups`, by source, and their digests to `digests`.

    Raises:
        EarshotError: a recording has several groups, of which a shard can store one only.
    """
    for clip in clips:
        if clip.group is not None and (known := groups.setdefault(clip.source, clip.group)) != clip.group:
            raise EarshotError(
                f"{printable(clip.source)}: expected one group of the recording, found {printable(known)!r} and "
                f"{printable(clip.group)!r}; give all its clips the same group"
            )
        digests.append(clip_digest(clip))
        yield clip


def _row_groups(clips: Iterable[Clip], sample_rate: int) -> Iterator[pa.Table]:
    """Tables of at most 64 clips of one class; the clips of a class stay in their order."""
    waiting: dict[int, list[tuple[Any, ...]]] = {}
    for clip in clips:
        rows = waiting.setdefault(clip.label, [])
        rows.append(_row(clip, sample_rate))
        if len(rows) == ROW_GROUP:
            yield _to_table(waiting.pop(clip.label))
    for label in sorted(waiting):
        yield _to_table(waiting[label])


def _row(clip: Clip, sample_rate: int) -> tuple[Any, ...]:
    """The values of a clip, in the order of the schema."""
    audio = {"bytes": encode_flac(clip.samples, sample_rate), "path": _file_name(clip.clip_id)}
    position = (clip.source, clip.start, len(clip.samples), sample_rate)
    return (clip.clip_id, clip.split, clip.label, clip.class_name, *position, audio)


def _to_table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", clip_id) + ".flac"
