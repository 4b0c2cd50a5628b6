"""What TensorBoard shows of a sweep: every session in SCALARS, every trial in HPARAMS.

Tune's own TensorBoard logger takes the nested configuration of a trial (paths, protocol, threads, ...) for its
hyperparameters, puts `ray/tune/` before every tag, and keeps a file and a thread open per running trial.
"""

import struct
import time
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboardX.record_writer import masked_crc32c

from orchestrator.monitoring.watcher import Background, SessionResult, Status, Watched

FILE = "events.out.tfevents.0.earshot"  # one per trial; a name that does not change cannot be written twice


class TensorBoard(Background):
    """One event file per trial, for the tabs SCALARS and HPARAMS.

    A file is opened for as long as something is appended to it, so no number of trials is too many.

    Args:
        folder: gets a folder per trial.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def trial_started(self, trial: Watched) -> None:
        """Writes the hyperparameters, so that a trial is in the table from its start."""
        if trial.attempt > 1:
            return
        begin = SessionStartInfo(start_time_secs=time.time())
        for key, value in trial.hparams.items():
            if isinstance(value, bool):
                begin.hparams[key].bool_value = value
            elif isinstance(value, str):
                begin.hparams[key].string_value = value
            else:
                begin.hparams[key].number_value = value
        self.later(_make, self._folder / trial.name / FILE)
        self._append(trial, Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._append(trial, _hparams_event("session_start_info", HParamsPluginData(session_start_info=begin)))

    def session_ended(self, trial: Watched, result: SessionResult) -> None:
        """Writes the scalars of the session."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in result.scalars.items()]
        self._append(trial, Event(wall_time=time.time(), step=result.index, summary=Summary(value=values)))

    def trial_ended(self, trial: Watched, status: Status) -> None:
        """Writes how it ended: the table's metrics are the last scalars."""
        ended = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "stopped": "STATUS_UNKNOWN"}[status]
        end = SessionEndInfo(status=ended, end_time_secs=time.time())
        self._append(trial, _hparams_event("session_end_info", HParamsPluginData(session_end_info=end)))

    def _append(self, trial: Watched, event: Event) -> None:
        self.later(_write, self._folder / trial.name / FILE, event.SerializeToString())


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Appends a record of TensorFlow's format: length, its checksum, content, its checksum."""
    length = struct.pack("<Q", len(content))
    checks = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
    with path.open("ab") as file:
        file.write(length + checks[0] + content + checks[1])


def _hparams_event(tag: str, data: HParamsPluginData) -> Event:
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    value = Summary.Value(tag=f"_hparams_/{tag}", metadata=SummaryMetadata(plugin_data=plugin))
    return Event(wall_time=time.time(), summary=Summary(value=[value]))
