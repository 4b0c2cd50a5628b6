"""Logs a sweep for TensorBoard: each session in SCALARS, each trial in HPARAMS.

Tune's own TensorBoard logger takes the nested configuration of a trial (paths, protocol, threads, ...) for its
hyperparameters, prefixes every tag with `ray/tune/`, and keeps a file and a thread open per running trial.
"""

import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.monitoring.listener import BackgroundListener, SessionResult, Status, TrialState

if TYPE_CHECKING:  # it imports PyTorch
    from tensorboardX.proto.event_pb2 import Event

FILE = "events.out.tfevents.0.earshot"  # the same name each time, so that a trial never has two files


class TensorBoard(BackgroundListener):
    """One event file per trial, for the tabs SCALARS and HPARAMS.

    A file is open only while something is appended to it, so the number of trials is not limited by open files.

    Args:
        folder: gets a folder per trial.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def trial_started(self, trial: TrialState) -> None:
        """Writes the hyperparameters, so that a trial is in the table from its start."""
        if trial.attempt == 1:
            self.submit(_start_file, self._file(trial), trial.hparams, time.time())

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        """Writes the scalars of the session, and the curves of its trainings."""
        self.submit(_append_scalars, self._file(trial), result, time.time())

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        """Writes how the trial ended; the metrics in the table are the last scalars."""
        self.submit(_append_end, self._file(trial), status, time.time())

    def _file(self, trial: TrialState) -> Path:
        return self._folder / trial.name / FILE


def _start_file(path: Path, hparams: dict[str, str | int | float | bool], now: float) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.plugin_hparams_pb2 import SessionStartInfo

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    start = SessionStartInfo(start_time_secs=now)
    for key, value in hparams.items():
        if isinstance(value, bool):
            start.hparams[key].bool_value = value
        elif isinstance(value, str):
            start.hparams[key].string_value = value
        else:
            start.hparams[key].number_value = value
    _append(path, Event(wall_time=now, file_version="brain.Event:2"))
    _append_hparams(path, now, session_start_info=start)


def _append_scalars(path: Path, result: SessionResult, now: float) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

    events = []
    for step, scalars in [*result.epochs, (result.index, result.scalars)]:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        events.append(Event(wall_time=now, step=step, summary=Summary(value=values)))
    _append(path, *events)


def _append_end(path: Path, status: Status, now: float) -> None:
    from tensorboardX.proto.plugin_hparams_pb2 import SessionEndInfo

    name = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "stopped": "STATUS_UNKNOWN"}[status]
    _append_hparams(path, now, session_end_info=SessionEndInfo(status=name, end_time_secs=now))


def _append_hparams(path: Path, now: float, **data: Any) -> None:
    """Appends one record of the HPARAMS plugin; the keyword is its kind."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    (kind,) = data
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=HParamsPluginData(**data).SerializeToString())
    value = Summary.Value(tag=f"_hparams_/{kind}", metadata=SummaryMetadata(plugin_data=plugin))
    _append(path, Event(wall_time=now, summary=Summary(value=[value])))


def _append(path: Path, *events: "Event") -> None:
    """Appends records in TensorFlow's format: length, its checksum, content, its checksum."""
    from tensorboardX.record_writer import masked_crc32c

    with path.open("ab") as file:
        for event in events:
            content = event.SerializeToString()
            length = struct.pack("<Q", len(content))
            checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
            file.write(length + checksums[0] + content + checksums[1])
