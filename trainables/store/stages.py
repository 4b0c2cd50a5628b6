"""Finished sessions by content address: shared between trials, and reused after a crash.

    STORE/stages/ab/ADDRESS/stage.json          what it depends on, its parts, notes, cost
                           /predictions.parquet per-clip predictions of every head
    STORE/parts/cd/DIGEST.safetensors           tensors, by their own digest: equal parts are stored once

A stage's address is the SHA-256 of everything that it depends on, including its parent's address. Its stage.json is
published last and by one rename, so a stage is either complete or absent.
"""

import hashlib
import json
import os
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from datasets.utils.checksum import with_checksum
from datasets.utils.files import TEMPORARY_SUFFIX, file_digest
from trainables.store.layout import parse_description, part_file, predictions_file, stage_file
from trainables.store.lease import Lease
from trainables.store.shared_files import Place, SharedFiles
from trainables.store.state import State

SCHEMA_VERSION = 1

Content = TypeVar("Content")


@dataclass(frozen=True)
class Stage:
    """A finished session.

    Attributes:
        address: SHA-256 of `depends_on`.
        depends_on: everything that determines the session, in JSON types.
        predictions: per clip and head; `trainables.records.PREDICTIONS`.
        seconds: wall time of learning and scoring.
        parameters_stored: number of values in the learner's state.
        parameters_used: number of values used to score a clip.
        peak_bytes: peak memory while it was computed; None if unknown.
        training: curves of its trainings (`trainables.training_curves`), in JSON types; not in stages of earlier
            versions.
    """

    address: str
    depends_on: dict[str, Any]
    predictions: pa.Table
    seconds: float
    parameters_stored: int
    parameters_used: int
    peak_bytes: int | None = None
    training: tuple[dict[str, Any], ...] = ()


class StageStore:
    """The store of stages; any number of processes on any number of machines may use it concurrently.

    Args:
        place: folder or URI; a folder is created when first needed.
    """

    def __init__(self, place: Place) -> None:
        self.shared_files = SharedFiles(place)
        self._last_parts: dict[str, _WrittenPart] = {}  # of the stage that was published last, by name

    def find(self, address: str) -> Stage | None:
        """The stage at `address`, or None; a stage with damaged files is removed."""
        description, predictions = self._read_stage(address)
        if description is None:
            return None
        self.shared_files.mark_used(stage_file(address))
        return Stage(
            address=address,
            depends_on=description["depends_on"],
            predictions=pq.read_table(pa.BufferReader(predictions)),
            seconds=description["seconds"],
            parameters_stored=description["parameters_stored"],
            parameters_used=description["parameters_used"],
            peak_bytes=description.get("peak_bytes"),
            training=tuple(training) if isinstance(training := description.get("training"), list) else (),
        )

    def has(self, address: str) -> bool:
        """Whether the stage at `address` is published; its files are not checked."""
        return self.shared_files.has(stage_file(address))

    def has_state(self, address: str) -> bool:
        """Whether all parts of the learner's state after a stage are there; their contents are not verified."""
        description = self._read_description(address)
        return description is not None and all(
            self.shared_files.has(part_file(digest)) for digest in description["parts"].values()
        )

    def state(self, address: str) -> State | None:
        """The learner's state after the stage; None if a part of it is missing or damaged."""
        description = self._read_description(address)
        if description is None:
            return None
        contents = {name: self._read_part(digest) for name, digest in description["parts"].items()}
        if None in contents.values():  # known after reading all: every damaged part has then been removed
            return None
        parts = {name: load_tensors(content) for name, content in contents.items() if content is not None}
        return State(parts, description["notes"])

    def publish(self, stage: Stage, state: State) -> None:
        """Publishes a stage. Its stage.json is written last and makes it visible to all processes."""
        parts: dict[str, str] = {}
        written: dict[str, _WrittenPart] = {}
        of_parent = (self._read_description(stage.depends_on.get("parent")) or {}).get("parts", {})
        for name, tensors in state.parts.items():
            known = (
                of_parent[name] if name in state.settled and name in of_parent else self._written_before(name, tensors)
            )
            if known is not None and self.shared_files.protect(part_file(known)):
                parts[name] = known
            else:
                parts[name] = self._write_part(tensors)
            references = {key: weakref.ref(tensor) for key, tensor in tensors.items()}
            written[name] = _WrittenPart(parts[name], references, _versions(tensors))
        self._last_parts = written
        predictions = parquet_bytes(stage.predictions)
        with self.shared_files.publish(predictions_file(stage.address)) as temporary:
            temporary.write_bytes(predictions)
        description = {
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
            **({"training": stage.training} if stage.training else {}),
        }
        with self.shared_files.publish(stage_file(stage.address)) as temporary:
            temporary.write_text(json.dumps(with_checksum(description), indent=1) + "\n", encoding="utf-8")

    def lease(self, address: str) -> Lease:
        """The lease to compute the stage at `address`."""
        return self.shared_files.lease(stage_file(address))

    def _read_stage(self, address: str) -> tuple[dict[str, Any] | None, bytes]:
        """Description and predictions of a stage; None and no bytes if it is absent or damaged."""
        files = self.shared_files
        for remove_damaged in (files.remove_local, files.remove):  # a damaged local copy is fetched again
            description = self._read_description(address)
            path = files.fetch(predictions_file(address)) if description is not None else None
            content = b""
            with suppress(FileNotFoundError):  # it has just been evicted
                content = path.read_bytes() if path is not None else b""
            if description is None or _digest(content) == description["predictions"]:
                return description, content
            remove_damaged(stage_file(address))
            remove_damaged(predictions_file(address))
        return None, b""

    def _read_description(self, address: str | None) -> dict[str, Any] | None:
        """The contents of a stage's stage.json; None if there is no such stage or the file is damaged."""
        if address is None:
            return None
        return self._read(stage_file(address), lambda content: parse_description(content, address))

    def _read_part(self, digest: str) -> bytes | None:
        """The bytes of a part; None if it is missing or damaged."""

        def check(content: bytes) -> bytes:
            if _digest(content) != digest:
                raise ValueError(f"not the part {digest}")
            return content

        return self._read(part_file(digest), check)

    def _read(self, name: str, parse: Callable[[bytes], Content]) -> Content | None:
        """Reads a file, None if there is none; one for which `parse` raises `ValueError` is damaged and removed."""
        files = self.shared_files
        for remove_damaged in (files.remove_local, files.remove):  # a damaged local copy is fetched again
            path = files.fetch(name)
            if path is None:
                return None
            try:
                return parse(path.read_bytes())
            except FileNotFoundError:
                return None
            except ValueError:
                remove_damaged(name)
        return None

    def _written_before(self, name: str, tensors: dict[str, Tensor]) -> str | None:
        """The digest of a part of the last stage whose tensors are these objects, not changed since; else None.

        A learner whose statistics are a part per class would write and hash all classes again in every session.
        """
        before = self._last_parts.get(name)
        if before is None or before.tensors.keys() != tensors.keys() or any(t.is_inference() for t in tensors.values()):
            return None
        same = all(before.tensors[key]() is tensor for key, tensor in tensors.items())
        return before.digest if same and before.versions == _versions(tensors) else None

    def _write_part(self, tensors: dict[str, Tensor]) -> str:
        """Writes a part and returns its digest; directly to disk, as it may be large."""
        folder = self.shared_files.path("parts")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f".{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
        try:
            save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file)
            digest = file_digest(file)
            if not self.shared_files.protect(part_file(digest)):
                with self.shared_files.publish(part_file(digest)) as temporary:
                    os.replace(file, temporary)
        finally:
            file.unlink(missing_ok=True)
        return digest


@dataclass(frozen=True)
class _WrittenPart:
    """A part in the store, and the tensors that it was written from.

    Attributes:
        digest: of the part.
        tensors: by name; not kept alive.
        versions: how often each had been changed in place.
    """

    digest: str
    tensors: dict[str, "weakref.ref[Tensor]"]
    versions: list[int]


def _versions(tensors: dict[str, Tensor]) -> list[int]:
    return [-1 if tensor.is_inference() else tensor._version for tensor in tensors.values()]


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file with checksums: equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
