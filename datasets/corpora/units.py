"""Writes a unit of work as a shard, and reads from a finished shard which unit it contains.

The key-value metadata of the shard stores the key, the clip counts and the rejections of the unit. A killed run is
resumed from the shards alone: there are no sidecar files that could go out of sync.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from datasets.benchmark.manifest import SCHEMA_VERSION, ShardEntry, SplitCounts
from datasets.benchmark.shard_writer import read_entry, write_shard
from datasets.benchmark.shards import Clip
from datasets.corpora.corpus import Corpus, CorpusOptions, Unit
from datasets.corpora.inventory import Rejection, SourceFile
from datasets.utils.location import Location
from datasets.utils.text import printable

_METADATA = "earshot"


class UnitMetadata(BaseModel):
    """The unit of a shard, as stored in the metadata of the shard.

    Attributes:
        key: see `unit_key`.
        counts: clips per label.
        rejected: files of the unit that produced no clips.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    counts: dict[int, SplitCounts]
    rejected: tuple[Rejection, ...]


class FinishedUnit(UnitMetadata):
    """A unit whose shard is complete.

    Attributes:
        shard: name, size and digest of its file.
    """

    shard: ShardEntry


def unit_key(corpus: Corpus[Any], identity: Mapping[str, Any], unit: Unit, files: Sequence[SourceFile]) -> str:
    """SHA-256 (hex) of everything that the shard of a unit depends on.

    Covers the unit, the options (as returned by `Corpus.identity`), the path, size and modification time of its files,
    the corpus version and the schema version. A shard with this key is finished work, no matter which run wrote it.
    """
    listed = [[file.path, file.size, file.mtime_ns] for file in files]
    content = [SCHEMA_VERSION, corpus.name, corpus.version, dict(identity), asdict(unit), listed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def shard_name(index: int) -> str:
    """File of the shard of unit number `index`, relative to the folder of the benchmark."""
    return f"shards/{index:05d}.parquet"


def write_unit(
    corpus: Corpus[Any],
    options: CorpusOptions,
    source: Path,
    unit: Unit,
    key: str,
    place: Location,
    sample_rate: int,
) -> FinishedUnit:
    """Cuts a unit and writes its shard, in the calling process."""
    counts: dict[int, SplitCounts] = {}
    rejected: list[Rejection] = []
    metadata: dict[str, str] = {}

    def clips() -> Iterator[Clip]:
        for item in corpus.cut(source, unit, options):
            if isinstance(item, Rejection):
                rejected.append(Rejection(printable(item.file), printable(item.reason)))
            else:
                counts[item.label] = counts.get(item.label, SplitCounts()) + SplitCounts(**{item.split: 1})
                yield item
        metadata[_METADATA] = UnitMetadata(key=key, counts=counts, rejected=tuple(rejected)).model_dump_json()

    shard = write_shard(place, clips(), sample_rate, metadata)
    return FinishedUnit(key=key, shard=shard, counts=counts, rejected=tuple(rejected))


def read_finished(place: Location, key: str) -> FinishedUnit | None:
    """The finished unit whose shard is at `place`; None if there is no shard, or it belongs to another unit."""
    note = read_metadata(place)
    if note is None or note.key != key:
        return None
    try:
        shard = read_entry(place, sum(count.total for count in note.counts.values()))
    except (OSError, ValueError):  # it went away
        return None
    return FinishedUnit(key=key, shard=shard, counts=note.counts, rejected=note.rejected)


def read_metadata(place: Location) -> UnitMetadata | None:
    """The unit metadata of the shard at `place`; None if the file is absent or was not written by `write_unit`."""
    try:
        with place.open() as file:
            metadata = pq.read_metadata(file).metadata or {}
        return UnitMetadata.model_validate_json(metadata[_METADATA.encode()])
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return None
