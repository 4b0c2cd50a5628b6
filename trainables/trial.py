"""The Tune trainable: one trial is one chain, one `step()` is one session. The only file here that imports Ray."""

import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ray import tune

from datasets.utils.errors import EarshotError
from trainables import metrics
from trainables.chain import Chain, ChainConfig
from trainables.memory_limit import MemoryWatch
from trainables.records import SessionRecord

OBJECTIVE = "validation_accuracy_mean"  # mean over the sessions so far, default head, validation clips alone
FINISHED = "sessions_finished"  # counted from one; a result of a trial that failed has none
VALIDATION = ("final", "pd", "forgetting")  # of `metrics.ChainSummary`, reported as `validation/NAME` likewise


class ChainTrial(tune.Trainable):
    """Runs a chain; a trial that fails for good says why in its record and does not take the sweep with it.

    Tune's configuration of a trial, in JSON types:
        chain: the fields of a `ChainConfig`.
        folder: where the record goes, a path or a URI.
        launch: names this run of the sweep.
        memory: bytes that the process may have for itself; None for no limit.
        given_up: why the sweep no longer tries this trial; empty where it does.
    """

    _chain: Chain | None
    _failure: str
    _validation: list[tuple[Any, Any]]  # labels and predictions of the default head after each session
    _watch: MemoryWatch

    def setup(self, config: dict[str, Any]) -> None:
        """Opens the chain; called once in a worker process."""
        self._chain = None
        self._watch = MemoryWatch(config["folder"], config["launch"], None)
        self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial in the same process: libraries and backbone stay loaded."""
        self._open(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One session; reports accuracies of every head on validation and test clips.

        What a search may look at (`OBJECTIVE`, `validation/...`, `parameters_used`) is of the chain so far, as if it
        had been planned to end here; on validation clips alone.
        """
        if self._chain is None:
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        try:
            record = self._chain.step()
        except Exception as error:
            self._failure = reason(error)
            with suppress(OSError, EarshotError):  # a full disk is often why; the sweep writes it down at its end
                self._chain.fail(self._failure)
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        table = self._predictions(record)
        so_far = self._summary(table)
        return {
            "session": record.index,
            FINISHED: record.index + 1,
            "sessions": len(self._chain.sessions),
            "reused": record.reused,
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
            self._failure = config.get("given_up") or self._watch.verdict()
            if not self._failure:
                self._chain = Chain(ChainConfig.model_validate(config["chain"]), config["folder"], before)
                self._watch.start()
        except Exception as error:
            self._failure = reason(error)

    def _predictions(self, record: SessionRecord) -> pd.DataFrame:
        assert self._chain is not None
        stored = (self._chain.folder / record.predictions).read_bytes()
        return pq.read_table(pa.BufferReader(stored)).to_pandas()

    def _summary(self, table: pd.DataFrame) -> metrics.ChainSummary:
        """The chain up to the session of these predictions: default head, validation clips."""
        assert self._chain is not None
        record = self._chain.record
        rows = table[(table["split"] == "val") & (table["head"] == record.default_head)]
        self._validation.append((rows["label"].to_numpy(), rows["prediction"].to_numpy()))
        classes = [session.classes for session in record.sessions]
        return metrics.summarise(metrics.score_chain(self._validation, classes, planned=len(classes)))


def _accuracies(table: pd.DataFrame) -> dict[str, float]:
    """`{split/head: accuracy}` over all classes seen so far."""
    right = table["label"] == table["prediction"]
    means = right.groupby(table["split"] + "/" + table["head"]).mean()
    return {str(name): float(value) for name, value in means.items()}


def reason(error: Exception) -> str:
    """Why something failed, in one line; where the fault is ours, with the place."""
    if isinstance(error, EarshotError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]} ({Path(place.filename).name}:{place.lineno})"
