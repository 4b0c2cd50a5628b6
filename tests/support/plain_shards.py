"""Benchmarks as they were prepared before shards had page checksums."""

from pathlib import Path

import pyarrow.parquet as pq

from datasets.benchmark.manifest import Manifest, ShardEntry
from datasets.benchmark.shard_writer import parquet_writer
from datasets.utils.files import file_digest


def remove_page_checksums(root: Path) -> Manifest:
    """Writes the shards of a benchmark and its manifest again, as they were written without page checksums.

    Args:
        root: folder of the benchmark, whose shards have no key-value metadata of their own.
    """
    manifest = Manifest.load(root)
    entries = tuple(_rewrite(root, entry) for entry in manifest.shards)
    plain = manifest.model_copy(update={"shards": entries})
    plain.save(root)
    return plain


def _rewrite(root: Path, entry: ShardEntry) -> ShardEntry:
    path = root / entry.file
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    with parquet_writer(path, page_checksums=False) as writer:
        for group in groups:
            writer.write_table(group)
        writer.add_key_value_metadata({})
    return ShardEntry(file=entry.file, clips=entry.clips, bytes=path.stat().st_size, sha256=file_digest(path))
