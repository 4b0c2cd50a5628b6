"""Classifies the recordings of a list, one by one or, with a transductive model, as one batch."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.audio.recordings import RejectedError
from datasets.utils.text import printable
from trainables.inference.exported_model import ExportedModel
from trainables.inference.prediction import (
    EmbeddedRecording,
    Prediction,
    check_head,
    classify_together,
    embed_recording,
    predict,
)
from trainables.inference.recording_files import RecordingFile

Listener = Callable[[str, int, int | None], None]
"""Called with the path of the recording that is read, the windows of it that are done, and their number if known."""


@dataclass(frozen=True)
class ClassifiedFile:
    """A recording with its prediction, or the reason why it has none.

    Attributes:
        index: of the recording in the list.
        file: its path.
        prediction: None if the recording cannot be read.
        error: why it cannot be read; None if it can.
    """

    index: int
    file: str
    prediction: Prediction | None
    error: str | None = None


def classify_files(
    model: ExportedModel,
    files: Iterable[RecordingFile],
    *,
    head: str | None = None,
    top: int = 5,
    hop: float | None = None,
    timeline: bool = False,
    loudness: bool | None = None,
    unknown: bool = True,
    listener: Listener | None = None,
) -> Iterator[ClassifiedFile]:
    """Classifies recordings; a recording that cannot be read does not end the loop over the others.

    Args:
        model: from `trainables.inference.exported_model.load_model`.
        files: from `trainables.inference.recording_files.recording_files`.
        head: see `trainables.inference.prediction.predict`.
        top: likewise.
        hop: likewise.
        timeline: likewise.
        loudness: likewise.
        unknown: likewise.
        listener: see `Listener`.

    Yields:
        The recordings as soon as they are done: with a transductive model those that cannot be read first, and all
        others when the last one has been read.

    Raises:
        EarshotError: there is no such head, or the hop is shorter than a sample.
    """
    head = check_head(model, head)
    read: dict[str, Any] = {"hop": hop, "loudness": loudness}
    shown: dict[str, Any] = {"head": head, "top": top, "timeline": timeline}
    batch: dict[tuple[int, str], EmbeddedRecording] = {}
    for index, file in enumerate(files):
        name = file.path
        if listener:
            listener(name, 0, None)
            read["listener"] = lambda done, total, name=name: listener(name, done, total)
        try:
            if file.error:
                raise RejectedError(file.error)
            if model.transductive:
                batch[index, name] = embed_recording(model, Path(name), **read)
                continue
            prediction = predict(model, Path(name), unknown=unknown, **read, **shown)
        except (RejectedError, OSError) as error:
            reason = str(error) if isinstance(error, RejectedError) else error.strerror or str(error)
            yield ClassifiedFile(index, name, None, printable(reason))
            continue
        yield ClassifiedFile(index, name, prediction)
    if batch:
        for (index, name), prediction in zip(batch, classify_together(model, [*batch.values()], **shown), strict=True):
            yield ClassifiedFile(index, name, prediction)
