"""`model.json` of an exported model; imports no PyTorch."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.networks.specs import FrontEndSpec, Layer
from trainables.records import SeedTriple

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "model.json"
BACKBONE_FILES = ("backbone/config.json", "backbone/model.safetensors")
PART_FILE = re.compile(r"parts/([A-Za-z0-9][A-Za-z0-9_.-]*)\.safetensors", re.ASCII)
EXPORT_AGAIN = "export it again"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


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
        layer: see `BackboneSpec`.
        pool: see `BackboneSpec`.
    """

    name: str
    digest: Digest
    family: str = Field("ast", exclude_if=lambda family: family == "ast")
    layer: Layer = Field("last", exclude_if=lambda layer: layer == "last")
    pool: str = Field("", exclude_if=lambda pool: not pool)


class ExportedBenchmark(_Frozen):
    """The benchmark that the chain was trained on, and how its clips were made."""

    name: str
    fingerprint: str
    corpus: str
    settings: dict[str, Any]


class Description(_Frozen):
    """The content of `model.json`.

    Attributes:
        notes: the learner's state without its tensors.
        classes: in the order of the columns of scores.
        frontend: of an AST, or of a method without backbone; another backbone has its own.
        loudness: whether recordings were normalised to -23 LUFS.
        files: SHA-256 by path.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: str
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
    seeds: SeedTriple
    trial: str
    configuration: str
    session: int = Field(ge=0)
    planned_sessions: int = Field(ge=1)
    stage: Digest
    files: dict[str, Digest]

    @model_validator(mode="after")
    def _check_consistency(self) -> "Description":
        unexpected = [name for name in self.files if name not in BACKBONE_FILES and not PART_FILE.fullmatch(name)]
        if unexpected:
            raise ValueError(f"files: expected parts/NAME.safetensors or the backbone's, found {unexpected[0]!r}")
        if self.default_head not in self.heads:
            raise ValueError(f"default_head: expected one of {', '.join(self.heads)}, found {self.default_head!r}")
        if len({entry.label for entry in self.classes}) != len(self.classes):
            raise ValueError("classes: a label occurs twice")
        return self

    @classmethod
    def load(cls, folder: Path) -> "Description":
        """Reads `folder/model.json`.

        Raises:
            EarshotError: the file does not exist or is not valid for this version.
        """
        path = folder / FILE_NAME
        shown = printable(str(path))
        try:
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
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            line = printable(f"{key}: {message}" if key else message)
            raise EarshotError(f"{shown}: {line}; {EXPORT_AGAIN}") from None
