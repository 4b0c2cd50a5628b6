"""The Tune trainable: one trial is one chain, one `step()` is one session. The only module here that imports Ray."""

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ray import tune

from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line
from trainables import metrics
from trainables.chain_config import ChainConfig
from trainables.memory_limit import MemoryWatch
from trainables.metrics import SessionPredictions
from trainables.records import PREDICTIONS, SessionRecord
from trainables.session_chain import Chain

OBJECTIVE = "validation_accuracy_mean"  # mean over the sessions so far, default head, validation clips only
FINISHED = "sessions_finished"  # counted from one; not in the result of a failed trial
VALIDATION = ("final", "pd", "forgetting")  # of `metrics.ChainSummary`, reported as `validation/NAME`


class ChainTrial(tune.Trainable):
    """Runs a chain. A trial that fails for good records the reason; the sweep continues.

    Tune's configuration of a trial, in JSON types:
        chain: the fields of a `ChainConfig`.
        folder: where the record goes, a path or a URI.
        launch: identifies this launch of the sweep.
        memory: limit on the private memory of the process, bytes; None for no limit.
        given_up: why the sweep no longer tries this trial; empty if it does.
    """

    _chain: Chain | None
    _failure: str
    _validation: list[SessionPredictions]  # of the default head, after each session
    _watch: MemoryWatch

    def setup(self, config: dict[str, Any]) -> None:
        """Opens the chain; called once in a worker process."""
        self._chain = None
        self._watch = MemoryWatch(config["folder"], config["launch"], None)
        self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Starts the next trial in the same process: libraries and backbone stay loaded."""
        self._open(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Runs one session; reports accuracies of every head on validation and test clips.

        The values that a search may use (`OBJECTIVE`, `validation/...`, `parameters_used`) are those of the chain so
        far, as if it had been planned to end here, on validation clips only.
        """
        if self._chain is None:
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        try:
            record = self._chain.step()
        except Exception as error:
            self._failure = reason(error)
            with suppress(OSError, EarshotError):  # often a full disk; the sweep records the failure at its end
                self._chain.fail(self._failure)
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        table = self._predictions(record)
        so_far = self._summary(table)
        return {
            "session": record.index,
            FINISHED: record.index + 1,
            "sessions": len(self._chain.sessions),
            "reused": record.cached,
            "session_seconds": record.seconds,
            "parameters_used": record.parameters_used,
            OBJECTIVE: so_far.aa,
            **{f"validation/{name}": getattr(so_far, name) for name in VALIDATION},
            "done": self._chain.done,
            **_accuracies(table),
        }

    def _open(self, config: dict[str, Any]) -> None:
        before, self._chain = self._chain, None
        self._failure = ""
        self._validation = []
        self._watch.stop()
        self._watch = MemoryWatch(config["folder"], config["launch"], config.get("memory"))
        try:
            self._failure = config.get("given_up") or self._watch.exceeded()
            if not self._failure:
                self._chain = Chain(ChainConfig.model_validate(config["chain"]), config["folder"], before)
                self._watch.start()
        except Exception as error:
            self._failure = reason(error)

    def _predictions(self, record: SessionRecord) -> pd.DataFrame:
        assert self._chain is not None
        stored = (self._chain.folder / record.predictions).read_bytes()
        return pq.read_table(pa.BufferReader(stored), columns=PREDICTIONS.names).to_pandas()

    def _summary(self, table: pd.DataFrame) -> metrics.ChainSummary:
        """The chain up to the session of these predictions: default head, validation clips."""
        assert self._chain is not None
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


def reason(error: Exception) -> str:
    """Why a trial failed, in one line; for an unexpected exception with file and line."""
    if isinstance(error, EarshotError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {one_line(error)[:300]} ({Path(frame.filename).name}:{frame.lineno})"
