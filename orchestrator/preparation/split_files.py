"""A Parquet file for each split, in which the Hugging Face hub looks for them: `prepare --split-files`.

    DIR/splits/train-00000-of-00002.parquet, validation-00000-of-00001.parquet, test-00000-of-00001.parquet

Rows are copied from the shards in their order, audio as it is encoded: the clips are stored twice.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from math import ceil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datasets.benchmark.hub_features import HUB_KEY, hub_features
from datasets.benchmark.manifest import SPLITS, Manifest
from datasets.benchmark.shard_writer import parquet_writer
from datasets.benchmark.shards import READ_ERRORS, SCHEMA, unreadable
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location

FOLDER = "splits"
HUB_NAMES = {"train": "train", "val": "validation", "test": "test"}
"""What the hub calls each split."""
FILE_BYTES = 500 << 20
"""About the size of the largest file, as the hub recommends."""

_FILE = re.compile(
    rf"(?:train|validation|test)-\d{{5,}}-of-\d{{5,}}\.parquet"
    rf"|(?P<temporary>\.(?:train|validation|test)-.*\.parquet\.[0-9a-f]{{32}}{re.escape(TEMPORARY_SUFFIX)})",
    re.ASCII,
)
_ROWS = 64  # of a row group
_FINGERPRINT = "earshot.fingerprint"


def split_files(manifest: Manifest) -> dict[str, list[str]]:
    """The names of the files of each split that has clips, relative to the folder of the benchmark."""
    size = sum(shard.bytes for shard in manifest.shards)
    files = {}
    for split in SPLITS:
        clips = getattr(manifest.clips, split)
        count = min(clips, ceil(size * clips / manifest.clips.total / FILE_BYTES))
        if clips:
            files[split] = [
                f"{FOLDER}/{HUB_NAMES[split]}-{number:05d}-of-{count:05d}.parquet" for number in range(count)
            ]
    return files


def has_split_files(out: Location, manifest: Manifest) -> bool:
    """Whether all files of all splits exist and were made from this benchmark."""
    for files in split_files(manifest).values():
        for name in files:
            try:
                with (out / name).open() as file:
                    found = (pq.read_metadata(file).metadata or {}).get(_FINGERPRINT.encode())
            except (OSError, pa.ArrowException):
                return False
            if found != manifest.fingerprint.encode():
                return False
    return True


def write_split_files(out: Location, manifest: Manifest) -> None:
    """Writes the files of all splits, each so that a reader sees all of it or none; then removes those of earlier runs.

    Args:
        out: folder of the complete benchmark.
        manifest: of it.

    Raises:
        EarshotError: a shard is damaged, or a file of this name was not written by `prepare`.
        OSError: a file cannot be written.
    """
    features = {HUB_KEY: hub_features(manifest.sample_rate, manifest.class_names)}
    of_split = split_files(manifest)
    names = {name for files in of_split.values() for name in files}
    for name in sorted(names):
        if (out / name).size() is not None and not _may_replace(out / name):
            raise EarshotError(
                f"{out / name}: expected no file, or one that earshot prepare wrote, found another one; move it away"
            )
    for split, files in of_split.items():
        rows, clips = _Rows(out, manifest, split), getattr(manifest.clips, split)
        for number, name in enumerate(files):
            size = clips * (number + 1) // len(files) - clips * number // len(files)
            with (
                (out / name).atomic_path() as temporary,
                parquet_writer(temporary, schema=SCHEMA.with_metadata(features)) as writer,
            ):
                for start in range(0, size, _ROWS):
                    if len(table := rows.read(min(_ROWS, size - start))):
                        writer.write_table(table)
                writer.add_key_value_metadata({_FINGERPRINT: manifest.fingerprint})
    remove_split_files(out, keep=names)


def remove_split_files(out: Location, keep: Collection[str] = ()) -> None:
    """Removes the files that earlier runs wrote.

    Args:
        out: folder of the benchmark.
        keep: names of files, relative to `out`, that stay.
    """
    with suppress(FileNotFoundError):
        for name in (out / FOLDER).files():
            match = _FILE.fullmatch(name)
            if match and f"{FOLDER}/{name}" not in keep and (match["temporary"] or _may_replace(out / FOLDER / name)):
                (out / FOLDER / name).remove()


def _may_replace(file: Location) -> bool:
    """Whether a file with the name of a file of a split was written by `prepare`, or is damaged."""
    try:
        with file.open() as content:
            return _FINGERPRINT.encode() in (pq.read_metadata(content).metadata or {})
    except READ_ERRORS:
        return file.local is None or not file.local.is_dir()


class _Rows:
    """The clips of a split, in the order of the shards."""

    def __init__(self, out: Location, manifest: Manifest, split: str) -> None:
        self._tables = self._of_split(out, manifest, split)
        self._pending = SCHEMA.empty_table()

    def read(self, count: int) -> pa.Table:
        """The next clips, fewer than `count` at the end."""
        while len(self._pending) < count and (table := next(self._tables, None)) is not None:
            self._pending = pa.concat_tables([self._pending, table])
        result, self._pending = self._pending.slice(0, count), self._pending.slice(count)
        return result.combine_chunks()

    @staticmethod
    def _of_split(out: Location, manifest: Manifest, split: str) -> Iterator[pa.Table]:
        for entry in manifest.shards:
            try:
                with (out / entry.file).open() as file, pq.ParquetFile(file, page_checksum_verification=True) as shard:
                    for number in range(shard.num_row_groups):
                        table = shard.read_row_group(number).cast(SCHEMA)
                        yield table.filter(pc.equal(table["split"], split))
            except (*READ_ERRORS, ValueError) as error:  # ValueError: other columns
                raise unreadable(out / entry.file, error) from None
