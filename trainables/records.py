"""The result of a trial in its run folder: a record in JSON, and the predictions of each session in Parquet.

    RUN/trials/TRIAL/trial.json           a `TrialRecord`
    RUN/trials/TRIAL/session-00.parquet   `SCORED_PREDICTIONS`: one row per clip and head, clips of all classes so far
    RUN/trials/TRIAL/unknown-00.parquet   `UNKNOWN`: the same for test clips of the classes that the next session brings
    RUN/trials/TRIAL/training-00.json     `trainables.training_curves`: loss by epoch, of methods that train

Reports are computed from these files alone. The record ends with its checksum and holds the SHA-256 of each of them, so
that a changed digit in any is an error; those of earlier versions have neither checksums nor clips of unknown classes.
All of them hold the protocol hash, predictions in their metadata.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from datasets.benchmark.chain_digests import PATTERN as DIGEST
from datasets.benchmark.manifest import Manifest
from datasets.benchmark.protocol_hash import PATTERN
from datasets.utils.checksum import check_checksum, with_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from trainables.networks.specs import Layer, Padding, Pool

SCHEMA_VERSION: Literal[2] = 2  # 1: without the protocol hash

Track = Literal["inductive", "transductive"]
"""Whether a method classifies each clip alone, or the query clips of a session as one batch.

Tables list them in this order, which is alphabetical."""
INDUCTIVE: Track = "inductive"
TRANSDUCTIVE: Track = "transductive"

EXCEEDED_FILE = "exceeded.json"
"""Beside the record of a trial that exceeded the memory limit; see `trainables.memory_limit`."""

RECOMPUTE = "delete the folder of the trial and run the sweep again"
"""What to do about a damaged file of a trial."""

PROTOCOL_HASH = b"earshot.protocol_hash"
"""Key of the protocol hash in the metadata of a file of predictions."""

PREDICTIONS = pa.schema(
    [
        ("split", pa.string()),  # 'val' or 'test'
        ("clip_id", pa.string()),
        ("label", pa.int32()),
        ("head", pa.string()),
        ("prediction", pa.int32()),
    ]
)
_ELEMENT = "element"  # as Parquet names the values of a list: a table that was read gives the same bytes again
SCORES = pa.schema(
    [
        ("confidence", pa.float32()),  # probability of the prediction; null without validation clips
        (
            "top_classes",
            pa.list_(pa.field(_ELEMENT, pa.int32())),
        ),  # the classes with the highest scores, the best first
        ("top_scores", pa.list_(pa.field(_ELEMENT, pa.float32()))),  # their scores
    ]
)
"""More columns of predictions; those of version 0.1 lack them."""
SCORED_PREDICTIONS = pa.unify_schemas([PREDICTIONS, SCORES])
UNKNOWN = pa.schema([*(field for field in PREDICTIONS if field.name != "split"), SCORES.field("top_scores")])
"""Predictions for clips of classes still to come, which cannot be right, with the two highest scores."""


class SeedTriple(BaseModel):
    """The three independent sources of randomness of a chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: int = Field(ge=0, lt=2**63)
    support: int = Field(ge=0, lt=2**63)
    initialisation: int = Field(ge=0, lt=2**63)

    def __str__(self) -> str:
        same = self.order == self.support == self.initialisation
        return f"s{self.order}" if same else f"s{self.order}.{self.support}.{self.initialisation}"


class MethodCode(BaseModel):
    """The code of a method that is not one of Earshot.

    Attributes:
        name: `file.py:class` without its folder, or `package.module:class`. It is for people: no code that a record
            names is run.
        sha256: of the code.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str

    @classmethod
    def of(cls, code: str, sha256: str) -> "MethodCode | None":
        """What is recorded of code; None for a method of Earshot, which has none."""
        return cls(name=Path(code).name, sha256=sha256) if code else None


class SessionRecord(BaseModel):
    """One finished session of a trial.

    Attributes:
        index: of the session, from 0.
        classes: labels that this session introduced.
        left: labels that left in this session.
        stage: address of the stage, SHA-256 hex.
        predictions: name of the predictions file beside the record.
        predictions_sha256: of that file; None in records of earlier versions.
        unknown: name of the file of clips of classes still to come; None if no class is, and in records of earlier
            versions.
        unknown_sha256: of that file.
        training: name of the file of training curves; None if the method trained nothing in this session, if it was
            cached by an earlier version, and in records of earlier versions.
        training_sha256: of that file.
        seconds: wall time of learning and scoring, when the session was computed.
        cached: whether the stage was in the store already; `reused` in the file.
        parameters_stored: number of values that the learner stores.
        parameters_used: number of values that scoring uses.
        peak_bytes: peak memory when the session was computed: of the process, or of the tensors on a GPU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    classes: tuple[int, ...]
    left: tuple[int, ...] = Field((), exclude_if=lambda left: not left)
    stage: str
    predictions: str
    predictions_sha256: str | None = Field(None, exclude_if=lambda value: value is None)
    unknown: str | None = Field(None, exclude_if=lambda value: value is None)
    unknown_sha256: str | None = Field(None, exclude_if=lambda value: value is None)
    training: str | None = Field(None, exclude_if=lambda value: value is None)
    training_sha256: str | None = Field(None, exclude_if=lambda value: value is None)
    seconds: float
    cached: bool = Field(validation_alias=AliasChoices("reused", "cached"), serialization_alias="reused")
    parameters_stored: int
    parameters_used: int
    peak_bytes: int | None = None


class TrialRecord(BaseModel):
    """One chain with one configuration and one triple of seeds.

    Attributes:
        trial: '{configuration}-{seeds}'.
        configuration: '{method}-{8 hex digits}': the same for all seeds.
        method_code: of a method that is not one of Earshot; None for others.
        settings: of the method, including defaults.
        varied: the part of the settings that the search space varies.
        track: `transductive` if the method sees the query clips of a session as one batch; not in older records.
        benchmark_content: digest of the clips, see `Manifest.content`; None in older records, and of a benchmark
            of an earlier version.
        class_names: by label.
        protocol_hash: see `datasets.benchmark.protocol_hash`; None in records of schema version 1.
        method_version: of the method; None in older records.
        corpus: that the benchmark was prepared from; None in older records.
        draw: digest of the support and validation clips, see `datasets.benchmark.chain_digests`; None in older records.
        trust_remote_code: the revision whose code ran, of a backbone that comes with its own.
        upsampled: sample rates of the clips and of the backbone, Hz, where the second is higher.
        stopped_by: what stopped the trial early, if its status is 'stopped'.
        error: why the trial failed, if its status is 'failed'.
        sessions: the finished sessions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    trial: str
    configuration: str
    method: str
    method_code: MethodCode | None = Field(None, exclude_if=lambda code: code is None)
    settings: dict[str, Any]
    varied: dict[str, Any]
    seeds: SeedTriple
    benchmark: str
    benchmark_fingerprint: str
    benchmark_content: str | None = Field(None, exclude_if=lambda digest: digest is None)
    class_names: tuple[str, ...]
    protocol: dict[str, Any]
    track: Track = Field(INDUCTIVE, exclude_if=lambda track: track == INDUCTIVE)
    protocol_hash: str | None = Field(None, pattern=PATTERN, exclude_if=lambda value: value is None)
    method_version: int | None = Field(None, exclude_if=lambda version: version is None)
    corpus: str | None = Field(None, exclude_if=lambda corpus: corpus is None)
    draw: str | None = Field(None, pattern=DIGEST, exclude_if=lambda digest: digest is None)
    backbone: str
    frontend: str
    layer: Layer = Field("last", exclude_if=lambda layer: layer == "last")
    pool: Pool | None = Field(None, exclude_if=lambda pool: pool is None)
    padding: Padding = Field("model", exclude_if=lambda padding: padding == "model")
    trust_remote_code: str | None = Field(None, exclude_if=lambda revision: revision is None)
    upsampled: tuple[int, int] | None = Field(None, exclude_if=lambda rates: rates is None)
    heads: tuple[str, ...]
    default_head: str
    planned_sessions: int
    status: Literal["running", "finished", "failed", "stopped"]
    stopped_by: Literal["asha", "budget"] | None = None
    error: str | None = None
    sessions: tuple[SessionRecord, ...] = ()

    @property
    def benchmark_digest(self) -> str:
        """What the protocol hash covers of the benchmark: the digest of its clips; in older records its fingerprint."""
        return self.benchmark_content or self.benchmark_fingerprint

    def has_benchmark(self, manifest: Manifest) -> bool:
        """Whether a benchmark has the clips of this chain, wherever and from whichever copies it was prepared."""
        return self.benchmark_fingerprint == manifest.fingerprint or self.benchmark_content == manifest.content_digest

    @classmethod
    def load(cls, folder: Path) -> "TrialRecord":
        """Reads `folder/trial.json`.

        Raises:
            EarshotError: the file does not exist, differs from its checksum or is not a record of this version.
        """
        path = folder / "trial.json"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise EarshotError(f"{path}: not found; expected the record of a trial") from None
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, path: str) -> "TrialRecord":
        """The record in the contents of a trial.json.

        Raises:
            EarshotError: they differ from their checksum or are not a record of this version.
        """
        try:
            values = json.loads(content)
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict):
            content = json.dumps(check_checksum(values, path, RECOMPUTE)).encode()
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "the file"
            raise EarshotError(f"{path}: {key}: {first['msg']}; run the sweep again to rewrite it") from None

    def save(self, folder: Path | Location) -> None:
        """Writes `folder/trial.json` atomically."""
        content = with_checksum(json.loads(self.model_dump_json(by_alias=True)))
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (Location.of(folder) / "trial.json").write(text.encode())


def predictions_digest(content: bytes) -> str:
    """SHA-256 hex of a file of a session."""
    return hashlib.sha256(content).hexdigest()
