"""`model.json` of an exported model, with its checksum; imports no PyTorch."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datasets.utils.checksum import check_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.networks.specs import FrontEndSpec
from trainables.records import SeedTriple

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "model.json"
BACKBONE_FILES = ("backbone/config.json", "backbone/model.safetensors")
PART_FILE = re.compile(r"parts/([A-Za-z0-9][A-Za-z0-9_.-]*)\.safetensors", re.ASCII)
EXPORT_AGAIN = "export it again"
MAX_JSON = 64 << 20  # bytes of a JSON file: the largest, with a million exemplars, has a tenth of it

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
    """The pretrained network: its name in the sweep, and its digest (`Backbone.digest`)."""

    name: str
    digest: Digest


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
        if (window := self.frontend.window or 0) > 2 * self.num_samples:
            raise ValueError(f"frontend.window: expected at most twice the {self.num_samples} samples, found {window}")
        if len({entry.label for entry in self.classes}) != len(self.classes):
            raise ValueError("classes: a label occurs twice")
        return self

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
