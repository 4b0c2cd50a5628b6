"""Reads and validates the files of a run folder: records of trials, predictions, configuration of the sweep.

    RUN/sweep.json                       any keys
    RUN/trials/TRIAL/trial.json          the record
    RUN/trials/TRIAL/session-00.parquet  one row per clip and head
    RUN/trials/TRIAL/unknown-00.parquet  the same for clips of classes still to come

A file that is missing, damaged or inconsistent with the record raises one error that names it. Files of earlier
versions, which have no checksums, are read without them.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.benchmark.manifest import SCORED_SPLITS
from datasets.utils.checksum import check_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line
from orchestrator.results.run_folder import RESTORE
from trainables import metrics
from trainables.metrics import ChainScores, SessionPredictions
from trainables.records import PREDICTIONS, RECOMPUTE, SCORES, UNKNOWN, TrialRecord, predictions_digest
from trainables.training_curves import Curves, curves_file, parse_curves

_DELETE = "delete the folder and run the sweep again"
_NO_CLIPS = SessionPredictions(np.empty(0, np.int64), np.empty(0, np.int64))
_PREDICTIONS_FILE = re.compile(r"session-[0-9]{2,}\.parquet")
_UNKNOWN_FILE = re.compile(r"unknown-[0-9]{2,}\.parquet")


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


def load_record(folder: Path, *, named: bool = True) -> TrialRecord:
    """The record of a trial.

    Args:
        folder: of the trial.
        named: whether the folder has the name of the trial, as in a run.

    Raises:
        EarshotError: it is missing, damaged, or inconsistent with itself or its folder.
    """
    record = TrialRecord.load(folder)
    if named and record.trial != folder.name:
        raise EarshotError(
            f"{folder / 'trial.json'}: trial: expected the folder's name, found {record.trial!r}; {_DELETE}"
        )
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


def read_session(
    record: TrialRecord, folder: Path, session: int, *, with_scores: bool = True
) -> dict[tuple[str, str], SessionPredictions]:
    """Predictions of a trial after a session: (head, split) -> those of its clips.

    Args:
        record: record of the trial.
        folder: folder of the trial.
        session: index of a finished session.
        with_scores: with the unknown scores of clips, those of classes to come included.

    Raises:
        EarshotError: the file is missing, damaged or inconsistent with the record.
    """
    stored = record.sessions[session]
    path = folder / stored.predictions
    table = read_predictions(record, folder, session, with_scores=with_scores and stored.unknown is not None)
    unknown = _unknown_scores(record, folder, session) if with_scores else {}
    tables = {}
    for head in record.heads:
        for split in SCORED_SPLITS:
            rows = table.filter(pc.and_(pc.equal(table["head"], head), pc.equal(table["split"], split)))
            if rows.num_rows:
                scored = _predictions(rows)
                tables[head, split] = scored._replace(unknown_scores=unknown.get(head)) if split == "test" else scored
    if (record.default_head, "test") not in tables:
        raise EarshotError(f"{path}: expected test clips of head {record.default_head!r}, found none; {RECOMPUTE}")
    return tables


def read_curves(record: TrialRecord, folder: Path, session: int) -> Curves:
    """Curves of the trainings of a session; none if its record names no file of them.

    Raises:
        EarshotError: the file is missing, damaged or inconsistent with the record.
    """
    stored = record.sessions[session]
    if stored.training is None:
        return ()
    path = folder / stored.training
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EarshotError(f"{path}: expected curves of training, found {_described(error)}; {RECOMPUTE}") from None
    if stored.training_sha256 not in (None, predictions_digest(content)):
        raise EarshotError(f"{path}: expected the file of trial.json, found another one; {RECOMPUTE}")
    return parse_curves(content, str(path))[1]


def read_predictions(
    record: TrialRecord, folder: Path, session: int, *, with_scores: bool = False, with_clips: bool = False
) -> pa.Table:
    """The file of predictions of a trial after a session; those of version 0.1 have no scores in any case.

    Args:
        record: record of the trial.
        folder: folder of the trial.
        session: index of a finished session.
        with_scores: with the column `top_scores`.
        with_clips: with the column `clip_id`.

    Raises:
        EarshotError: the file is missing, damaged or inconsistent with the record.
    """
    stored = record.sessions[session]
    path = folder / stored.predictions
    seen = [label for earlier in record.sessions[: session + 1] for label in earlier.classes]
    optional = {"top_scores": with_scores, "clip_id": with_clips}
    table = _read(path, stored.predictions_sha256, lambda name: optional.get(name, True))
    _check(table, path, record, seen)
    return table


def _unknown_scores(record: TrialRecord, folder: Path, session: int) -> dict[str, NDArray[np.float64]]:
    """Head -> the unknown score of each clip of the classes to come; empty without such clips."""
    stored = record.sessions[session]
    if stored.unknown is None:
        return {}
    path = folder / stored.unknown
    seen = [label for earlier in record.sessions[: session + 1] for label in earlier.classes]
    table = _read(path, stored.unknown_sha256, lambda name: name != "clip_id", UNKNOWN)
    _check(table, path, record, seen, to_come=sorted(set(range(len(record.class_names))) - set(seen)))
    return {head: _scores(table.filter(pc.equal(table["head"], head))) for head in record.heads}


def _scores(rows: pa.Table) -> NDArray[np.float64]:
    """The unknown score of each row."""
    return pc.list_element(rows["top_scores"], 0).to_numpy().astype(np.float64)


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
    scores = _scores(rows) if "top_scores" in rows.column_names else None
    return SessionPredictions(labels, predictions, confidences, in_top, scores)


def _read(path: Path, digest: str | None, wanted: Callable[[str], bool], expected: pa.Schema | None = None) -> pa.Table:
    """The predictions in a file.

    Args:
        path: of the file.
        digest: its SHA-256, unless that is None.
        wanted: which columns are read.
        expected: columns of the file; None for those of predictions, which version 0.1 wrote without scores.
    """
    try:
        content = path.read_bytes()
        if digest is not None and (found := predictions_digest(content)) != digest:
            raise EarshotError(
                f"{path}: expected SHA-256 {digest[:12]}... as in trial.json, found {found[:12]}...: the file is "
                f"damaged or was edited; {RECOMPUTE}"
            )
        schema = pq.read_schema(pa.BufferReader(content))
        with_scores = SCORES.names[0] in schema.names  # those of version 0.1 have none
        fields = [*expected] if expected else [*PREDICTIONS, *(SCORES if with_scores else ())]
        for field in fields:
            kind = schema.field(field.name).type if field.name in schema.names else "no such column"
            if isinstance(kind, str) or not field.type.equals(kind):
                raise EarshotError(f"{path}: {field.name}: expected {field.type}, found {kind}; {RECOMPUTE}")
        return pq.read_table(
            pa.BufferReader(content),
            columns=[field.name for field in fields if wanted(field.name)],
            partitioning=None,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise EarshotError(
            f"{path}: expected the predictions of a finished session, found no file; {RECOMPUTE}"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise EarshotError(f"{path}: expected a Parquet file, found {_described(error)}; {RECOMPUTE}") from None


def _check(
    table: pa.Table, path: Path, record: TrialRecord, seen: Sequence[int], to_come: Collection[int] | None = None
) -> None:
    """Checks the values of predictions, of clips of the classes seen or, if these are given, of those to come."""
    for name in table.column_names:
        if name != "confidence" and table[name].null_count:
            raise EarshotError(f"{path}: {name}: expected a value in every row, found empty ones; {RECOMPUTE}")
    for name, allowed in (
        ("split", SCORED_SPLITS),
        ("head", record.heads),
        ("label", seen if to_come is None else to_come),
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
    if "top_scores" in table.column_names and pc.min(pc.list_value_length(table["top_scores"])).as_py() == 0:
        raise EarshotError(f"{path}: top_scores: expected at least one score in every row, found none; {RECOMPUTE}")


def _check_record(record: TrialRecord, folder: Path) -> None:
    """Checks constraints that the types of a record do not express."""
    where, advice = folder / "trial.json", _DELETE
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
        if session.unknown is not None and not _UNKNOWN_FILE.fullmatch(session.unknown):
            raise EarshotError(
                f"{where}: unknown: expected a name like unknown-00.parquet, found {session.unknown!r}; {advice}"
            )
        if session.training not in (None, curves_file(session.index)):
            raise EarshotError(
                f"{where}: training: expected {curves_file(session.index)}, found {session.training!r}; {advice}"
            )


def _described(error: Exception) -> str:
    return f"{type(error).__name__} ({one_line(error)})"
