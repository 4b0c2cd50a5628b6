"""Events of a sweep for other programs (`--json`): one JSON object per line on stdout, and nothing else there.

Every line has `event` and `time` (ISO 8601, UTC). Keys are only ever added. Accuracies are fractions of one, durations
seconds; a number that does not exist (NaN) is null.

| event | keys | when |
|---|---|---|
| `sweep` | `schema` (1), `run`, `folder`, `benchmark`, `protocol`, `protocol_hash`, `methods`, `trials`, `sessions`, `at_once` | before the first trial |
| `dry_run` | `benchmark`, `protocol`, `backbone`, `device`, `run`, `store`, `methods` [{`method`, `backbone` (of several), `configurations`, `trials`, `sessions`, `stages`, `bases`, `found`, `exact`, `seconds`}], `at_once`, `resumes`, `seconds` | with `--dry-run`, instead of all that follow except the last |
| `trial_started` | `trial`, `method`, `backbone`, `configuration`, `seeds` {`order`, `support`, `initialisation`}, `varied`, `attempt` | a worker starts the trial; again, with a higher `attempt`, after its worker died |
| `session` | `trial`, `session` (from 0), `sessions`, `found`, `seconds`, `parameters`, `accuracy` {`val/HEAD`, `test/HEAD`}, `validation` {`aa`, ...} | once per session of a trial; `found` is true if it was cached, `seconds` are then those of its computation |
| `trial_died` | `trial`, `attempt`, `attempts` | the worker died and the trial is retried |
| `trial_ended` | `trial`, `status` (`finished`, `failed`, `stopped`), `reason` (of a failure, else null), `sessions`, `validation_aa`, `seconds` | once per trial that started |
| `sweep_restarted` | `reason` | Ray gave up on all trials together; those that had not ended are started again |
| `sweep_ended` | `trials`, `finished`, `failed`, `stopped`, `computed`, `found` (sessions that were cached), `seconds`, `folder`, `report`, `exit`, `reason` | always the last line, also if no trial could start |
"""  # noqa: E501

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from datasets.utils.json_values import json_text
from orchestrator.monitoring.listener import Listener, SessionResult, Status, TrialState

SCHEMA = 1


@contextmanager
def claimed_stdout() -> Iterator[TextIO]:
    """The real stdout, for events only; everything that other code writes to stdout goes to stderr."""
    sys.stdout.flush()
    descriptor, stdout = os.dup(1), sys.stdout
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    stream = os.fdopen(os.dup(descriptor), "w", encoding="utf-8")
    try:
        yield stream
    finally:
        with suppress(OSError):
            stream.close()
        sys.stdout = stdout
        os.dup2(descriptor, 1)
        os.close(descriptor)


class SweepEvents(Listener):
    """Writes the events of a sweep. The sweep continues if the reader closes the stream.

    Args:
        stream: from `claimed_stdout`.
        attempts: how many times a trial is started if its worker dies.
    """

    def __init__(self, stream: TextIO, attempts: int) -> None:
        self._attempts = attempts
        self._stream: TextIO | None = stream
        self._started = time.monotonic()
        self._ended: Counter[Status] = Counter()
        self._computed = self._cached = 0

    def sweep_started(
        self,
        folder: Path,
        *,
        benchmark: str,
        protocol: Mapping[str, Any],
        protocol_hash: str,
        methods: Mapping[str, int],
        sessions: int,
        at_once: int,
    ) -> None:
        """Writes `sweep`.

        Args:
            folder: of the run.
            benchmark: its folder or URI.
            protocol: its fields.
            protocol_hash: see `datasets.benchmark.protocol_hash`.
            methods: number of trials, by method.
            sessions: of a chain.
            at_once: trials at a time.
        """
        self._write(
            "sweep",
            schema=SCHEMA,
            run=folder.name,
            folder=str(folder),
            benchmark=benchmark,
            protocol=dict(protocol),
            protocol_hash=protocol_hash,
            methods=dict(methods),
            trials=sum(methods.values()),
            sessions=sessions,
            at_once=at_once,
        )

    def dry_run(self, document: Mapping[str, Any]) -> None:
        """Writes `dry_run`, in place of all events of trials."""
        self._write("dry_run", **document)

    def sweep_ended(
        self, exit_status: int, *, folder: Path | None = None, report: Path | None = None, reason: str | None = None
    ) -> None:
        """Writes `sweep_ended`.

        Args:
            exit_status: of the command.
            folder: of the run, if there is one.
            report: of the run, if one was written.
            reason: the error that ended the sweep, if any.
        """
        self._write(
            "sweep_ended",
            trials=self._ended.total(),
            finished=self._ended["finished"],
            failed=self._ended["failed"],
            stopped=self._ended["stopped"],
            computed=self._computed,
            found=self._cached,
            seconds=round(time.monotonic() - self._started, 3),
            folder=None if folder is None else str(folder),
            report=None if report is None else str(report),
            exit=exit_status,
            reason=reason,
        )

    def trial_started(self, trial: TrialState) -> None:
        """Writes `trial_started`."""
        chain = trial.chain
        self._write(
            "trial_started",
            trial=trial.name,
            method=chain.method,
            backbone=str(chain.backbone_spec.short(chain.backbone_parts)),
            configuration=chain.configuration,
            seeds=chain.seeds.model_dump(),
            varied=trial.varied,
            attempt=trial.attempt,
        )

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Writes `session`."""
        self._computed += not result.cached
        self._cached += result.cached
        self._write(
            "session",
            trial=trial.name,
            session=result.index,
            sessions=trial.planned,
            found=result.cached,
            seconds=round(result.seconds, 3),
            parameters=result.parameters,
            accuracy=result.accuracy,
            validation=result.validation,
        )

    def worker_died(self, trial: TrialState) -> None:
        """Writes `trial_died`."""
        self._write("trial_died", trial=trial.name, attempt=trial.attempt, attempts=self._attempts)

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Writes `trial_ended`."""
        self._ended[status] += 1
        self._write(
            "trial_ended",
            trial=trial.name,
            status=status,
            reason=trial.failure or None,
            sessions=trial.sessions,
            validation_aa=trial.validation,
            seconds=round(time.monotonic() - trial.began, 3),
        )

    def sweep_restarted(self, reason: str) -> None:
        """Writes `sweep_restarted`."""
        self._write("sweep_restarted", reason=reason)

    def _write(self, event: str, **values: Any) -> None:
        if self._stream is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json_text({"event": event, "time": now, **values}, ensure_ascii=False)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:  # the reader closed the pipe, or its disk is full
            self._stream = None
