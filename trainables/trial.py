"""The Tune trainable: one trial is one chain, one `step()` is one session. The only module here that imports Ray."""

import math
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line, printable
from trainables.chain_config import ChainConfig
from trainables.memory_limit import MemoryWatch
from trainables.session_chain import Chain
from trainables.session_results import OBJECTIVE, SessionResults


class ChainTrial(tune.Trainable):
    """Runs a chain. A trial that fails for good records the reason; the sweep continues.

    Tune's configuration of a trial, in JSON types:
        chain: the fields of a `ChainConfig`.
        folder: where the record goes, a path or a URI.
        launch: identifies this launch of the sweep.
        memory: limit on the private memory of the process, bytes; None for no limit.
        given_up: why the sweep no longer tries this trial; empty if it does.
        resources: what the trial asks Ray for: `cpu`, `gpu`, `memory`.
    """

    _chain: Chain | None
    _failure: str
    _results: SessionResults
    _watch: MemoryWatch

    @classmethod
    def default_resource_request(  # type: ignore[override]  # Ray also takes a dictionary
        cls, config: dict[str, Any]
    ) -> dict[str, float] | None:
        """The resources of a trial. `tune.with_resources` would hide the name of this class from Ray's dashboard."""
        return config.get("resources")

    def __repr__(self) -> str:
        """Constant, as an actor runs one trial after the other: the name of the actor in dashboard and logs."""
        return "ChainTrial"

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
        """Runs one session; returns its result (`trainables.session_results`), or why the trial failed."""
        if self._chain is None:
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        chain = self._chain
        session = f"session {len(chain.record.sessions) + 1}/{len(chain.sessions)}"
        set_process_title(f"ray::{chain.record.trial} {session}")
        try:
            record = chain.step()
        except Exception as error:
            self._failure = reason(error)
            with suppress(OSError, EarshotError):  # often a full disk; the sweep records the failure at its end
                chain.fail(self._failure)
            print(f"{chain.record.trial} {session}: failed: {printable(self._failure)}", flush=True)
            return {"done": True, "failed": self._failure, OBJECTIVE: None}
        result = self._results.after(record)
        cost = "cached" if record.cached else f"{record.seconds:.1f} s"
        validation = f"validation {100 * result[OBJECTIVE]:.1f} %, " if math.isfinite(result[OBJECTIVE]) else ""
        print(f"{chain.record.trial} {session}: {validation}{cost}", flush=True)  # to the worker's log
        return result

    def _open(self, config: dict[str, Any]) -> None:
        before, self._chain = self._chain, None
        self._failure = ""
        self._watch.stop()
        self._watch = MemoryWatch(config["folder"], config["launch"], config.get("memory"))
        try:
            self._failure = config.get("given_up") or self._watch.exceeded()
            if not self._failure:
                self._chain = Chain(ChainConfig.model_validate(config["chain"]), config["folder"], before)
                self._results = SessionResults(self._chain)
                self._watch.start()
        except Exception as error:
            self._failure = reason(error)


def set_process_title(title: str) -> None:
    """What `ps`, `top` and Ray's dashboard show for this process until the method of the actor returns.

    A private API of Ray, which sets the titles of its workers with it; no other module here may import Ray.
    """
    import ray._raylet

    ray._raylet.setproctitle(title)  # type: ignore[attr-defined]


def reason(error: Exception) -> str:
    """Why a trial failed, in one line; for an unexpected exception with file and line."""
    if isinstance(error, EarshotError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {one_line(error)[:300]} ({Path(frame.filename).name}:{frame.lineno})"
