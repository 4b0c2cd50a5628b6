"""`model.json` of an exported model, with its checksum; imports no PyTorch."""

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datasets.benchmark.protocol_hash import PATTERN
from datasets.utils.checksum import check_checksum, with_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.inference.history import Digest, HistoryEntry
from trainables.networks.specs import BackboneSpec, FrontEndSpec, Layer, Padding, Pool
from trainables.records import MethodCode, SeedTriple

SCHEMA_VERSION: Literal[4] = 4
"""1: without calibration and training; 2: without protocol hash and thresholds; 3: without history, threads and the
names of the benchmark's classes."""
CALIBRATION_BINS = 15  # as in Guo et al. 2017
FILE_NAME = "model.json"
BACKBONE_FILES = ("backbone/config.json", "backbone/model.safetensors")
PART_FILE = re.compile(r"parts/([A-Za-z0-9][A-Za-z0-9_.-]*)\.safetensors", re.ASCII)
EXPORT_AGAIN = "export it again"
MAX_JSON = 64 << 20  # bytes of a JSON file: the largest, with a million exemplars, has a tenth of it


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportedClass(_Frozen):
    """A class that the model knows; its name is untrusted text.

    Attributes:
        session: the session that introduced it.
    """

    label: int = Field(ge=0)
    name: str
    session: int = Field(ge=0)


class ExportedBackbone(_Frozen):
    """The pretrained network.

    Attributes:
        name: in the sweep.
        digest: see `Backbone.digest`.
        family: its file in `trainables.networks.backbones`.
        layer, pool, padding: see `BackboneSpec`.
        text: SHA-256 of the text tower, which is not in the folder; None for methods that do not use one, and in an
            export of an earlier schema version.
    """

    name: str
    digest: Digest
    family: str = Field("ast", exclude_if=lambda family: family == "ast")
    layer: Layer = Field("last", exclude_if=lambda layer: layer == "last")
    pool: Pool | None = Field(None, exclude_if=lambda pool: pool is None)
    padding: Padding = Field("model", exclude_if=lambda padding: padding == "model")
    text: Digest | None = Field(None, exclude_if=lambda text: text is None)


class ExportedBenchmark(_Frozen):
    """The benchmark that the chain was trained on, and how its clips were made.

    Attributes:
        class_names: of all its classes, by label; empty in an export of an earlier schema version.
    """

    name: str
    fingerprint: str
    corpus: str
    settings: dict[str, Any]
    class_names: tuple[str, ...] = ()


class HeadCalibration(_Frozen):
    """How the scores of a head become probabilities: softmax(scores / temperature).

    Attributes:
        temperature: 1 leaves the scores as they are.
        accuracy: on the clips that the temperature was fitted to, from 0 to 1; None without clips.
        ece: expected calibration error on these clips with the temperature, from 0 to 1.
        ece_uncalibrated: the same with a temperature of 1.
    """

    temperature: float = Field(gt=0, allow_inf_nan=False)
    accuracy: float | None = None
    ece: float | None = None
    ece_uncalibrated: float | None = None


class Calibration(_Frozen):
    """Temperatures fitted to validation clips; see `trainables.inference.calibration`.

    Attributes:
        clips: number of validation clips; 0 if there were none, so that every temperature is 1.
        bins: of the expected calibration error.
        heads: by name.
    """

    clips: int = Field(ge=0)
    bins: int = Field(ge=1)
    heads: dict[str, HeadCalibration]


class HeadThreshold(_Frozen):
    """Below which unknown score a sound is of none of the classes.

    Attributes:
        value: the threshold, on the scale of the head's scores.
        kept: fraction of the validation clips of known classes that are not below it.
        rejected: fraction of the validation clips of other classes that are below it; None without such clips.
    """

    value: float = Field(allow_inf_nan=False)
    kept: float = Field(ge=0, le=1)
    rejected: float | None = Field(None, ge=0, le=1)


class Thresholds(_Frozen):
    """Thresholds chosen on validation clips; see `trainables.inference.thresholds`.

    Attributes:
        keep: fraction of the clips of known classes that was to be kept, at least.
        clips: number of these clips.
        other_clips: number of validation clips of classes that the model does not know.
        other_classes: number of their classes.
        heads: by name.
    """

    keep: float = Field(gt=0, le=1)
    clips: int = Field(ge=1)
    other_clips: int = Field(ge=0)
    other_classes: int = Field(ge=0)
    heads: dict[str, HeadThreshold]


class Training(_Frozen):
    """What the model has learned from.

    Attributes:
        clips: number of train clips learned from.
        of: number of train clips that the benchmark has of these classes.
        all_clips: whether the chain was trained again on all of them (`export --train-on-all`).
    """

    clips: int = Field(ge=1)
    of: int = Field(ge=1)
    all_clips: bool


class Description(_Frozen):
    """The content of `model.json`.

    Attributes:
        method_code: of a method that is not one of Earshot; None for others.
        calibration: None in an export of schema version 1, whose probabilities are not calibrated.
        training: None in an export of schema version 1.
        thresholds: None without validation clips, and in an export of schema version 1 or 2: every sound gets a class.
        protocol_hash: of the chain; None in an export of schema version 1 or 2.
        notes: the learner's state without its tensors.
        classes: in the order of the columns of scores.
        frontend: of an AST, or of a method without backbone; another backbone has its own.
        loudness: whether recordings were normalised to -23 LUFS.
        stage: None in a model that no chain of a run has trained.
        files: SHA-256 by path.
        threads: CPU threads that the chain was computed with; they affect rounding.
        history: what was taught and forgotten since the export, in order.
    """

    schema_version: Literal[1, 2, 3, 4] = SCHEMA_VERSION
    method: str
    method_code: MethodCode | None = Field(None, exclude_if=lambda code: code is None)
    version: int
    settings: dict[str, Any]
    notes: dict[str, Any]
    classes: tuple[ExportedClass, ...] = Field(min_length=1)
    heads: tuple[str, ...]
    default_head: str
    frontend: FrontEndSpec
    sample_rate: int = Field(gt=0, le=768_000)
    num_samples: int = Field(gt=0, le=1 << 24)
    loudness: bool
    precision: Literal["float32", "bf16"]
    backbone: ExportedBackbone | None
    benchmark: ExportedBenchmark
    protocol: dict[str, Any]
    protocol_hash: str | None = Field(None, pattern=PATTERN)
    seeds: SeedTriple
    trial: str
    configuration: str
    session: int = Field(ge=0)
    planned_sessions: int = Field(ge=1)
    stage: Digest | None
    files: dict[str, Digest]
    calibration: Calibration | None = None
    training: Training | None = None
    thresholds: Thresholds | None = None
    threads: int = Field(1, ge=1, le=1024)
    history: tuple[HistoryEntry, ...] = ()

    @model_validator(mode="after")
    def _check_consistency(self) -> "Description":
        unexpected = [name for name in self.files if name not in BACKBONE_FILES and not PART_FILE.fullmatch(name)]
        if unexpected:
            raise ValueError(f"files: expected parts/NAME.safetensors or the backbone's, found {unexpected[0]!r}")
        if self.default_head not in self.heads:
            raise ValueError(f"default_head: expected one of {', '.join(self.heads)}, found {self.default_head!r}")
        if self.calibration is not None and set(self.calibration.heads) != set(self.heads):
            raise ValueError(f"calibration: expected the heads {', '.join(self.heads)}")
        if self.thresholds is not None and set(self.thresholds.heads) != set(self.heads):
            raise ValueError(f"thresholds: expected the heads {', '.join(self.heads)}")
        if (window := self.frontend.window or 0) > 2 * self.num_samples:
            raise ValueError(f"frontend.window: expected at most twice the {self.num_samples} samples, found {window}")
        if len({entry.label for entry in self.classes}) != len(self.classes):
            raise ValueError("classes: a label occurs twice")
        return self

    def temperature(self, head: str) -> float:
        """What the scores of a head are divided by to become probabilities."""
        return self.calibration.heads[head].temperature if self.calibration is not None else 1.0

    def threshold(self, head: str) -> float | None:
        """Below which unknown score a sound is of none of the classes; None without thresholds."""
        return self.thresholds.heads[head].value if self.thresholds is not None else None

    def backbone_spec(self, code: str = "", trust_remote_code: str | None = None) -> BackboneSpec | None:
        """The pretrained network with its options, to train another model; None for methods without one.

        Args:
            code: that the user has given instead of the name; code that an export names is never run.
            trust_remote_code: the revision of the latter.
        """
        if (entry := self.backbone) is None:
            return None
        frontend = FrontEndSpec(kind=self.frontend.kind)
        if frontend.resolved(self.sample_rate, self.num_samples) != self.frontend:
            frontend = self.frontend  # a window of its own
        return BackboneSpec(code or entry.name, frontend, entry.layer, entry.pool, entry.padding, trust_remote_code)

    def save(self, folder: Path) -> None:
        """Writes `folder/model.json`, with its checksum."""
        content = with_checksum(json.loads(self.model_dump_json()))
        (folder / FILE_NAME).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Description":
        """Reads `folder/model.json`.

        Raises:
            EarshotError: the file does not exist, differs from its checksum or is not valid for this version.
        """
        path = folder / FILE_NAME
        shown = printable(str(path))
        try:
            if (size := path.stat().st_size) > MAX_JSON:
                raise EarshotError(f"{shown}: expected at most {MAX_JSON} bytes, found {size}; {EXPORT_AGAIN}")
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise EarshotError(f"{shown}: not found; expected a folder written by earshot export") from None
        except (ValueError, RecursionError):
            raise EarshotError(f"{shown}: not JSON; {EXPORT_AGAIN}") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise EarshotError(
                f"{shown}: schema_version: expected at most {SCHEMA_VERSION}, found {version}; written by a newer "
                "version of Earshot: update this one"
            )
        if isinstance(content, dict):
            content = check_checksum(content, shown, EXPORT_AGAIN)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            line = printable(f"{key}: {message}" if key else message)
            raise EarshotError(f"{shown}: {line}; {EXPORT_AGAIN}") from None
