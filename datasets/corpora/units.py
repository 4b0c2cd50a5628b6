"""A unit of work becomes a shard; a finished shard tells which unit it was made from.

The shard's own key-value metadata holds the unit's key, its counts and its rejections. A run that was killed
is resumed from the shards alone: no sidecar files, and nothing to keep in step with them.
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


class ShardNote(BaseModel):
    """The metadata of a shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    counts: dict[int, SplitCounts]
    rejected: tuple[Rejection, ...]


class FinishedUnit(BaseModel):
    """What a unit's shard says about itself.

    Attributes:
        key: of the unit that it was made from.
        counts: clips per label.
        rejected: the unit's files that gave no clips.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    shard: ShardEntry
    counts: dict[int, SplitCounts]
    rejected: tuple[Rejection, ...]


def unit_key(corpus: Corpus[Any], identity: Mapping[str, Any], unit: Unit, files: Sequence[SourceFile]) -> str:
    """SHA-256 (hex) over everything that a unit's shard depends on.

    Covers the unit, the options (as `Corpus.identity` tells them), path, size and time of last change of its files,
    the corpus's version and the schema version. A shard with this key is finished work, whoever did it.
    """
    listed = [[file.path, file.size, file.mtime_ns] for file in files]
    content = [SCHEMA_VERSION, corpus.name, corpus.version, dict(identity), asdict(unit), listed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def shard_name(index: int) -> str:
    """File of the shard of the unit number `index`, relative to the benchmark's folder."""
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
    """Cuts a unit and writes its shard, in whatever process this is called."""
    counts: dict[int, SplitCounts] = {}
    rejected: list[Rejection] = []
    metadata: dict[str, str] = {}

    def clips() -> Iterator[Clip]:
        for item in corpus.cut(source, unit, options):
            if isinstance(item, Rejection):
                rejected.append(Rejection(printable(item.file), printable(item.reason)))
            else:
                one = SplitCounts(**{item.split: 1})
                counts[item.label] = counts.get(item.label, SplitCounts()) + one
                yield item
        metadata[_METADATA] = ShardNote(key=key, counts=counts, rejected=tuple(rejected)).model_dump_json()

    shard = write_shard(place, clips(), sample_rate, metadata)
    return FinishedUnit(key=key, shard=shard, counts=counts, rejected=tuple(rejected))


def read_finished(place: Location, key: str) -> FinishedUnit | None:
    """The finished unit whose shard lies at `place`; None if there is none, or it belongs to another unit."""
    note = read_note(place)
    if note is None or note.key != key:
        return None
    try:
        shard = read_entry(place, sum(count.total for count in note.counts.values()))
    except (OSError, ValueError):  # it went away
        return None
    return FinishedUnit(key=key, shard=shard, counts=note.counts, rejected=note.rejected)


def read_note(place: Location) -> ShardNote | None:
    """What the shard at `place` says about its unit; None if it is absent or no shard of ours."""
    try:
        with place.open() as file:
            metadata = pq.read_metadata(file).metadata or {}
        return ShardNote.model_validate_json(metadata[_METADATA.encode()])
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return None
