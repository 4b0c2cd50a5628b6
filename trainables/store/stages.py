"""Finished sessions by content address: shared between trials, found again after any death.

    STORE/stages/ab/ADDRESS/stage.json          what it depends on, which parts, notes, cost
                           /predictions.parquet per-clip predictions of every head
    STORE/parts/cd/DIGEST.safetensors           tensors, by their own digest: equal parts are stored once

A stage's address is the SHA-256 of everything that it depends on, its parent's address among it. Its stage.json is
published last and by one rename, so a stage is there whole or not at all.
"""

import hashlib
import json
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from datasets.utils.files import TEMPORARY_SUFFIX, file_digest
from trainables.store.layout import description, part_file, predictions_file, stage_file
from trainables.store.lease import Lease
from trainables.store.shared_files import Place, SharedFiles
from trainables.store.state import State

SCHEMA_VERSION = 1


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
        peak_bytes: most memory at a time while it was computed; None where that is not known.
    """

    address: str
    depends_on: dict[str, Any]
    predictions: pa.Table
    seconds: float
    parameters_stored: int
    parameters_used: int
    peak_bytes: int | None = None


class StageStore:
    """The store of stages; any number of processes on any number of machines may use it at once.

    Args:
        place: folder or URI; a folder is made when first needed.
    """

    def __init__(self, place: Place) -> None:
        self.depot = SharedFiles(place)

    def find(self, address: str) -> Stage | None:
        """The stage at `address`, or None; one whose files are not what was published is removed."""
        described, predictions = self._intact(address)
        if described is None:
            return None
        self.depot.mark(stage_file(address))
        return Stage(
            address=address,
            depends_on=described["depends_on"],
            predictions=pq.read_table(pa.BufferReader(predictions)),
            seconds=described["seconds"],
            parameters_stored=described["parameters_stored"],
            parameters_used=described["parameters_used"],
            peak_bytes=described.get("peak_bytes"),
        )

    def has(self, address: str) -> bool:
        """Whether the stage at `address` was published; its files are not looked into."""
        return self.depot.has(stage_file(address))

    def state(self, address: str) -> State | None:
        """The learner's state after the stage, or None where a part of it is gone or damaged."""
        described = self._described(address)
        if described is None:
            return None
        parts = {}
        for name, digest in described["parts"].items():
            content = self._part(digest)
            if content is None:
                return None
            parts[name] = load_tensors(content)
        return State(parts, described["notes"])

    def publish(self, stage: Stage, state: State) -> None:
        """Makes a stage visible to everybody; it is there once its stage.json is, which comes last."""
        parts = {}
        before = (self._described(stage.depends_on.get("parent")) or {}).get("parts", {})
        for name, tensors in state.parts.items():
            if name in state.settled and name in before and self.depot.keep(part_file(before[name])):
                parts[name] = before[name]
            else:
                parts[name] = self._write_part(tensors)
        predictions = parquet_bytes(stage.predictions)
        with self.depot.published(predictions_file(stage.address)) as aside:
            aside.write_bytes(predictions)
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
            "peak_bytes": stage.peak_bytes,
        }
        with self.depot.published(stage_file(stage.address)) as aside:
            aside.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")

    def lease(self, address: str) -> Lease:
        """The right to compute the stage at `address`."""
        return self.depot.lease(stage_file(address))

    def _intact(self, address: str) -> tuple[dict[str, Any] | None, bytes]:
        for mend in (self.depot.forget, self.depot.remove):  # a damaged copy is fetched again
            described = self._described(address)
            path = self.depot.fetch(predictions_file(address)) if described is not None else None
            content = b""
            with suppress(FileNotFoundError):  # it was evicted just now
                content = path.read_bytes() if path is not None else b""
            if described is None or _digest(content) == described["predictions"]:
                return described, content
            mend(stage_file(address))
            mend(predictions_file(address))
        return None, b""

    def _described(self, address: str | None) -> dict[str, Any] | None:
        """The contents of a stage's stage.json; None where there is no such stage, or its file is damaged."""
        if address is None:
            return None
        for mend in (self.depot.forget, self.depot.remove):
            path = self.depot.fetch(stage_file(address))
            if path is None:
                return None
            try:
                return description(path.read_bytes(), address)
            except FileNotFoundError:
                return None
            except ValueError:
                mend(stage_file(address))
        return None

    def _part(self, digest: str) -> bytes | None:
        """The bytes of a part; None where it is gone or damaged."""
        for mend in (self.depot.forget, self.depot.remove):
            path = self.depot.fetch(part_file(digest))
            if path is None:
                return None
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
            if _digest(content) == digest:
                return content
            mend(part_file(digest))
        return None

    def _write_part(self, tensors: dict[str, Tensor]) -> str:
        """Writes a part under its digest, which it returns; not by way of bytes in memory, as it may be large."""
        folder = self.depot.path("parts")
        folder.mkdir(parents=True, exist_ok=True)
        made = folder / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        try:
            save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, made)
            digest = file_digest(made)
            if not self.depot.keep(part_file(digest)):
                with self.depot.published(part_file(digest)) as aside:
                    os.replace(made, aside)
        finally:
            made.unlink(missing_ok=True)
        return digest


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file with checksums: equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
