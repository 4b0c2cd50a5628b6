"""What machines see while a sweep runs (`--json`): one JSON object per line on stdout, and nothing else there.

Every line has `event` and `time` (ISO 8601, UTC). Keys are only ever added. Accuracies are fractions of one, durations
seconds; a number that does not exist (NaN) is null.

| event | keys | when |
|---|---|---|
| `sweep` | `schema` (1), `run`, `folder`, `benchmark`, `protocol`, `methods`, `trials`, `sessions`, `at_once` | before the first trial |
| `dry_run` | `benchmark`, `protocol`, `backbone`, `device`, `run`, `store`, `methods` [{`method`, `configurations`, `trials`, `sessions`, `stages`, `bases`, `found`, `exact`, `seconds`}], `at_once`, `resumes`, `seconds` | with `--dry-run`, in place of all that follow but the last |
| `trial_started` | `trial`, `method`, `configuration`, `seeds` {`order`, `support`, `initialisation`}, `varied`, `attempt` | a worker takes it up; again after its worker died, with a higher `attempt` |
| `session` | `trial`, `session` (from 0), `sessions`, `found`, `seconds`, `parameters`, `accuracy` {`val/HEAD`, `test/HEAD`}, `validation` {`aa`, ...} | once per session of a trial; `seconds` of a found one are those of when it was computed |
| `trial_died` | `trial`, `attempt`, `attempts` | its worker died and it is tried again |
| `trial_ended` | `trial`, `status` (`finished`, `failed`, `stopped`), `reason` (of a failure, else null), `sessions`, `validation_aa`, `seconds` | once per trial that began |
| `sweep_restarted` | `reason` | Ray gave up on all trials together; those that had not ended start again |
| `sweep_ended` | `trials`, `finished`, `failed`, `stopped`, `computed`, `found`, `seconds`, `folder`, `report`, `exit`, `reason` | always the last line, also if nothing could begin |
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
from orchestrator.monitoring.watcher import SessionResult, Status, Watched, Watcher

SCHEMA = 1


@contextmanager
def claimed_stdout() -> Iterator[TextIO]:
    """The real stdout, for events alone: all else that is written there, by any library, goes to stderr."""
    sys.stdout.flush()
    kept, printed = os.dup(1), sys.stdout
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    stream = os.fdopen(os.dup(kept), "w", encoding="utf-8")
    try:
        yield stream
    finally:
        with suppress(OSError):
            stream.close()
        sys.stdout = printed
        os.dup2(kept, 1)
        os.close(kept)


class SweepEvents(Watcher):
    """Writes the events of a sweep. A reader that goes away does not end the sweep.

    Args:
        stream: from `claimed_stdout`.
        attempts: how often a trial is started whose worker dies.
    """

    def __init__(self, stream: TextIO, attempts: int) -> None:
        super().__init__(attempts)
        self._stream: TextIO | None = stream
        self._started = time.monotonic()
        self._ended: Counter[Status] = Counter()
        self._computed = self._found = 0

    def sweep_started(
        self,
        folder: Path,
        *,
        benchmark: str,
        protocol: Mapping[str, Any],
        methods: Mapping[str, int],
        sessions: int,
        at_once: int,
    ) -> None:
        """Tells what is about to run.

        Args:
            folder: of the run.
            benchmark: its place.
            protocol: its fields.
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
            methods=dict(methods),
            trials=sum(methods.values()),
            sessions=sessions,
            at_once=at_once,
        )

    def foretold(self, document: Mapping[str, Any]) -> None:
        """Tells what a sweep would do (`--dry-run`)."""
        self._write("dry_run", **document)

    def sweep_ended(
        self, exit_status: int, *, folder: Path | None = None, report: Path | None = None, reason: str | None = None
    ) -> None:
        """Tells how it ended.

        Args:
            exit_status: of the command.
            folder: of the run, where there is one.
            report: its report, where one was written.
            reason: what was wrong, where something was.
        """
        self._write(
            "sweep_ended",
            trials=self._ended.total(),
            finished=self._ended["finished"],
            failed=self._ended["failed"],
            stopped=self._ended["stopped"],
            computed=self._computed,
            found=self._found,
            seconds=round(time.monotonic() - self._started, 3),
            folder=None if folder is None else str(folder),
            report=None if report is None else str(report),
            exit=exit_status,
            reason=reason,
        )

    def trial_started(self, trial: Watched) -> None:
        """Writes `trial_started`."""
        chain = trial.chain
        self._write(
            "trial_started",
            trial=trial.name,
            method=chain.method,
            configuration=chain.configuration,
            seeds=chain.seeds.model_dump(),
            varied=trial.varied,
            attempt=trial.attempt,
        )

    def session_ended(self, trial: Watched, result: SessionResult) -> None:
        """Writes `session`."""
        self._computed += not result.found
        self._found += result.found
        self._write(
            "session",
            trial=trial.name,
            session=result.index,
            sessions=trial.planned,
            found=result.found,
            seconds=round(result.seconds, 3),
            parameters=result.parameters,
            accuracy=result.accuracy,
            validation=result.summary,
        )

    def trial_died(self, trial: Watched) -> None:
        """Writes `trial_died`."""
        self._write("trial_died", trial=trial.name, attempt=trial.attempt, attempts=self.attempts)

    def trial_ended(self, trial: Watched, status: Status) -> None:
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

    def sweep_restarted(self, why: str) -> None:
        """Writes `sweep_restarted`."""
        self._write("sweep_restarted", reason=why)

    def _write(self, event: str, **values: Any) -> None:
        if self._stream is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json_text({"event": event, "time": now, **values}, ensure_ascii=False)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:  # the reader has gone, or its disk is full
            self._stream = None
