"""The accuracy that no classifier can exceed, because the same clip is there under two labels: kept with a run.

    RUN/ceilings.json    test clips of each label, and which of them are the same

A classifier that hears a clip alone gives all clips of the same content one answer (`datasets.benchmark.audit`). The
counts are kept, not the ceilings, because these depend on the order of the classes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from orchestrator.results.run import Run

FILE_NAME = "ceilings.json"


class Twins(BaseModel):
    """Test clips of a benchmark by label, and those whose content has several labels.

    Attributes:
        fingerprint: of the benchmark.
        clips: test clips of each label.
        shared: for each content with several labels: the labels, and how many test clips of each have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    clips: tuple[int, ...]
    shared: tuple[tuple[tuple[int, int], ...], ...]

    def ceilings(self, brought: Iterable[Iterable[int]]) -> list[float]:
        """Highest accuracy after each session that brings these labels, as fractions of one; NaN without clips."""
        found: list[float] = []
        seen: set[int] = set()
        for labels in brought:
            seen |= set(labels)
            total = sum(self.clips[label] for label in seen)
            counts = [[count for label, count in content if label in seen] for content in self.shared]
            lost = sum(sum(content) - max(content) for content in counts if content)
            found.append((total - lost) / total if total else float("nan"))
        return found


def keep_twins(shards: Shards, folder: Path) -> None:
    """Writes `ceilings.json` of a benchmark into a run folder, unless it is there; reads the bytes of all test clips.

    Raises:
        EarshotError: a shard cannot be read.
    """
    known = _read(folder / FILE_NAME)
    if known is not None and known.fingerprint == shards.fingerprint:
        return
    positions = shards.select(splits=["test"])
    labels = shards.table.labels[positions].tolist()
    contents: dict[bytes, dict[int, int]] = {}
    for label, digest in zip(labels, shards.digests(positions), strict=True):
        counts = contents.setdefault(digest, {})
        counts[label] = counts.get(label, 0) + 1
    shared = tuple(tuple(sorted(counts.items())) for counts in contents.values() if len(counts) > 1)
    clips = np.bincount(np.array(labels, np.int64), minlength=len(shards.table.class_names))
    twins = Twins(fingerprint=shards.fingerprint, clips=tuple(clips.tolist()), shared=shared)
    write_atomically(folder / FILE_NAME, (twins.model_dump_json() + "\n").encode())


def ceilings(run: Run) -> dict[str, Any] | None:
    """Ceilings of a run's sessions, mean over its class orders, and how many labels share clips; None if unknown."""
    twins = _read(run.path / FILE_NAME)
    records = [record for record in run.trials.values() if len(record.sessions) == record.planned_sessions]
    if twins is None or not records or twins.fingerprint != records[0].benchmark_fingerprint:
        return None
    orders = {tuple(session.classes for session in record.sessions) for record in records}
    values = np.array([twins.ceilings(order) for order in sorted(orders)])
    pairs = {label for content in twins.shared for label, _ in content}
    return {"values": [round(float(value), 6) for value in values.mean(axis=0)], "labels": len(pairs)}


def _read(path: Path) -> Twins | None:
    """What was kept; None where nothing was, or by another version."""
    try:
        return Twins.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError, EarshotError):
        return None
