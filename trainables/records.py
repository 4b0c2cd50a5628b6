"""What a trial leaves behind in its run folder: a record in JSON beside the predictions of each session in Parquet.

    RUN/trials/TRIAL/trial.json           this file's `TrialRecord`
    RUN/trials/TRIAL/session-00.parquet   `PREDICTIONS`: one row per clip and head, clips of all classes seen so far

Everything that a report says is computed from these files alone.
"""

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location

SCHEMA_VERSION: Literal[1] = 1

PREDICTIONS = pa.schema(
    [
        ("split", pa.string()),  # 'val' or 'test'
        ("clip_id", pa.string()),
        ("label", pa.int32()),
        ("head", pa.string()),
        ("prediction", pa.int32()),
    ]
)


class SeedTriple(BaseModel):
    """The three independent sources of randomness of a chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: int = Field(ge=0, lt=2**63)
    support: int = Field(ge=0, lt=2**63)
    initialisation: int = Field(ge=0, lt=2**63)

    def __str__(self) -> str:
        same = self.order == self.support == self.initialisation
        return f"s{self.order}" if same else f"s{self.order}.{self.support}.{self.initialisation}"


class SessionRecord(BaseModel):
    """One finished session of a trial."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    classes: tuple[int, ...]  # the labels that this session brought
    stage: str  # address of the stage, SHA-256 hex
    predictions: str  # file name beside the record
    seconds: float  # wall time of learning and scoring, when it was computed
    reused: bool  # the stage was found, not computed, by this trial
    parameters_stored: int
    parameters_used: int
    peak_bytes: int | None = None  # most memory at a time when it was computed: of the process, or of a GPU's tensors


class TrialRecord(BaseModel):
    """One chain under one configuration and one triple of seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    trial: str  # '{configuration}-{seeds}'
    configuration: str  # '{method}-{8 hex digits}': the same for all seeds
    method: str
    settings: dict[str, Any]  # of the method, fully resolved
    varied: dict[str, Any]  # the part of the settings that the search space varies
    seeds: SeedTriple
    benchmark: str
    benchmark_fingerprint: str
    class_names: tuple[str, ...]  # by label
    protocol: dict[str, Any]
    backbone: str
    frontend: str
    heads: tuple[str, ...]
    default_head: str
    planned_sessions: int
    status: Literal["running", "finished", "failed", "stopped"]
    stopped_by: Literal["asha", "budget"] | None = None  # where it was stopped
    error: str | None = None
    sessions: tuple[SessionRecord, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "TrialRecord":
        """Reads `folder/trial.json`.

        Raises:
            EarshotError: the file is absent or is not a record of this version.
        """
        path = folder / "trial.json"
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise EarshotError(f"{path}: not found; expected the record of a trial") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise EarshotError(f"{path}: {where}: {first['msg']}; run the sweep again to rewrite it") from None

    def save(self, folder: Path | Location) -> None:
        """Writes `folder/trial.json`, whole or not at all."""
        (Location.of(folder) / "trial.json").write((self.model_dump_json(indent=1) + "\n").encode())


FILE_NAME = "exceeded.json"
