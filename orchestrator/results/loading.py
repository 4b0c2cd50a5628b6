"""Reads and validates the files of a run folder: records of trials, predictions, configuration of the sweep.

    RUN/sweep.json                       any keys
    RUN/trials/TRIAL/trial.json          the record
    RUN/trials/TRIAL/session-00.parquet  one row per clip and head

A file that is missing, damaged or inconsistent with the record raises one error that names it. Files of earlier
versions, which have no checksums, are read without them.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datasets.benchmark.manifest import SCORED_SPLITS
from datasets.utils.checksum import check_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line
from orchestrator.results.run_folder import RESTORE
from trainables import metrics
from trainables.metrics import ChainScores, SessionPredictions
from trainables.records import PREDICTIONS, RECOMPUTE, SCORES, TrialRecord, predictions_digest

_NO_CLIPS = SessionPredictions(np.empty(0, np.int64), np.empty(0, np.int64))
_PREDICTIONS_FILE = re.compile(r"session-[0-9]{2,}\.parquet")


def load_sweep(path: Path) -> dict[str, Any]:
    """Contents of a sweep.json; empty without that file.

    Raises:
        EarshotError: it is not a JSON object, or differs from its checksum.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EarshotError(f"{path}: expected JSON, found {_described(error)}; run the sweep again") from None
    if not isinstance(content, dict):
        raise EarshotError(f"{path}: expected a JSON object, found {type(content).__name__}; run the sweep again")
    return check_checksum(content, str(path), RESTORE)


def load_record(folder: Path) -> TrialRecord:
    """The record of a trial.

    Raises:
        EarshotError: it is missing, damaged, or inconsistent with itself or its folder.
    """
    record = TrialRecord.load(folder)
    _check_record(record, folder)
    return record


def score_trial(record: TrialRecord, folder: Path) -> dict[tuple[str, str], ChainScores]:
    """Accuracies of a chain: (head, split) -> scores; splits without predictions are absent.

    Args:
        record: record of the trial.
        folder: folder of the trial.

    Raises:
        EarshotError: a file of predictions is missing, damaged or inconsistent with the record.
    """
    classes = [session.classes for session in record.sessions]
    left = [session.left for session in record.sessions]
    tables = [read_session(record, folder, t) for t in range(len(classes))]
    scores: dict[tuple[str, str], ChainScores] = {}
    for head in record.heads:
        for split in SCORED_SPLITS:
            if any((head, split) in table for table in tables):
                predictions = [table.get((head, split), _NO_CLIPS) for table in tables]
                scores[head, split] = metrics.score_chain(predictions, classes, record.planned_sessions, left)
    return scores


def read_session(record: TrialRecord, folder: Path, session: int) -> dict[tuple[str, str], SessionPredictions]:
    """Predictions of a trial after a session: (head, split) -> those of its clips.

    Args:
        record: record of the trial.
        folder: folder of the trial.
        session: index of a finished session.

    Raises:
        EarshotError: the file is missing, damaged or inconsistent with the record.
    """
    path = folder / record.sessions[session].predictions
    seen = [label for earlier in record.sessions[: session + 1] for label in earlier.classes]
    table = _read(path, record.sessions[session].predictions_sha256)
    _check(table, path, record, seen)
    tables = {}
    for head in record.heads:
        for split in SCORED_SPLITS:
            rows = table.filter(pc.and_(pc.equal(table["head"], head), pc.equal(table["split"], split)))
            if rows.num_rows:
                tables[head, split] = _predictions(rows)
    if (record.default_head, "test") not in tables:
        raise EarshotError(f"{path}: expected test clips of head {record.default_head!r}, found none; {RECOMPUTE}")
    return tables


def _predictions(rows: pa.Table) -> SessionPredictions:
    """The predictions of one head and split; those of version 0.1 have no scores."""
    labels = rows["label"].to_numpy().astype(np.int64)
    predictions = rows["prediction"].to_numpy().astype(np.int64)
    if "top_classes" not in rows.column_names:
        return SessionPredictions(labels, predictions)
    top = rows["top_classes"].combine_chunks()
    true = labels[pc.list_parent_indices(top).to_numpy()]
    in_top = np.zeros(len(labels), dtype=bool)
    in_top[pc.list_parent_indices(top).to_numpy()[top.flatten().to_numpy() == true]] = True
    confidences = None if rows["confidence"].null_count else rows["confidence"].to_numpy()
    return SessionPredictions(labels, predictions, confidences, in_top)


def _read(path: Path, digest: str | None) -> pa.Table:
    """The predictions in a file, whose SHA-256 is `digest` unless that is None."""
    try:
        content = path.read_bytes()
        if digest is not None and (found := predictions_digest(content)) != digest:
            raise EarshotError(
                f"{path}: expected SHA-256 {digest[:12]}... as in trial.json, found {found[:12]}...: the file is "
                f"damaged or was edited; {RECOMPUTE}"
            )
        schema = pq.read_schema(pa.BufferReader(content))
        with_scores = SCORES.names[0] in schema.names  # those of version 0.1 have none
        fields = [*PREDICTIONS, *(SCORES if with_scores else ())]
        for field in fields:
            kind = schema.field(field.name).type if field.name in schema.names else "no such column"
            if isinstance(kind, str) or not field.type.equals(kind):
                raise EarshotError(f"{path}: {field.name}: expected {field.type}, found {kind}; {RECOMPUTE}")
        return pq.read_table(
            pa.BufferReader(content),
            columns=[field.name for field in fields if field.name not in ("clip_id", "top_scores")],
            partitioning=None,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise EarshotError(
            f"{path}: expected the predictions of a finished session, found no file; {RECOMPUTE}"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise EarshotError(f"{path}: expected a Parquet file, found {_described(error)}; {RECOMPUTE}") from None


def _check(table: pa.Table, path: Path, record: TrialRecord, seen: Sequence[int]) -> None:
    for name in table.column_names:
        if name != "confidence" and table[name].null_count:
            raise EarshotError(f"{path}: {name}: expected a value in every row, found empty ones; {RECOMPUTE}")
    for name, allowed in (
        ("split", SCORED_SPLITS),
        ("head", record.heads),
        ("label", seen),
        ("prediction", seen),
        ("top_classes", seen),
    ):
        if name not in table.column_names:
            continue
        column = pc.list_flatten(table[name]) if name == "top_classes" else table[name]
        unknown = [value for value in pc.unique(column).to_pylist() if value not in allowed]
        if unknown:
            raise EarshotError(
                f"{path}: {name}: expected one of {list(allowed)}, found {unknown[0]!r}; {RECOMPUTE}",
            )


def _check_record(record: TrialRecord, folder: Path) -> None:
    """Checks constraints that the types of a record do not express."""
    where, advice = folder / "trial.json", "delete the folder and run the sweep again"
    if record.trial != folder.name:
        raise EarshotError(f"{where}: trial: expected the folder's name, found {record.trial!r}; {advice}")
    if record.default_head not in record.heads:
        raise EarshotError(
            f"{where}: default_head: expected one of {list(record.heads)}, found {record.default_head!r}; {advice}"
        )
    indices = [session.index for session in record.sessions]
    if indices != list(range(len(indices))) or len(indices) > record.planned_sessions:
        raise EarshotError(
            f"{where}: sessions: expected 0, 1, ... of {record.planned_sessions} planned, found {indices}; {advice}"
        )
    labels = [label for session in record.sessions for label in session.classes]
    if len(set(labels)) != len(labels) or not all(0 <= label < len(record.class_names) for label in labels):
        raise EarshotError(
            f"{where}: sessions: expected each of the labels 0 to {len(record.class_names) - 1} at most once,"
            f" found {labels}; {advice}"
        )
    gone = [label for session in record.sessions for label in session.left]
    if len(set(gone)) != len(gone) or not set(gone) <= set(labels):
        raise EarshotError(f"{where}: sessions: expected labels to leave once, after they came, found {gone}; {advice}")
    for session in record.sessions:
        if not _PREDICTIONS_FILE.fullmatch(session.predictions):
            raise EarshotError(
                f"{where}: predictions: expected a name like session-00.parquet, found {session.predictions!r};"
                f" {advice}"
            )


def _described(error: Exception) -> str:
    return f"{type(error).__name__} ({one_line(error)})"
