"""Finished sessions by content address: shared between trials, found again after any death.

    STORE/stages/ab/ADDRESS/stage.json          what it depends on, which parts, notes, cost
                           /predictions.parquet per-clip predictions of every head
    STORE/parts/cd/DIGEST.safetensors           tensors, by their own digest: equal parts are stored once

A stage's address is the SHA-256 of everything that it depends on, its parent's address among it. A stage is published
by one rename, so it is there whole or not at all.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from datasets.files import ASIDE, file_digest
from trainables.learner import State

SCHEMA_VERSION = 1


def address_of(depends_on: dict[str, Any]) -> str:
    """SHA-256 hex of JSON data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Stage:
    """A finished session.

    Attributes:
        address: SHA-256 of `depends_on`.
        depends_on: everything that determines the session, in JSON types.
        predictions: per clip and head; `trainables.records.PREDICTIONS`.
        seconds: wall time of learning and scoring.
        parameters_stored: values that the learner keeps.
        parameters_used: values that scoring a clip uses.
    """

    address: str
    depends_on: dict[str, Any]
    predictions: pa.Table
    seconds: float
    parameters_stored: int
    parameters_used: int


class StageStore:
    """The store of stages; any number of processes may use it at once.

    Args:
        root: folder; made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, address: str) -> Stage | None:
        """The stage at `address`, or None; one whose files are not what was published is removed."""
        folder = self._folder(address)
        try:
            described = json.loads((folder / "stage.json").read_bytes())
            predictions = (folder / "predictions.parquet").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError:
            described, predictions = {}, b""
        if _digest(predictions) != described.get("predictions") or described.get("address") != address:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return Stage(
            address=address,
            depends_on=described["depends_on"],
            predictions=pq.read_table(pa.BufferReader(predictions)),
            seconds=described["seconds"],
            parameters_stored=described["parameters_stored"],
            parameters_used=described["parameters_used"],
        )

    def state(self, address: str) -> State | None:
        """The learner's state after the stage, or None where a part of it is gone or damaged."""
        try:
            described = json.loads((self._folder(address) / "stage.json").read_bytes())
            parts = {}
            for name, digest in described["parts"].items():
                content = self._part(digest).read_bytes()
                if _digest(content) != digest:
                    self._part(digest).unlink(missing_ok=True)
                    return None
                parts[name] = load_tensors(content)
        except (FileNotFoundError, ValueError):
            return None
        return State(parts, described["notes"])

    def publish(self, stage: Stage, state: State) -> None:
        """Makes a stage visible to everybody, at once and whole."""
        parts = {}
        before = self._parts_of(stage.depends_on.get("parent"))
        for name, tensors in state.parts.items():
            if name in state.settled and name in before and self._part(before[name]).exists():
                parts[name] = before[name]
                continue
            parts[name] = self._write_part(tensors)
        folder = self._folder(stage.address)
        aside = folder.with_name(f".{stage.address}.{os.getpid()}")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        predictions = parquet_bytes(stage.predictions)
        (aside / "predictions.parquet").write_bytes(predictions)
        described = {
            "schema_version": SCHEMA_VERSION,
            "address": stage.address,
            "depends_on": stage.depends_on,
            "parts": parts,
            "notes": state.notes,
            "predictions": _digest(predictions),
            "seconds": stage.seconds,
            "parameters_stored": stage.parameters_stored,
            "parameters_used": stage.parameters_used,
        }
        (aside / "stage.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
        try:
            aside.rename(folder)
        except OSError:  # somebody else published the same stage first, or a damaged one is in the way
            if self.find(stage.address) is not None:
                shutil.rmtree(aside, ignore_errors=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
                aside.rename(folder)

    def _write_part(self, tensors: dict[str, Tensor]) -> str:
        """Writes a part under its digest, which it returns; not by way of bytes in memory, as it may be large."""
        aside = self.root / "parts" / f".{uuid.uuid4().hex}{ASIDE}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, aside)
            digest = file_digest(aside)
            path = self._part(digest)
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                with aside.open("rb+") as file:
                    os.fsync(file.fileno())
                os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        return digest

    def _parts_of(self, address: str | None) -> dict[str, str]:
        """Digests of a stage's parts by name; empty where there is no such stage."""
        if address is None:
            return {}
        try:
            parts: dict[str, str] = json.loads((self._folder(address) / "stage.json").read_bytes())["parts"]
        except (FileNotFoundError, ValueError):
            return {}
        return parts

    @contextmanager
    def alone(self, address: str) -> Iterator[None]:
        """Holds the right to compute the stage at `address`; released by the system when its holder dies."""
        lock = self._folder(address).with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield

    def _folder(self, address: str) -> Path:
        return self.root / "stages" / address[:2] / address

    def _part(self, digest: str) -> Path:
        return self.root / "parts" / digest[:2] / f"{digest}.safetensors"


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file with checksums: equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
