"""A trained chain in use."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datasets.utils.console import error_console, progress_bar
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from earshot.predictions import Predictions, RecordingPrediction
from earshot.process import settings_restored
from earshot.recordings import recording_files_of

if TYPE_CHECKING:
    from trainables.inference.classified_files import ClassifiedFile
    from trainables.inference.description import Description
    from trainables.inference.exported_model import ExportedModel


class Model:
    """An exported model; from `earshot.load_model` or `Best.export`.

    Args:
        path: its folder.
        read: reads it (`trainables.inference.exported_model.load_model`).

    Attributes:
        path: absolute path of the folder.
    """

    def __init__(self, path: Path, read: "Callable[[Path], ExportedModel]") -> None:
        self.path = path.absolute()
        self._read = read
        self._loaded = read(path)

    @property
    def description(self) -> "Description":
        """Contents of model.json: method, settings, classes, calibration, where the model comes from."""
        return self._loaded.description

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.description.method

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that the model knows, in the order in which it has learned them."""
        return tuple(entry.name for entry in self.description.classes)

    @property
    def sample_rate(self) -> int:
        """Of its clips, Hz; recordings are resampled to it."""
        return self.description.sample_rate

    @property
    def clip_seconds(self) -> float:
        """Length of its clips; recordings are cut into windows of this length."""
        return self.description.num_samples / self.description.sample_rate

    def predict(
        self,
        recordings: Any,
        *,
        rate: int | None = None,
        top: int = 5,
        head: str | None = None,
        hop: float | None = None,
        windows: bool = False,
        loudness: bool | None = None,
        unknown: bool = True,
        on_error: Literal["raise", "record"] = "raise",
        progress: bool = False,
    ) -> Predictions:
        """Classifies recordings of any length, sample rate and number of channels, as `earshot predict` does.

        The scores of a head are averaged over windows of the model's clip length and converted to probabilities of the
        classes that the model knows. A transductive model sees all recordings of a call as one batch, so that each
        result depends on all of them.

        Args:
            recordings: a path of a file or of a folder of recordings; an array of samples, `[samples]` or
                `[samples, channels]`, floating-point with a full scale of 1, or int16 or int32, alone with `rate` or as
                the pair (array, rate); or an iterable of these.
            rate: sample rate of arrays that are given without one, Hz.
            top: number of classes of each result, at least 1.
            head: whose scores are used (default: the trial's).
            hop: seconds from one window to the next (default: half a window).
            windows: whether the results list the most probable class of every window.
            loudness: whether to normalise recordings to -23 LUFS (default: as the model's clips were made).
            unknown: whether the answer may be 'none of these'.
            on_error: what to do if a recording cannot be read: 'raise', or 'record' the reason in its result.
            progress: whether to draw a progress bar.

        Returns:
            A sequence with a result for each recording, those of a folder in the order of their names.

        Raises:
            EarshotError: a recording cannot be read, an array has no rate or another form, or there is no such head.
        """
        from trainables.inference.classified_files import classify_files

        if top < 1:
            raise EarshotError(f"top: expected at least 1, found {top}")
        found: list[ClassifiedFile] = []
        with (
            tempfile.TemporaryDirectory(prefix="earshot-") as folder,
            progress_bar("", unit="windows", console=error_console(quiet=not progress)) as update,
        ):
            files, names = recording_files_of(recordings, rate, Path(folder))
            for one in classify_files(
                self._loaded,
                files,
                head=head,
                top=top,
                hop=hop,
                timeline=windows,
                loudness=loudness,
                unknown=unknown,
                listener=lambda name, done, total: update(done, description=Path(name).name, total=total),
            ):
                if one.error is not None and on_error == "raise":
                    raise EarshotError(f"{printable(names.get(one.file, one.file))}: {one.error}")
                found.append(one)
        found.sort(key=lambda one: one.index)
        return Predictions([_result(one, names.get(one.file, one.file)) for one in found])

    def teach(self, classes: Mapping[str, Any], out: str | Path, *, force: bool = False) -> "Model":
        """Learns new classes together, as `earshot teach` does.

        Args:
            classes: name of a new class -> its recordings: a path of a file or of a folder, or several.
            out: new folder for the changed model; this one stays as it is.
            force: replace an existing export.

        Returns:
            The changed model.

        Raises:
            EarshotError: the method cannot be taught, a name is no new one, recordings cannot be read or are too few,
                or `out` contains other files.
        """
        from trainables.inference.recording_clips import clip_options, cut_classes
        from trainables.inference.teaching import teach

        def change(model: "ExportedModel") -> None:
            groups = [(name, paths_of(recordings)) for name, recordings in classes.items()]
            teach(model, cut_classes(clip_options(model.description), groups))

        return self._changed(change, Path(out), force=force)

    def forget(self, classes: str | Sequence[str], out: str | Path, *, force: bool = False) -> "Model":
        """Forgets classes exactly, as `earshot forget` does.

        Args:
            classes: name of a class, or several.
            out, force: as of `teach`.

        Returns:
            The changed model.

        Raises:
            EarshotError: the method cannot forget, the model does not know a class or would know none, or `out`
                contains other files.
        """
        from trainables.inference.teaching import forget

        names = [classes] if isinstance(classes, str) else list(classes)
        return self._changed(lambda model: forget(model, names), Path(out), force=force)

    def _changed(self, change: "Callable[[ExportedModel], None]", out: Path, *, force: bool) -> "Model":
        from orchestrator.exporting.output_folder import check_output
        from trainables.inference.model_folder import model_lock
        from trainables.inference.teaching import write_changed

        check_output(out, force=force)
        with settings_restored(), model_lock(self.path, lambda: None):
            model = self._read(self.path)
            change(model)
            write_changed(model, self.path, out, replace=force)
        return Model(out, self._read)

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}: {self._summary()})"

    def _repr_html_(self) -> str:
        import pandas as pd

        rows = [(printable(entry.name), entry.session) for entry in self.description.classes]
        classes = pd.DataFrame(rows, columns=["class", "session"])
        return f"<b>{self._summary()}</b>{classes.to_html(index=False, border=0, max_rows=20)}"

    def _summary(self) -> str:
        return f"{self.method}, {len(self.classes)} classes, clips of {self.clip_seconds:g} s at {self.sample_rate} Hz"


def _result(one: "ClassifiedFile", name: str) -> RecordingPrediction:
    prediction = one.prediction
    if prediction is None:
        return RecordingPrediction(name, float("nan"), (), None, (), one.error)
    return RecordingPrediction(
        name, prediction.seconds, prediction.classes, prediction.none_of_these, prediction.timeline
    )


def load_model(
    path: str | Path,
    *,
    device: Literal["cpu", "cuda"] = "cpu",
    backbone: str = "",
    trust_remote_code: str | None = None,
    method: str = "",
) -> Model:
    """Reads a model that `earshot export` or `Best.export` has written. Runs no code from the folder.

    Args:
        path: its folder.
        device: where networks run.
        backbone: MODULE:FUNCTION or FILE.py:FUNCTION that makes the model's backbone, if that is a network of your own;
            the name or folder of a backbone with code of its own.
        trust_remote_code: the revision of the latter, whose code may run, as you.
        method: FILE.py:CLASS or MODULE:CLASS of the model's method, if it is not one of Earshot.

    Raises:
        EarshotError: the folder has no model, or it is damaged or does not fit the methods of this installation.
    """
    from trainables.inference.description import Description

    folder = Path(path)
    Description.load(folder)  # before the imports: a wrong path fails at once
    from trainables.inference import exported_model
    from trainables.networks.device import pick_device

    def read(place: Path) -> "ExportedModel":
        return exported_model.load_model(place, pick_device(device), backbone, trust_remote_code, method)

    return Model(folder, read)


def paths_of(recordings: Any) -> list[str]:
    """Paths of recordings or folders as text, of one or of several."""
    several = [recordings] if isinstance(recordings, str | os.PathLike) else list(recordings)
    return [os.fspath(path) for path in several]
