"""The manifest of a benchmark: its shards, classes, settings and source.

DIR/manifest.json        written last: a benchmark with a manifest is complete
DIR/rejected.csv         source files without clips, with the reason
DIR/shards/00000.parquet one shard per unit of work
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from datasets.utils.checksum import json_digest, sum_of_digests
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location

SCHEMA_VERSION = 1
SPLITS = ("train", "val", "test")
SCORED_SPLITS = SPLITS[1:]
"""Splits whose clips are predicted and scored after every session."""
FILE_NAME = "manifest.json"

_SHARD_FILE = re.compile(r"shards/[0-9]{5,}\.parquet", re.ASCII)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitCounts(_Frozen):
    """Numbers of clips in each split."""

    train: int = Field(0, ge=0)
    val: int = Field(0, ge=0)
    test: int = Field(0, ge=0)

    def __add__(self, other: "SplitCounts") -> "SplitCounts":
        return SplitCounts(train=self.train + other.train, val=self.val + other.val, test=self.test + other.test)

    @property
    def total(self) -> int:
        """Clips in all three splits."""
        return self.train + self.val + self.test


class ClassEntry(_Frozen):
    """One class of the benchmark; `name` is untrusted text and never a path."""

    label: int = Field(ge=0)
    name: str
    clips: SplitCounts


class FileIdentity(_Frozen):
    """Size and SHA-256 (hex) of a file."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ShardEntry(_Frozen):
    """One shard file.

    Attributes:
        file: path relative to the benchmark's folder.
        clips: number of clips in it.
        bytes: size of the file.
        sha256: of the file, hexadecimal.
        plain: the same shard as written by the first versions, without page checksums, without the features of the
            Hugging Face hub, and with labels of 32 bits; None if it was written that way.
        content: digest of its clips, the sum of `datasets.benchmark.clips.clip_digest`; None in shards of earlier
            versions.
    """

    file: str
    clips: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    plain: FileIdentity | None = None
    content: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", exclude_if=lambda digest: digest is None)

    @property
    def page_checksums(self) -> bool:
        """Whether every page of the file carries a checksum."""
        return self.plain is not None

    @property
    def identity(self) -> FileIdentity:
        """Size and digest of the shard as written by the first versions.

        Fingerprints cover these, so that preparing a benchmark again keeps its fingerprint, and stages that were
        computed from it stay valid.
        """
        return self.plain or FileIdentity(bytes=self.bytes, sha256=self.sha256)

    @field_validator("file")
    @classmethod
    def _inside_shards(cls, value: str) -> str:
        # A manifest is untrusted: it must not lead a reader out of the benchmark's folder.
        if not _SHARD_FILE.fullmatch(value):
            raise ValueError(f"expected shards/NNNNN.parquet, found {value!r}")
        return value


class SourceEntry(_Frozen):
    """The recordings that the benchmark was made from."""

    fingerprint: str
    files: int = Field(ge=0)
    rejected: int = Field(ge=0)


class Manifest(_Frozen):
    """Description of a benchmark; immutable, saved once, after all shards.

    Attributes:
        settings: the options of the corpus, defaults included.
        sample_rate: of every clip, in Hz.
        num_samples: of every clip.
        classes: in label order, labels 0, 1, 2, ...
        base_classes: number of base classes by the benchmark's definition; None if it defines none.
        created: ISO 8601, UTC.
    """

    schema_version: Literal[1] = 1
    name: str
    corpus: str
    settings: dict[str, Any]
    sample_rate: int = Field(gt=0, le=768_000)
    num_samples: int = Field(gt=0, le=1 << 24)
    classes: tuple[ClassEntry, ...]
    base_classes: int | None = Field(None, ge=1)
    shards: tuple[ShardEntry, ...]
    source: SourceEntry
    versions: dict[str, str]
    created: str

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if [entry.label for entry in self.classes] != list(range(len(self.classes))):
            raise ValueError("classes are not in label order 0, 1, 2, ...")
        if self.base_classes is not None and self.base_classes > len(self.classes):
            raise ValueError(f"expected at most {len(self.classes)} base classes, found {self.base_classes}")
        files = [entry.file for entry in self.shards]
        if files != sorted(set(files), key=lambda file: (len(file), file)):
            raise ValueError("shards are not in file order, or named twice")
        if sum(entry.clips for entry in self.shards) != sum(entry.clips.total for entry in self.classes):
            raise ValueError("the clips of the shards and of the classes do not add up to the same number")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by label."""
        return tuple(entry.name for entry in self.classes)

    @property
    def clips(self) -> SplitCounts:
        """Clips of all classes together."""
        return sum((entry.clips for entry in self.classes), SplitCounts())

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the files of the benchmark, by which stored results of it are found again.

        Covers the sample rate, the clip length, the class names in label order and the digests of the shards (see
        `ShardEntry.identity`) in file order. A shard says from which options and files it was made, so the same clips
        have another fingerprint if they were made in another way, or from copies of the recordings with other
        modification times: see `content_digest`.
        """
        content = [
            self.sample_rate,
            self.num_samples,
            list(self.class_names),
            [entry.identity.sha256 for entry in self.shards],
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def content(self) -> str | None:
        """`content_digest` if every shard has a digest of its clips; None for a benchmark of an earlier version."""
        contents = [entry.content for entry in self.shards if entry.content]
        if len(contents) < len(self.shards):
            return None
        return json_digest([self.sample_rate, self.num_samples, list(self.class_names), sum_of_digests(contents)])

    @property
    def content_digest(self) -> str:
        """SHA-256 (hex) of the clips: equal for all who have the same ones, however they were made and stored.

        Covers the sample rate, the clip length, the class names in label order, and the id, split, class and samples of
        every clip. Of a benchmark of an earlier version, whose shards have no digest of their clips, it is the
        fingerprint, until `prepare --force` has copied the shards.
        """
        return self.content or self.fingerprint

    @classmethod
    def load(cls, root: Location | Path | str) -> "Manifest":
        """Reads `root/manifest.json`.

        Raises:
            EarshotError: the manifest is absent (the benchmark is incomplete), invalid, or of a newer schema.
        """
        path = Location.of(root) / FILE_NAME
        try:
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise EarshotError(
                f"{path}: not found; expected a complete benchmark: run `earshot prepare` to the end"
            ) from None
        except OSError as error:
            raise EarshotError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from None
        except (ValueError, RecursionError):
            raise EarshotError(f"{path}: not JSON; prepare the benchmark again with --force") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise EarshotError(
                f"{path}: schema_version: expected at most {SCHEMA_VERSION}, found {version}; "
                "it was written by a newer Earshot: update Earshot or prepare the benchmark again"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "the file"
            raise EarshotError(f"{path}: {key}: {first['msg']}; prepare the benchmark again with --force") from None

    def save(self, root: Location | Path | str) -> None:
        """Writes `root/manifest.json` so that a reader sees all of it or none."""
        (Location.of(root) / FILE_NAME).write((self.model_dump_json(indent=1) + "\n").encode())
