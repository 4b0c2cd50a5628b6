"""Writes a unit of work as a shard, and reads from a finished shard which unit it contains.

The key-value metadata of the shard stores the key, the clip counts and the rejections of the unit. A killed run is
resumed from the shards alone: there are no sidecar files that could go out of sync.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from datasets.benchmark.clips import Clip
from datasets.benchmark.hub_features import HUB_KEY, hub_features
from datasets.benchmark.manifest import SCHEMA_VERSION, SPLITS, ShardEntry, SplitCounts
from datasets.benchmark.measures import NEAR_SILENT_DB, content_digest, level_db, to_16_bit
from datasets.benchmark.shard_writer import read_clips, read_entry, write_again, write_shard
from datasets.corpora.corpus import Corpus, CorpusOptions, Unit
from datasets.corpora.inventory import Rejection, SourceFile
from datasets.utils.location import Location
from datasets.utils.text import printable

_METADATA = "earshot"


class ClipContent(NamedTuple):
    """A clip that may be a duplicate.

    Attributes:
        digest: of its audio, see `datasets.benchmark.measures.content_digest`.
    """

    clip_id: str
    split: str
    source: str
    digest: str


class UnitMetadata(BaseModel):
    """The unit of a shard, as stored in the metadata of the shard.

    Attributes:
        key: see `unit_key`.
        counts: clips per label.
        rejected: files of the unit that produced no clips.
        silent: clips that `drop_silence` left out, with their recordings.
        contents: with `drop_duplicates`, the clips of the unit, including the duplicates that are no longer in the
            shard: another run can find the duplicates again from these alone.
        duplicates: clips that `drop_duplicates` left out, with their recordings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    counts: dict[int, SplitCounts]
    rejected: tuple[Rejection, ...]
    silent: tuple[Rejection, ...] = Field((), exclude_if=lambda value: not value)
    contents: tuple[ClipContent, ...] = Field((), exclude_if=lambda value: not value)
    duplicates: tuple[Rejection, ...] = Field((), exclude_if=lambda value: not value)


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
    content = [SCHEMA_VERSION, corpus.name, corpus.version, dict(identity), vars(unit), listed]
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
    class_names: Sequence[str] = (),
) -> FinishedUnit:
    """Cuts a unit and writes its shard, in the calling process; for `class_names` see `write_shard`."""
    counts: dict[int, SplitCounts] = {}
    rejected: list[Rejection] = []
    silent: list[Rejection] = []
    contents: list[ClipContent] = []
    metadata: dict[str, str] = {}

    def note() -> UnitMetadata:
        return UnitMetadata(
            key=key, counts=counts, rejected=tuple(rejected), silent=tuple(silent), contents=tuple(contents)
        )

    def clips() -> Iterator[Clip]:
        for item in corpus.cut(source, unit, options):
            if isinstance(item, Rejection):
                rejected.append(Rejection(printable(item.file), printable(item.reason)))
                continue
            if options.drop_silence and (reason := silence(item)):
                silent.append(Rejection(printable(item.source), printable(reason)))
                continue
            if options.drop_duplicates:
                digest = content_digest(to_16_bit(item.samples))
                contents.append(ClipContent(item.clip_id, item.split, item.source, digest))
            counts[item.label] = counts.get(item.label, SplitCounts()) + SplitCounts(**{item.split: 1})
            yield item
        metadata[_METADATA] = note().model_dump_json()

    shard = write_shard(place, clips(), sample_rate, metadata, class_names)
    return _finished(note(), shard)


def silence(clip: Clip) -> str:
    """Why `drop_silence` leaves a clip out; "" if it does not."""
    level = float(level_db(to_16_bit(clip.samples) / np.float32(32768)))
    if level >= NEAR_SILENT_DB:
        return ""
    found = f"RMS {level:.1f} dBFS" if np.isfinite(level) else "digital silence"
    return f"clip {clip.clip_id} was dropped: {found}"


def rewrite_without(
    place: Location,
    unit: FinishedUnit,
    duplicates: Mapping[str, Rejection],
    sample_rate: int,
    class_names: Sequence[str] = (),
) -> FinishedUnit:
    """Writes the shard of a unit again, without some of its clips.

    Args:
        place: of the shard.
        unit: with all its clips.
        duplicates: what becomes of the clips to leave out, by clip id.
        sample_rate: of the clips, in Hz.
        class_names: see `write_shard`.

    Raises:
        OSError: the shard cannot be read or written.
    """
    counts = dict(unit.counts)
    metadata: dict[str, str] = {}
    changes = {"duplicates": tuple(duplicates.values())}

    def clips() -> Iterator[Clip]:
        for clip in read_clips(place):
            if clip.clip_id in duplicates:
                one = {split: int(split == clip.split) for split in SPLITS}
                left = {split: getattr(counts[clip.label], split) - one[split] for split in SPLITS}
                counts[clip.label] = SplitCounts(**left)
            else:
                yield clip
        kept = {name: getattr(unit, name) for name in UnitMetadata.model_fields}
        metadata[_METADATA] = UnitMetadata(**kept | changes | {"counts": counts}).model_dump_json()

    shard = write_shard(place, clips(), sample_rate, metadata, class_names)
    return unit.model_copy(update=changes | {"counts": counts, "shard": shard})


def _finished(note: UnitMetadata, shard: ShardEntry) -> FinishedUnit:
    return FinishedUnit(shard=shard, **{name: getattr(note, name) for name in UnitMetadata.model_fields})


def read_finished(place: Location, key: str) -> FinishedUnit | None:
    """The finished unit whose shard is at `place`; None if there is no shard, or it belongs to another unit."""
    note = read_metadata(place)
    if note is None or note.key != key:
        return None
    try:
        shard = read_entry(place, sum(count.total for count in note.counts.values()))
    except (OSError, ValueError):  # it went away
        return None
    return _finished(note, shard)


def completed(place: Location, unit: FinishedUnit, sample_rate: int, class_names: Sequence[str]) -> FinishedUnit:
    """The unit, whose shard is copied if it lacks what earlier versions did not write, or was for other classes.

    Raises:
        OSError: the shard cannot be read or written.
        ValueError: the file is damaged.
    """
    features = _key_values(place).get(HUB_KEY.encode())
    if unit.shard.content is not None and features == hub_features(sample_rate, class_names).encode():
        return unit
    return unit.model_copy(update={"shard": write_again(place, sample_rate, class_names)})


def read_metadata(place: Location) -> UnitMetadata | None:
    """The unit metadata of the shard at `place`; None if the file is absent or was not written by `write_unit`."""
    try:
        return UnitMetadata.model_validate_json(_key_values(place)[_METADATA.encode()])
    except (OSError, pa.ArrowException, ValueError, KeyError):
        return None


def _key_values(place: Location) -> dict[bytes, bytes]:
    with place.open() as file:
        return pq.read_metadata(file).metadata or {}
