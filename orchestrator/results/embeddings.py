"""Embeddings of the clips of a trial by the pretrained network, as far as the store of the run has them.

Nothing is computed: arrays that were evicted, are damaged, or were never needed (by a method that reads no embeddings
of whole clips) are left out.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.benchmark.protocol import Session, classes_present
from orchestrator.results.benchmark import ReadBenchmark
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from trainables.records import TrialRecord
from trainables.store.layout import embedding_file, feature_address, parse_description, stage_file, trailer

POOLED = "pooled float32"
"""Kind of the array that has one embedding for each clip."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of test clips, and the class means of the support clips.

    Attributes:
        source: address of one array among them; trials with the same one have the same embeddings.
        values: float32 [clips, dim].
        positions: of the clips in the table of the benchmark, int64 [clips].
        prototypes: label -> mean embedding of its support, float32 [dim]; without classes whose support is not stored.
    """

    source: str
    values: NDArray[np.float32]
    positions: NDArray[np.int64]
    prototypes: dict[int, NDArray[np.float32]]


def stored_embeddings(run: Run, record: TrialRecord, benchmark: ReadBenchmark) -> Embeddings | None:
    """Embeddings of the test clips that a trial has scored after its last finished session; None without any.

    Args:
        run: the run.
        record: of the trial.
        benchmark: of the trial.

    Raises:
        EarshotError: the benchmark does not fit the protocol in the record, or sweep.json is damaged.
    """
    store = RunFolder(run.folders[record.trial].parent.parent).store.local
    depends_on = _depends_on(store, record) if store is not None and record.sessions else None
    if store is None or depends_on is None or depends_on.get("weights") is None:
        return None
    sessions = benchmark.sessions(record)[: len(record.sessions)]
    addresses = [_address(depends_on, clips.query) for clips in classes_present(sessions)]
    groups = [
        (address, clips.query, array)
        for address, clips in zip(addresses, classes_present(sessions), strict=True)
        if (array := _read(store, address, len(clips.query))) is not None
    ]
    if not groups:
        return None
    return Embeddings(
        source=groups[0][0],
        values=np.concatenate([array for *_, array in groups]),
        positions=np.concatenate([np.array(positions, np.int64) for _, positions, _ in groups]),
        prototypes=_prototypes(store, depends_on, sessions),
    )


def _prototypes(
    store: Path, depends_on: dict[str, Any], sessions: tuple[Session, ...]
) -> dict[int, NDArray[np.float32]]:
    found: dict[int, NDArray[np.float32]] = {}
    for session in sessions:
        array = _read(store, _address(depends_on, session.support), len(session.support)) if session.support else None
        if array is not None:
            labels = np.array(session.support_labels)
            found |= {label: array[labels == label].mean(axis=0) for label in session.labels}
    return found


def _depends_on(store: Path, record: TrialRecord) -> dict[str, Any] | None:
    """What the last session of a trial depends on; None if its stage is not in the store, or damaged."""
    address = record.sessions[-1].stage
    try:
        content = (store / stage_file(address)).read_bytes()
        depends_on: dict[str, Any] = parse_description(content, address)["depends_on"]
    except (OSError, ValueError):
        return None
    return depends_on


def _address(depends_on: dict[str, Any], positions: tuple[int, ...]) -> str:
    return feature_address(
        POOLED,
        weights=depends_on["weights"],
        frontend=depends_on["frontend"],
        data=depends_on["data"],
        clips=positions,
        precision=depends_on["precision"],
        device=depends_on["device"],
    )


def _read(store: Path, address: str, clips: int) -> NDArray[np.float32] | None:
    """The array at an address; None if it is not there, differs from its checksum or has no finite embeddings."""
    path = store / embedding_file(address)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        end = array.offset + array.nbytes
        content = path.read_bytes()
    except (OSError, ValueError, EOFError):
        return None
    intact = content[end:] in (b"", trailer(zlib.crc32(content[:end])))
    if not intact or array.dtype != np.float32 or array.ndim != 2 or len(array) != clips:
        return None
    return np.array(array) if np.isfinite(array).all() else None
