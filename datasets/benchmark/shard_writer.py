"""Writing a shard: a Parquet file of clips, there whole or not at all.

A row group holds at most 64 clips of one class: a class is read without the rest, whatever else its shard holds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.audio.recordings import encode_flac
from datasets.benchmark.manifest import ShardEntry
from datasets.benchmark.shards import SCHEMA, Clip
from datasets.utils.files import file_digest
from datasets.utils.location import Location

ROW_GROUP = 64

# FLAC does not shrink further, and min/max of audio bytes help nobody.
_COMPRESSION = {
    **{name: "zstd" for name in SCHEMA.names if name != "audio"},
    "audio.bytes": "none",
    "audio.path": "zstd",
}
_REPEATED = ["split", "class_name", "source"]
_WITH_STATISTICS = [name for name in SCHEMA.names if name != "audio"]


def write_shard(
    place: Location | Path, clips: Iterable[Clip], sample_rate: int, metadata: Mapping[str, str] | None = None
) -> ShardEntry:
    """Writes one shard so that a reader sees all of it or none.

    Two writers of the same place are harmless: each has its own file aside, and the last one wins.

    Args:
        place: ends in `shards/NNNNN.parquet`.
        clips: written in this order, class by class; of each class fewer than 64 are held in memory, encoded.
        sample_rate: in Hz, of all clips.
        metadata: key-value metadata of the Parquet file, read after the last clip (so a generator may fill
            it).
    """
    location, count = Location.of(place), 0
    with location.atomic_path() as aside:
        with pq.ParquetWriter(
            aside,
            SCHEMA,
            compression=_COMPRESSION,
            use_dictionary=_REPEATED,
            write_statistics=_WITH_STATISTICS,
            data_page_size=1 << 20,
        ) as writer:
            for group in _row_groups(clips, sample_rate):
                writer.write_table(group, row_group_size=ROW_GROUP)
                count += len(group)
            writer.add_key_value_metadata(dict(metadata or {}))
        entry = ShardEntry(
            file=f"shards/{location.name}", clips=count, bytes=aside.stat().st_size, sha256=file_digest(aside)
        )
    return entry


def _row_groups(clips: Iterable[Clip], sample_rate: int) -> Iterator[pa.Table]:
    """Tables of at most 64 clips of one class; a class's clips stay in their order."""
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
    where = (clip.source, clip.start, len(clip.samples), sample_rate)
    return (clip.clip_id, clip.split, clip.label, clip.class_name, *where, audio)


def _to_table(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", clip_id) + ".flac"
