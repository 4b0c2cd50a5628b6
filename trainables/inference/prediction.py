"""Classifies recordings with an exported model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.inference.exported_model import ExportedModel

WINDOWS_AT_A_TIME = 32


@dataclass(frozen=True)
class ClassScore:
    """A class and how likely it is.

    Attributes:
        label: of the benchmark.
        name: untrusted text.
        probability: softmax of the mean scores, over the classes that the model knows.
        score: mean score of the head over the windows.
    """

    label: int
    name: str
    probability: float
    score: float


@dataclass(frozen=True)
class Window:
    """The likeliest class of a window, from `start` to `end` in seconds."""

    start: float
    end: float
    label: int
    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a recording is.

    Attributes:
        seconds: length of the recording.
        windows: number of windows.
        classes: the likeliest first.
        timeline: the windows in order; empty where it was not asked for.
    """

    seconds: float
    windows: int
    classes: tuple[ClassScore, ...]
    timeline: tuple[Window, ...]


def predict(
    model: ExportedModel,
    path: Path,
    *,
    head: str | None = None,
    top: int = 5,
    hop: float | None = None,
    timeline: bool = False,
    loudness: bool | None = None,
    listener: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Classifies one recording.

    Args:
        model: from `trainables.inference.exported_model.load_model`.
        path: any file that libsndfile reads.
        head: of the method (default: the trial's).
        top: so many classes.
        hop: seconds from one window to the next (default: half a window).
        timeline: whether to tell the windows one by one.
        loudness: whether to bring it to -23 LUFS (default: as the model's benchmark was made).
        listener: gets the numbers of windows done and in all.

    Raises:
        RejectedError: the file cannot be trusted; says why, without its name.
        EarshotError: there is no such head, or the hop is shorter than a sample.
    """
    import torch

    from trainables.inference.windows import read

    known = model.description
    head = check_head(model, head)
    step = known.num_samples // 2 or 1 if hop is None else round(hop * known.sample_rate)
    if step < 1:
        raise EarshotError(f"--hop: expected at least a sample, {1 / known.sample_rate:g} s, found {hop:g}")
    recording = read(path, known.sample_rate, loudness=known.loudness if loudness is None else loudness)
    starts = recording.starts(known.num_samples, step)
    total = torch.zeros(len(known.classes), dtype=torch.float64)
    windows: list[Window] = []
    for first in range(0, len(starts), WINDOWS_AT_A_TIME):
        part = starts[first : first + WINDOWS_AT_A_TIME]
        scores = model.score(recording.windows(part, known.num_samples))[head].double()
        total += scores.sum(dim=0)
        if timeline:
            for start, probabilities in zip(part.tolist(), scores.softmax(dim=1), strict=True):
                best = int(probabilities.argmax())
                end = min(start + known.num_samples, len(recording.samples)) / known.sample_rate
                one = known.classes[best]
                windows.append(Window(start / known.sample_rate, end, one.label, one.name, float(probabilities[best])))
        if listener:
            listener(first + len(part), len(starts))
    means = total / len(starts)
    order = torch.argsort(means, descending=True, stable=True)[:top].tolist()
    likely = means.softmax(dim=0)
    classes = tuple(
        ClassScore(known.classes[i].label, known.classes[i].name, float(likely[i]), float(means[i])) for i in order
    )
    return Prediction(recording.seconds, len(starts), classes, tuple(windows))


def check_head(model: ExportedModel, head: str | None) -> str:
    """The head's name, the trial's default where it is None.

    Raises:
        EarshotError: the method has none of that name.
    """
    known = model.description
    if head is not None and head not in known.heads:
        raise EarshotError(f"--head {printable(head)}: {known.method} has {', '.join(known.heads)}")
    return head or known.default_head
