"""The Tune trainable: one trial is one chain, one `step()` is one session. The only file here that imports Ray."""

import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from ray import tune

from datasets.errors import EarshotError
from trainables.chain import Chain, ChainConfig
from trainables.records import SessionRecord

OBJECTIVE = "validation_accuracy_mean"  # mean over sessions, default head, validation clips alone


class ChainTrial(tune.Trainable):
    """Runs a chain; a trial that fails for good says why in its record and does not take the sweep with it.

    Tune's configuration of a trial: `chain`, the JSON fields of a `ChainConfig`, and `folder`, where the record goes.
    """

    _chain: Chain | None
    _failure: str
    _validation: list[float]

    def setup(self, config: dict[str, Any]) -> None:
        """Opens the chain; called once in a worker process."""
        self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial in the same process: libraries and backbone stay loaded."""
        self._open(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One session; reports accuracies of every head on validation and test clips."""
        if self._chain is None:
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        try:
            record = self._chain.step()
        except Exception as error:
            self._failure = reason(error)
            self._chain.fail(self._failure)
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        scores = self._accuracies(record)
        self._validation.append(scores[f"val/{self._chain.record.default_head}"])
        return {
            "session": record.index,
            "sessions": len(self._chain.sessions),
            "reused": record.reused,
            "session_seconds": record.seconds,
            "parameters_used": record.parameters_used,
            OBJECTIVE: float(np.mean(self._validation)),
            "done": self._chain.done,
            **scores,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """The stage is the checkpoint: Tune's own holds nothing but how far we are."""
        done = len(self._chain.record.sessions) if self._chain else 0
        (Path(checkpoint_dir) / "sessions.json").write_text(json.dumps(done), encoding="utf-8")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Goes through the finished sessions again: each is found in the store."""
        done = json.loads((Path(checkpoint) / "sessions.json").read_text(encoding="utf-8"))
        while self._chain and len(self._chain.record.sessions) < done:
            self.step()

    def _open(self, config: dict[str, Any]) -> None:
        self._chain = None
        self._failure = ""
        self._validation = []
        try:
            self._chain = Chain(ChainConfig.model_validate(config["chain"]), Path(config["folder"]))
        except Exception as error:
            self._failure = reason(error)

    def _accuracies(self, record: SessionRecord) -> dict[str, float]:
        """`{split/head: accuracy}` over all classes seen so far, from the stored predictions."""
        assert self._chain is not None
        table = pq.read_table(self._chain.folder / record.predictions).to_pandas()
        right = table["label"] == table["prediction"]
        return {
            f"{split}/{head}": float(value)
            for (split, head), value in right.groupby([table["split"], table["head"]]).mean().items()
        }


def reason(error: Exception) -> str:
    """Why something failed, in one line; where the fault is ours, with the place."""
    if isinstance(error, EarshotError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]} ({Path(place.filename).name}:{place.lineno})"
