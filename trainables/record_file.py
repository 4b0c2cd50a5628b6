"""The file of a trial's record while its chain runs.

A launch repeats the sessions of a finished trial from the store. The finished record stays in its place meanwhile: if
that launch is killed, the trial is still finished.
"""

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from trainables.records import SessionRecord, TrialRecord

_SAME = ("stage", "predictions_sha256", "unknown_sha256", "training_sha256")


class RecordFile:
    """Writes `trial.json`.

    Args:
        folder: of the trial.
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._finished: TrialRecord | None = None  # of an earlier launch, as long as the sessions are the same

    def begin(self, record: TrialRecord) -> None:
        """Writes a record without sessions, unless there is a finished one of the same trial."""
        try:
            before = TrialRecord.parse((self._folder / "trial.json").read_bytes(), "trial.json")
        except (OSError, EarshotError):
            before = None
        self._finished = None
        if before is not None:
            as_before = record.model_copy(update={"sessions": before.sessions, "status": "finished"})
            self._finished = before if before.model_dump_json() == as_before.model_dump_json() else None
        if self._finished is None:
            record.save(self._folder)

    def expect(self, record: TrialRecord, session: SessionRecord) -> None:
        """Writes the record so far, before the files of a session that differ from those of the finished record."""
        if self._finished is None:
            return
        before = self._finished.sessions[session.index]
        if any(getattr(before, key) != getattr(session, key) for key in _SAME):
            self._finished = None
            record.save(self._folder)

    def save(self, record: TrialRecord) -> None:
        """Writes the record after a session."""
        if self._finished is None or record.status != "running":
            record.save(self._folder)
