"""A run folder's files read back and checked: the record of a trial, its predictions, what the sweep was asked to do.

    RUN/sweep.json                       any keys
    RUN/trials/TRIAL/trial.json          the record
    RUN/trials/TRIAL/session-00.parquet  one row per clip and head

A file that is missing, damaged or contradicts the record is one error that names it.
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
from numpy.typing import NDArray

from datasets.benchmark.manifest import SCORED_SPLITS
from datasets.utils.errors import EarshotError
from trainables import metrics
from trainables.metrics import ChainScores
from trainables.records import PREDICTIONS, TrialRecord

Pair = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Labels and predictions, int64 [clips] each."""

_NOTHING: Pair = (np.empty(0, np.int64), np.empty(0, np.int64))
_PREDICTIONS_FILE = re.compile(r"session-[0-9]{2,}\.parquet")
_AGAIN = "delete the folder of the trial and run the sweep again"


def load_sweep(path: Path) -> dict[str, Any]:
    """The contents of a sweep.json; empty where there is none.

    Raises:
        EarshotError: it is not a JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EarshotError(f"{path}: expected JSON, found {_one_line(error)}; run the sweep again") from None
    if not isinstance(content, dict):
        raise EarshotError(f"{path}: expected a JSON object, found {type(content).__name__}; run the sweep again")
    return content


def load_record(folder: Path) -> TrialRecord:
    """The record of a trial.

    Raises:
        EarshotError: it is missing or damaged, or contradicts itself or its folder.
    """
    record = TrialRecord.load(folder)
    _check_record(record, folder)
    return record


def score_trial(record: TrialRecord, folder: Path) -> dict[tuple[str, str], ChainScores]:
    """The accuracies of a chain: (head, split) -> scores; splits without predictions are absent.

    Args:
        record: of the trial.
        folder: of the trial.

    Raises:
        EarshotError: a file of predictions is missing, damaged or contradicts the record.
    """
    classes = [session.classes for session in record.sessions]
    tables = [read_session(record, folder, t) for t in range(len(classes))]
    found: dict[tuple[str, str], ChainScores] = {}
    for head in record.heads:
        for split in SCORED_SPLITS:
            if any((head, split) in table for table in tables):
                pairs = [table.get((head, split), _NOTHING) for table in tables]
                found[head, split] = metrics.score_chain(pairs, classes, record.planned_sessions)
    return found


def read_session(record: TrialRecord, folder: Path, session: int) -> dict[tuple[str, str], Pair]:
    """What a trial predicted after a session: (head, split) -> labels and predictions, int64 [clips] each.

    Args:
        record: of the trial.
        folder: of the trial.
        session: a finished one.

    Raises:
        EarshotError: the file is missing, damaged or contradicts the record.
    """
    path = folder / record.sessions[session].predictions
    seen = [label for one in record.sessions[: session + 1] for label in one.classes]
    table = _read(path)
    _check(table, path, record, seen)
    found = {}
    for head in record.heads:
        for split in SCORED_SPLITS:
            rows = table.filter(pc.and_(pc.equal(table["head"], head), pc.equal(table["split"], split)))
            if rows.num_rows:
                labels, predictions = rows["label"].to_numpy(), rows["prediction"].to_numpy()
                found[head, split] = (labels.astype(np.int64), predictions.astype(np.int64))
    if (record.default_head, "test") not in found:
        raise EarshotError(f"{path}: expected test clips of head {record.default_head!r}, found none; {_AGAIN}")
    return found


def _read(path: Path) -> pa.Table:
    try:
        schema = pq.read_schema(path)
        for field in PREDICTIONS:
            kind = schema.field(field.name).type if field.name in schema.names else "no such column"
            if kind != field.type:
                raise EarshotError(f"{path}: {field.name}: expected {field.type}, found {kind}; {_AGAIN}")
        return pq.read_table(
            path,
            columns=["split", "label", "head", "prediction"],
            partitioning=None,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise EarshotError(f"{path}: expected the predictions of a finished session, found no file; {_AGAIN}") from None
    except (OSError, pa.ArrowException) as error:
        raise EarshotError(f"{path}: expected a Parquet file, found {_one_line(error)}; {_AGAIN}") from None


def _check(table: pa.Table, path: Path, record: TrialRecord, seen: Sequence[int]) -> None:
    for name in table.column_names:
        if table[name].null_count:
            raise EarshotError(f"{path}: {name}: expected a value in every row, found empty ones; {_AGAIN}")
    for name, allowed in (("split", SCORED_SPLITS), ("head", record.heads), ("label", seen), ("prediction", seen)):
        strange = [value for value in pc.unique(table[name]).to_pylist() if value not in allowed]
        if strange:
            raise EarshotError(
                f"{path}: {name}: expected one of {list(allowed)}, found {strange[0]!r}; {_AGAIN}",
            )


def _check_record(record: TrialRecord, folder: Path) -> None:
    """Checks what the types of a record cannot say."""
    where, again = folder / "trial.json", "delete the folder and run the sweep again"
    if record.trial != folder.name:
        raise EarshotError(f"{where}: trial: expected the folder's name, found {record.trial!r}; {again}")
    if record.default_head not in record.heads:
        raise EarshotError(
            f"{where}: default_head: expected one of {list(record.heads)}, found {record.default_head!r}; {again}"
        )
    indices = [session.index for session in record.sessions]
    if indices != list(range(len(indices))) or len(indices) > record.planned_sessions:
        raise EarshotError(
            f"{where}: sessions: expected 0, 1, ... of {record.planned_sessions} planned, found {indices}; {again}"
        )
    labels = [label for session in record.sessions for label in session.classes]
    if len(set(labels)) != len(labels) or not all(0 <= label < len(record.class_names) for label in labels):
        raise EarshotError(
            f"{where}: sessions: expected each of the labels 0 to {len(record.class_names) - 1} at most once,"
            f" found {labels}; {again}"
        )
    for session in record.sessions:
        if not _PREDICTIONS_FILE.fullmatch(session.predictions):
            raise EarshotError(
                f"{where}: predictions: expected a name like session-00.parquet, found {session.predictions!r}; {again}"
            )


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__} ({' '.join(str(error).split())})"
