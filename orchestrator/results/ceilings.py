"""Highest possible accuracy of a run, limited by identical clips under several labels.

    RUN/ceilings.json    number of test clips per label, and which of them are identical

A classifier that sees only the clip gives all clips of the same content the same answer (`datasets.benchmark.audit`).
The file holds counts rather than ceilings, because ceilings depend on the order of the classes.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from datasets.benchmark.shards import Shards
from datasets.utils.checksum import check_checksum, with_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from orchestrator.results.run import Run

FILE_NAME = "ceilings.json"
_REWRITE = "delete it and resume the sweep, which writes it again"


class SharedClips(BaseModel):
    """Number of test clips per label of a benchmark, and the clips whose content has several labels.

    Attributes:
        fingerprint: of the benchmark.
        clips: test clips of each label.
        shared: for each content with several labels: (label, number of test clips with this content) pairs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    clips: tuple[int, ...]
    shared: tuple[tuple[tuple[int, int], ...], ...]

    def ceilings(self, sessions: Iterable[Iterable[int]]) -> list[float]:
        """Highest possible accuracy after each session, as a fraction of one; NaN without clips.

        Args:
            sessions: labels that each session introduces.
        """
        values: list[float] = []
        seen: set[int] = set()
        for labels in sessions:
            seen |= set(labels)
            total = sum(self.clips[label] for label in seen)
            counts = [[count for label, count in content if label in seen] for content in self.shared]
            lost = sum(sum(content) - max(content) for content in counts if content)
            values.append((total - lost) / total if total else float("nan"))
        return values


@dataclass(frozen=True)
class Ceilings:
    """Ceilings of a run.

    Attributes:
        values: highest possible accuracy after each session, mean over the class orders; fractions of one.
        labels: number of labels that share clips with another label.
    """

    values: tuple[float, ...]
    labels: int


def save_shared_clips(shards: Shards, folder: Path) -> None:
    """Writes `ceilings.json` of a benchmark into a run folder, unless it exists; reads the bytes of all test clips.

    Raises:
        EarshotError: a shard cannot be read, or the existing file differs from its checksum.
    """
    existing = _read(folder / FILE_NAME)
    if existing is not None and existing.fingerprint == shards.fingerprint:
        return
    positions = shards.select(splits=["test"])
    labels = shards.table.labels[positions].tolist()
    contents: dict[bytes, dict[int, int]] = {}
    for label, digest in zip(labels, shards.digests(positions), strict=True):
        counts = contents.setdefault(digest, {})
        counts[label] = counts.get(label, 0) + 1
    shared = tuple(tuple(sorted(counts.items())) for counts in contents.values() if len(counts) > 1)
    clips = np.bincount(np.array(labels, np.int64), minlength=len(shards.table.class_names))
    counted = SharedClips(fingerprint=shards.fingerprint, clips=tuple(clips.tolist()), shared=shared)
    content = json.loads(counted.model_dump_json())
    write_atomically(folder / FILE_NAME, (json.dumps(with_checksum(content)) + "\n").encode())


def ceilings(run: Run) -> Ceilings | None:
    """Ceilings of a run; None if `ceilings.json` is missing or of another benchmark, or no chain is complete.

    Also None where the run has several protocols, which may be of several benchmarks.

    Raises:
        EarshotError: `ceilings.json` differs from its checksum.
    """
    counted = _read(run.path / FILE_NAME)
    records = [record for record in run.trials.values() if len(record.sessions) == record.planned_sessions]
    if counted is None or not records or run.has_several_protocols:
        return None
    if all(record.benchmark_fingerprint != counted.fingerprint for record in run.trials.values()):
        return None  # counted for another benchmark
    if any(session.left for record in records for session in record.sessions):
        return None  # counted for classes that stay
    orders = {tuple(session.classes for session in record.sessions) for record in records}
    values = np.array([counted.ceilings(order) for order in sorted(orders)])
    labels = {label for content in counted.shared for label, _ in content}
    return Ceilings(tuple(round(float(value), 6) for value in values.mean(axis=0)), len(labels))


def _read(path: Path) -> SharedClips | None:
    """The stored counts; None if there are none, or another version wrote them.

    Raises:
        EarshotError: they are damaged: not JSON, or other than their checksum.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        raise EarshotError(f"{path}: expected JSON, found other contents; {_REWRITE}") from None
    if not isinstance(content, dict):
        return None
    content = check_checksum(content, str(path), _REWRITE)
    try:
        return SharedClips.model_validate(content)
    except ValidationError:
        return None
