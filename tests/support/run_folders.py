"""Run folders with known accuracies: records and Parquet files like those of a sweep."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.utils.files import file_digest
from trainables.records import PREDICTIONS, SeedTriple, SessionRecord, TrialRecord

Matrix = Sequence[Sequence[float]]  # row t: a[t, 0] ... a[t, t]; one row per finished session
WriteTrial = Callable[..., TrialRecord]
WAY, CLIPS = 2, 20  # classes and clips of each session


def trial(
    run: Path,
    configuration: str,
    seed: int,
    matrix: Matrix,
    *,
    val: Matrix | None = None,
    heads: dict[str, Matrix] | None = None,
    planned: int | None = None,
    way: int = WAY,
    clips: int = CLIPS,
    digests: bool = True,
    **changes: Any,
) -> TrialRecord:
    """Writes a trial whose default head 'prototype' has the accuracies `matrix` on test and `val` on validation clips.

    Args:
        run: the run folder.
        configuration: '{method}-{digits}'.
        seed: order, support and initialisation seed.
        matrix: accuracies on test clips; each times `clips` is an integer.
        val: accuracies on validation clips; `matrix` if None.
        heads: other heads and their accuracies, on both splits.
        planned: planned sessions; the finished ones if None.
        way: classes of each session.
        clips: clips of each split and session.
        digests: whether the record has the digests of the predictions; those of version 0.1 have none.
        changes: other fields of the record.
    """
    others = heads or {}
    splits = {"val": matrix if val is None else val, "test": matrix}
    planned = len(matrix) if planned is None else planned
    name = f"{configuration}-s{seed}"
    folder = run / "trials" / name
    folder.mkdir(parents=True)
    sessions = []
    for t in range(len(matrix)):
        rows: list[tuple[str, str, int, str, int]] = []
        for split, accuracies in splits.items():
            for head, table in {"prototype": accuracies, **others}.items():
                if t < len(table):
                    rows += _rows(split, head, table[t], way, clips)
        columns = [
            pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), PREDICTIONS, strict=True)
        ]
        pq.write_table(
            pa.Table.from_arrays(columns, schema=PREDICTIONS),
            folder / f"session-{t:02d}.parquet",
            write_page_checksum=True,
        )
        sessions.append(
            SessionRecord(
                index=t,
                classes=tuple(range(t * way, (t + 1) * way)),
                stage="0" * 64,
                predictions=f"session-{t:02d}.parquet",
                predictions_sha256=file_digest(folder / f"session-{t:02d}.parquet") if digests else None,
                seconds=1.5,
                cached=False,
                parameters_stored=1000 * (t + 1),
                parameters_used=500 * (t + 1),
            )
        )
    fields: dict[str, Any] = {
        "trial": name,
        "configuration": configuration,
        "method": configuration.rpartition("-")[0],
        "settings": {"lr": 0.1},
        "varied": {"lr": 0.1},
        "seeds": SeedTriple(order=seed, support=seed, initialisation=seed),
        "benchmark": "demo",
        "benchmark_fingerprint": "f" * 64,
        "class_names": tuple(f"class {label}" for label in range(planned * way)),
        "protocol": {"name": "ffcac-25", "way": way, "shot": 5},
        "backbone": "tiny",
        "frontend": "kaldi",
        "heads": ("prototype", *others),
        "default_head": "prototype",
        "planned_sessions": planned,
        "status": "finished" if len(matrix) == planned else "running",
        "sessions": tuple(sessions),
    }
    record = TrialRecord(**{**fields, **changes})
    record.save(folder)
    return record


def _rows(split: str, head: str, row: Sequence[float], way: int, clips: int) -> list[tuple[str, str, int, str, int]]:
    """Rows of `PREDICTIONS`: of the clips of session j, the first `row[j] * clips` are predicted correctly."""
    rows = []
    seen = len(row) * way
    for j, share in enumerate(row):
        right = round(share * clips)
        assert abs(right - share * clips) < 1e-9, f"{share} of {clips} clips is not an integer"
        for clip in range(clips):
            label = j * way + clip % way
            prediction = label if clip < right else (label + 1) % seen
            rows.append((split, f"{split}-{j}-{clip}", label, head, prediction))
    return rows
