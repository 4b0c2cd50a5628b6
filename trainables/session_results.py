"""The result of a session as a search, a scheduler and listeners get it: accuracies so far, in JSON types."""

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainables import metrics
from trainables.metrics import SessionPredictions
from trainables.records import PREDICTIONS, SessionRecord
from trainables.session_chain import Chain

OBJECTIVE = "validation_accuracy_mean"  # mean over the sessions so far, default head, validation clips only
FINISHED = "sessions_finished"  # counted from one; not in the result of a failed trial
VALIDATION = ("final", "pd", "forgetting")  # of `metrics.ChainSummary`, reported as `validation/NAME`


class SessionResults:
    """Results of the sessions of a chain, in their order.

    Args:
        chain: none of its sessions is finished yet.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._validation: list[SessionPredictions] = []  # of the default head, after each session

    def after(self, record: SessionRecord) -> dict[str, Any]:
        """The result of the session that the chain has just finished: accuracies of every head on validation and test
        clips.

        The values that a search may use (`OBJECTIVE`, `validation/...`, `parameters_used`) are those of the chain so
        far, as if it had been planned to end here, on validation clips only.
        """
        table = self._predictions(record)
        so_far = self._summary(table)
        return {
            "session": record.index,
            FINISHED: record.index + 1,
            "sessions": len(self._chain.sessions),
            "reused": record.cached,
            "session_seconds": record.seconds,
            "waited_seconds": self._chain.waited,
            "parameters_used": record.parameters_used,
            "training": [curve.model_dump(mode="json") for curve in self._chain.curves],
            OBJECTIVE: so_far.aa,
            **{f"validation/{name}": getattr(so_far, name) for name in VALIDATION},
            "done": self._chain.done,
            **_accuracies(table),
        }

    def _predictions(self, record: SessionRecord) -> pd.DataFrame:
        stored = (self._chain.folder / record.predictions).read_bytes()
        return pq.read_table(pa.BufferReader(stored), columns=PREDICTIONS.names).to_pandas()

    def _summary(self, table: pd.DataFrame) -> metrics.ChainSummary:
        """The chain up to the session of these predictions: default head, validation clips."""
        record = self._chain.record
        rows = table[(table["split"] == "val") & (table["head"] == record.default_head)]
        self._validation.append(SessionPredictions(rows["label"].to_numpy(), rows["prediction"].to_numpy()))
        classes, left = ([getattr(session, name) for session in record.sessions] for name in ("classes", "left"))
        return metrics.summarise(metrics.score_chain(self._validation, classes, len(classes), left))


def _accuracies(table: pd.DataFrame) -> dict[str, float]:
    """`{split/head: accuracy}` over all classes seen so far."""
    right = table["label"] == table["prediction"]
    means = right.groupby(table["split"] + "/" + table["head"]).mean()
    return {str(name): float(value) for name, value in means.items()}
