"""What a model says of recordings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import pandas as pd

    from trainables.inference.prediction import ClassScore, Window

NONE = "none of these"


@dataclass(frozen=True)
class RecordingPrediction:
    """What a model says of one recording.

    Attributes:
        file: its path; 'array 0' for samples.
        seconds: its length; NaN if it could not be read.
        classes: the most probable first: `name`, `probability`, `score`, `label`.
        none_of_these: whether the sound is of none of the classes; None if the model has no threshold for that.
        windows: the most probable class of each window, if that was asked for.
        error: why the recording could not be read; None if it could.
    """

    file: str
    seconds: float
    classes: "tuple[ClassScore, ...]"
    none_of_these: bool | None
    windows: "tuple[Window, ...]"
    error: str | None = None

    @property
    def name(self) -> str | None:
        """Name of the most probable class, or 'none of these'; None if the recording could not be read."""
        if self.error is not None:
            return None
        return NONE if self.none_of_these else self.classes[0].name

    @property
    def probability(self) -> float:
        """Of the most probable class; NaN if the recording could not be read."""
        return self.classes[0].probability if self.classes else float("nan")


class Predictions(Sequence[RecordingPrediction]):
    """What a model says of recordings, in their order; a sequence of `RecordingPrediction`.

    Args:
        recordings: one by one.
    """

    def __init__(self, recordings: Sequence[RecordingPrediction]) -> None:
        self._recordings = tuple(recordings)

    @property
    def names(self) -> list[str | None]:
        """The most probable class of each recording, or 'none of these'; None where it could not be read."""
        return [one.name for one in self]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row per recording and class, the most probable first: `file`, `rank` from 1, `class`, `probability`,
        `score`, `label`, `none_of_these`, `seconds`, `error`; one row with the error of a recording without classes.
        """
        import pandas as pd

        columns = ["file", "rank", "class", "probability", "score", "label", "none_of_these", "seconds", "error"]
        rows: list[tuple[object, ...]] = []
        for one in self:
            same = (one.none_of_these, one.seconds, one.error or "")
            for rank, entry in enumerate(one.classes, 1):
                rows.append((one.file, rank, entry.name, entry.probability, entry.score, entry.label, *same))
            if not one.classes:
                rows.append((one.file, None, None, None, None, None, *same))
        table = pd.DataFrame(rows, columns=columns)
        return table.astype({"rank": "Int64", "label": "Int64", "none_of_these": "boolean"})

    def __len__(self) -> int:
        return len(self._recordings)

    @overload
    def __getitem__(self, index: int) -> RecordingPrediction: ...

    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...

    def __getitem__(self, index: int | slice) -> "RecordingPrediction | Predictions":
        return Predictions(self._recordings[index]) if isinstance(index, slice) else self._recordings[index]

    def __iter__(self) -> Iterator[RecordingPrediction]:
        return iter(self._recordings)

    def __repr__(self) -> str:
        return self._shown().to_string(index=False)

    def _repr_html_(self) -> str:
        return self._shown().to_html(index=False, border=0)

    def _shown(self) -> "pd.DataFrame":
        """A row per recording: its classes with their probabilities."""
        import pandas as pd

        from datasets.utils.text import printable

        rows = []
        for one in self:
            classes = [f"{printable(entry.name)} {entry.probability:.3f}" for entry in one.classes]
            answer = [f"{NONE};"] if one.none_of_these else []
            text = " ".join([*answer, ", ".join(classes)]) if one.error is None else f"error: {one.error}"
            rows.append((printable(one.file), text))
        return pd.DataFrame(rows, columns=["recording", "classes"])
