"""Loss and learning rate of the trainings of a session, by epoch. Imports no PyTorch.

    RUN/trials/TRIAL/training-00.json   those of session 0, if its method trains
    RUN/trials/TRIAL/training.json      those of the session that is computed at the moment, so far

    {"session": 0, "trainings": [{"name": "base session", "epochs": 100, "epoch": [1, 2, ...],
                                  "loss": [4.1, 3.2, ...], "lr": [0.001, 0.001, ...]}], "checksum": "..."}

The store has the same curves with the stage (`trainables.store.stages`), so that those of cached sessions are known,
unless an earlier version computed them. Files are small: of a long training, every second, fourth, ... epoch is kept,
besides the first and the last one.
"""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from datasets.utils.checksum import check_checksum, with_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.learners.training_listener import Epoch

POINTS = 100  # of a curve, at most
TRAININGS = 8  # of a session, at most; those that follow are left out
LIVE_FILE = "training.json"
DIGITS = 6


def curves_file(session: int) -> str:
    """Name of the file with the curves of a finished session."""
    return f"training-{session:02d}.json"


class TrainingCurve(BaseModel):
    """The course of a training.

    Attributes:
        name: of the training, see `trainables.learners.training_listener.Epoch`.
        epochs: that it takes.
        epoch: the epochs that are kept, from 1, in their order.
        loss: of each of them.
        lr: learning rate of each of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(printable), Field(max_length=200)]
    epochs: int = Field(ge=1, le=2**53)
    epoch: tuple[int, ...] = Field(min_length=1, max_length=POINTS)
    loss: tuple[FiniteFloat, ...]
    lr: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _check(self) -> "TrainingCurve":
        if not len(self.epoch) == len(self.loss) == len(self.lr):
            raise ValueError("expected as many values of loss and lr as of epoch")
        if list(self.epoch) != sorted({*self.epoch}) or self.epoch[0] < 1 or self.epoch[-1] > self.epochs:
            raise ValueError("expected epochs in ascending order, from 1 to epochs")
        return self

    @property
    def last(self) -> Epoch:
        """The last epoch so far."""
        return Epoch(self.name, self.epoch[-1], self.epochs, self.loss[-1], self.lr[-1])


Curves = tuple[TrainingCurve, ...]


class CurveRecorder:
    """A listener that keeps the curves of a session."""

    def __init__(self) -> None:
        self._trainings: list[list[Epoch]] = []
        self._strides: list[int] = []

    def __call__(self, epoch: Epoch) -> None:
        """Adds an epoch."""
        if epoch.epoch == 1:
            self._trainings.append([])
            self._strides.append(1)
        points = self._trainings[-1]
        if points and not self._is_kept(points[-1]):
            points.pop()  # it was the last one
        if len(points) == POINTS:  # before the epoch is added: another thread never sees more
            self._strides[-1] *= 2
            points[:] = filter(self._is_kept, points)
        points.append(epoch)

    def _is_kept(self, point: Epoch) -> bool:
        """Whether an epoch of the current training is kept where it is not the last one."""
        return point.epoch == 1 or point.epoch % self._strides[-1] == 0

    def curves(self) -> Curves:
        """The curves so far; may be called by another thread while epochs are added."""
        kept = [list(points) for points in self._trainings[:TRAININGS]]
        return tuple(_curve(points) for points in kept if points)


def _curve(points: list[Epoch]) -> TrainingCurve:
    """The curve of epochs of one training."""
    return TrainingCurve(
        name=points[0].training[:200],
        epochs=points[0].epochs,
        epoch=tuple(point.epoch for point in points),
        loss=tuple(_rounded(point.loss) for point in points),
        lr=tuple(_rounded(point.lr) for point in points),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def write_curves(session: int, curves: Curves) -> bytes:
    """Contents of a file of curves.

    Args:
        session: index of the session.
        curves: of its trainings.
    """
    content = {"session": session, "trainings": [curve.model_dump(mode="json") for curve in curves]}
    return json.dumps(with_checksum(content), separators=(",", ":")).encode() + b"\n"


def parse_curves(content: bytes, path: str) -> tuple[int, Curves]:
    """The session, and the curves of its trainings, in a file of curves.

    Raises:
        EarshotError: the contents are not those of such a file, or differ from their checksum.
    """
    advice = "delete the folder of the trial and run the sweep again"
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise EarshotError(f"{path}: expected a JSON object with curves of trainings, found something else; {advice}")
    try:
        parsed = _File.model_validate_json(json.dumps(check_checksum(values, path, advice)))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise EarshotError(f"{path}: {printable(key)}: {first['msg']}; {advice}") from None
    return parsed.session, parsed.trainings


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    session: int = Field(ge=0)
    trainings: tuple[TrainingCurve, ...] = Field(max_length=TRAININGS)


def curves_of(values: Any) -> Curves:
    """Curves in JSON types, as in a stage and in the result of a session; none if they are not valid."""
    try:
        return tuple(TrainingCurve.model_validate_json(json.dumps(value)) for value in values or ())
    except (ValidationError, TypeError, ValueError):
        return ()
