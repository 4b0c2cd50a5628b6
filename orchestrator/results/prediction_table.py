"""Table of the predictions of a run: one row per clip, head, split and session of every chain."""

from typing import Any

import pandas as pd
import pyarrow as pa

from orchestrator.results.loading import read_predictions
from orchestrator.results.run import Run

COLUMNS = ("clip_id", "split", "head", "label", "prediction", "confidence")


def prediction_table(run: Run) -> pd.DataFrame:
    """Reads all files of predictions; texts that repeat are categories.

    Columns: trial, configuration, method, seeds, session, then those of `COLUMNS`, and the names of the classes
    `label` and `prediction` as `class` and `predicted_class`.

    Raises:
        EarshotError: a file was removed or damaged since the run was loaded.
    """
    tables = [
        _of_session(run, trial, session)
        for trial, record in run.trials.items()
        for session in range(len(record.sessions))
    ]
    if not tables:
        return pd.DataFrame(columns=["trial", "configuration", "method", "seeds", "session", *COLUMNS])
    table = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    return table.to_pandas()


def _of_session(run: Run, trial: str, session: int) -> pa.Table:
    record = run.trials[trial]
    table = read_predictions(record, run.folders[trial], session, with_clips=True)
    names = pa.array(record.class_names, pa.string())
    same: dict[str, Any] = {
        "trial": trial,
        "configuration": record.configuration,
        "method": record.method,
        "seeds": str(record.seeds),
    }
    zeros = pa.array([0] * len(table), pa.int32())
    columns = {name: pa.DictionaryArray.from_arrays(zeros, pa.array([value])) for name, value in same.items()}
    columns["session"] = pa.array([session] * len(table), pa.int32())
    for name in (name for name in COLUMNS if name in table.column_names):
        column = table[name].combine_chunks()
        columns[name] = column.dictionary_encode() if name in ("clip_id", "split", "head") else column
    for name, number in (("class", "label"), ("predicted_class", "prediction")):
        columns[name] = pa.DictionaryArray.from_arrays(table[number].combine_chunks().cast(pa.int32()), names)
    return pa.table(columns)
