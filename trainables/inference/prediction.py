"""Classifies recordings with an exported model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.inference.exported_model import ExportedModel
from trainables.inference.windows import Recording, read
from trainables.unknown_score import unknown_score

WINDOWS_PER_BATCH = 32


@dataclass(frozen=True)
class ClassScore:
    """A class and its probability.

    Attributes:
        label: of the benchmark.
        name: untrusted text.
        probability: softmax of the mean scores divided by the head's temperature, over the classes that the model
            knows.
        score: mean score of the head over the windows.
    """

    label: int
    name: str
    probability: float
    score: float


@dataclass(frozen=True)
class Window:
    """The most probable class of a window, from `start` to `end` in seconds.

    Attributes:
        none_of_these: see `Prediction`.
    """

    start: float
    end: float
    label: int
    name: str
    probability: float
    none_of_these: bool | None


@dataclass(frozen=True)
class Prediction:
    """The classes of a recording.

    Attributes:
        seconds: length of the recording.
        windows: number of windows.
        none_of_these: whether the unknown score, of the mean scores, is below the threshold of the head; None without a
            threshold, or if it was not requested.
        classes: the most probable first.
        timeline: the windows in order; empty if it was not requested.
    """

    seconds: float
    windows: int
    none_of_these: bool | None
    classes: tuple[ClassScore, ...]
    timeline: tuple[Window, ...]


@dataclass(frozen=True)
class EmbeddedRecording:
    """A recording as a transductive model reads it.

    Attributes:
        seconds: length of the recording.
        samples: the same at the model's sample rate.
        starts: first sample of each window, int64 `[windows]`.
        embeddings: of the windows, `[windows, dim]`.
    """

    seconds: float
    samples: int
    starts: np.ndarray
    embeddings: torch.Tensor


def predict(
    model: ExportedModel,
    path: Path,
    *,
    head: str | None = None,
    top: int = 5,
    hop: float | None = None,
    timeline: bool = False,
    loudness: bool | None = None,
    unknown: bool = True,
    listener: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Classifies one recording. Its windows are the batch of a transductive model; see `classify_together`.

    Args:
        model: from `trainables.inference.exported_model.load_model`.
        path: any file that libsndfile reads.
        head: of the method (default: the trial's).
        top: number of classes in the result.
        hop: seconds from one window to the next (default: half a window).
        timeline: whether the result lists the windows.
        loudness: whether to normalise the recording to -23 LUFS (default: as the model's benchmark).
        unknown: whether the answer may be that the sound is of none of the classes, if the model has a threshold.
        listener: called with the numbers of windows done and in total.

    Raises:
        RejectedError: the file is not valid; the message gives the reason without the file's name.
        EarshotError: there is no such head, or the hop is shorter than a sample.
    """
    if model.transductive:
        embedded = embed_recording(model, path, hop=hop, loudness=loudness, listener=listener)
        return classify_together(model, [embedded], head=head, top=top, timeline=timeline)[0]
    description = model.description
    head = check_head(model, head)
    recording, starts = _open(model, path, hop, loudness)
    temperature = description.temperature(head)
    threshold = description.threshold(head) if unknown else None
    total = torch.zeros(len(description.classes), dtype=torch.float64)
    windows: list[Window] = []
    for first in range(0, len(starts), WINDOWS_PER_BATCH):
        batch = starts[first : first + WINDOWS_PER_BATCH]
        scores = model.score(recording.windows(batch, description.num_samples))[head].double()
        total += scores.sum(dim=0)
        if timeline:
            below = None if threshold is None else unknown_score(scores) < threshold
            windows += _timeline(model, batch, len(recording.samples), scores / temperature, below)
        if listener:
            listener(first + len(batch), len(starts))
    mean = total / len(starts)
    is_none = None if threshold is None else bool(unknown_score(mean[None]) < threshold)
    classes = _top_classes(model, mean, temperature, top)
    return Prediction(recording.seconds, len(starts), is_none, classes, tuple(windows))


def embed_recording(
    model: ExportedModel,
    path: Path,
    *,
    hop: float | None = None,
    loudness: bool | None = None,
    listener: Callable[[int, int], None] | None = None,
) -> EmbeddedRecording:
    """Reads one recording for `classify_together`; arguments and errors as of `predict`.

    Args:
        model: transductive.
        path: any file that libsndfile reads.
        hop: seconds from one window to the next (default: half a window).
        loudness: whether to normalise the recording to -23 LUFS (default: as the model's benchmark).
        listener: called with the numbers of windows done and in total.
    """
    recording, starts = _open(model, path, hop, loudness)
    parts = []
    for first in range(0, len(starts), WINDOWS_PER_BATCH):
        batch = starts[first : first + WINDOWS_PER_BATCH]
        parts.append(model.embed(recording.windows(batch, model.description.num_samples)))
        if listener:
            listener(first + len(batch), len(starts))
    return EmbeddedRecording(recording.seconds, len(recording.samples), starts, torch.cat(parts))


def classify_together(
    model: ExportedModel,
    recordings: Sequence[EmbeddedRecording],
    *,
    head: str | None = None,
    top: int = 5,
    timeline: bool = False,
) -> list[Prediction]:
    """Classifies recordings with a transductive model, which sees all windows of all recordings as one batch.

    Args:
        model: transductive.
        recordings: at least one, from `embed_recording`.
        head: of the method (default: the trial's).
        top: number of classes in each result.
        timeline: whether the results list the windows.

    Returns:
        A prediction for each recording.
    """
    head = check_head(model, head)
    temperature = model.description.temperature(head)
    scores = model.score_embeddings(torch.cat([recording.embeddings for recording in recordings]))[head].double()
    predictions = []
    for recording, own in zip(recordings, scores.split([len(one.starts) for one in recordings]), strict=True):
        windows = _timeline(model, recording.starts, recording.samples, own / temperature, None) if timeline else []
        classes = _top_classes(model, own.mean(dim=0), temperature, top)
        predictions.append(Prediction(recording.seconds, len(recording.starts), None, classes, tuple(windows)))
    return predictions


def _open(model: ExportedModel, path: Path, hop: float | None, loudness: bool | None) -> tuple[Recording, np.ndarray]:
    """A recording, and the first sample of each of its windows."""
    description = model.description
    step = description.num_samples // 2 or 1 if hop is None else round(hop * description.sample_rate)
    if step < 1:
        raise EarshotError(f"--hop: expected at least a sample, {1 / description.sample_rate:g} s, found {hop:g}")
    recording = read(path, description.sample_rate, loudness=description.loudness if loudness is None else loudness)
    return recording, recording.starts(description.num_samples, step)


def _timeline(
    model: ExportedModel, starts: np.ndarray, samples: int, logits: torch.Tensor, below: torch.Tensor | None
) -> list[Window]:
    """The most probable class of each window.

    Args:
        model: whose classes these are.
        starts: first sample of each window, `[windows]`.
        samples: length of the recording.
        logits: scores divided by the temperature, `[windows, classes]`.
        below: whether the unknown score is below the threshold, bool `[windows]`; None without a threshold.
    """
    description = model.description
    windows = []
    for index, (start, probabilities) in enumerate(zip(starts.tolist(), logits.softmax(dim=1), strict=True)):
        best = int(probabilities.argmax())
        begin = start / description.sample_rate
        end = min(start + description.num_samples, samples) / description.sample_rate
        entry = description.classes[best]
        is_none = None if below is None else bool(below[index])
        windows.append(Window(begin, end, entry.label, entry.name, float(probabilities[best]), is_none))
    return windows


def _top_classes(model: ExportedModel, scores: torch.Tensor, temperature: float, top: int) -> tuple[ClassScore, ...]:
    """The `top` most probable classes for mean scores `[classes]`."""
    probabilities = (scores / temperature).softmax(dim=0)
    order = torch.argsort(scores, descending=True, stable=True)[:top].tolist()
    classes = model.description.classes
    return tuple(
        ClassScore(classes[i].label, classes[i].name, float(probabilities[i]), float(scores[i])) for i in order
    )


def check_head(model: ExportedModel, head: str | None) -> str:
    """The head's name; the trial's default head if it is None.

    Raises:
        EarshotError: the method has no head of that name.
    """
    description = model.description
    if head is not None and head not in description.heads:
        raise EarshotError(f"--head {printable(head)}: {description.method} has {', '.join(description.heads)}")
    return head or description.default_head
