"""A unit of work becomes a shard; a finished shard tells which unit it was made from.

The shard's own key-value metadata holds the unit's key, its counts and its rejections. A run that was killed is
resumed from the shards alone: no sidecar files, and nothing to keep in step with them.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.corpus import Corpus, CorpusOptions, Unit
from datasets.inventory import Inventory, Rejection, printable
from datasets.manifest import SCHEMA_VERSION, SPLITS, ShardEntry, SplitCounts
from datasets.shards import Clip, file_digest, write_shard

_METADATA = "earshot"


@dataclass(frozen=True)
class FinishedUnit:
    """What a unit's shard says about itself.

    Attributes:
        key: of the unit that it was made from.
        counts: clips per label.
        rejected: the unit's files that gave no clips.
    """

    key: str
    shard: ShardEntry
    counts: dict[int, SplitCounts]
    rejected: tuple[Rejection, ...]


def unit_key(corpus: Corpus[Any], options: CorpusOptions, unit: Unit, inventory: Inventory) -> str:
    """SHA-256 (hex) over everything that a unit's shard depends on.

    Covers the unit, all options, path, size and time of last change of its files, the corpus's version and the schema
    version. A shard with this key is finished work, whoever did it.
    """
    wanted = set(unit.files)
    files = [[file.path, file.size, file.mtime_ns] for file in inventory.files if file.path in wanted]
    settings = options.model_dump(mode="json")
    content = [SCHEMA_VERSION, corpus.name, corpus.version, settings, asdict(unit), files]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def shard_path(root: Path, index: int) -> Path:
    """Where the shard of the unit number `index` lies."""
    return root / "shards" / f"{index:05d}.parquet"


def write_unit(
    corpus: Corpus[Any], options: CorpusOptions, source: Path, unit: Unit, key: str, path: Path, sample_rate: int
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
        metadata[_METADATA] = json.dumps(
            {
                "unit": key,
                "counts": {label: [getattr(n, split) for split in SPLITS] for label, n in sorted(counts.items())},
                "rejected": [[rejection.file, rejection.reason] for rejection in rejected],
            }
        )

    shard = write_shard(path, clips(), sample_rate, metadata)
    return FinishedUnit(key, shard, counts, tuple(rejected))


def read_finished(path: Path, key: str) -> FinishedUnit | None:
    """The finished unit whose shard lies at `path`; None if there is none, or it belongs to another unit."""
    try:
        with pq.ParquetFile(path) as file:
            content = json.loads((file.metadata.metadata or {})[_METADATA.encode()])
            clips = file.metadata.num_rows
        if content["unit"] != key:
            return None
        return FinishedUnit(
            key,
            ShardEntry(
                file=f"shards/{path.name}", clips=clips, bytes=path.stat().st_size, sha256=file_digest(path)
            ),
            {
                int(label): SplitCounts(**dict(zip(SPLITS, numbers, strict=True)))
                for label, numbers in content["counts"].items()
            },
            tuple(Rejection(file, reason) for file, reason in content["rejected"]),
        )
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError):
        return None  # not a shard of ours: it will be written again
