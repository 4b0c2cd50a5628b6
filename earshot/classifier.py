"""A few-shot class-incremental classifier of sounds, with the conventions of scikit-learn.

    classifier = earshot.Classifier(method="slda")
    classifier.fit(paths, names)                 # five recordings of a class are enough
    classifier.partial_fit(more_paths, names)    # new classes
    classifier.forget(["dog"])
    classifier.predict(["meow.wav"])
    classifier.save("models/mine")               # for earshot predict, teach and forget

It is the same engine as that of the commands: a chain outside of a run (`trainables.inference`).
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from earshot.labels import class_array, class_values, distinct_classes
from earshot.recordings import recording_paths
from trainables.networks.specs import DEFAULT

if TYPE_CHECKING:
    from trainables.inference.exported_model import ExportedModel
    from trainables.inference.new_model import NewModel
    from trainables.inference.prediction import Prediction
    from trainables.inference.recording_clips import ClassRecordings

Recordings = Sequence[str | PathLike[str]] | Sequence[np.ndarray] | np.ndarray
"""Paths of files, or arrays of samples: `[samples]` each, mono, float in [-1, 1]."""

PARAMETERS = ("method", "backbone", "sample_rate", "clip_seconds", "loudness", "seed", "device")


class Classifier:
    """Learns classes of sounds from a few recordings of each, and more classes later.

    A recording is cut into clips as by `earshot prepare folder`: as many complete ones as fit, a shorter recording is
    padded with zeros. To classify one, the scores of its overlapping windows are averaged, as by `earshot predict`.

    Args:
        method: as of `earshot sweep --method`; `earshot methods` lists them.
        backbone: as of `--backbone`, such as `NAME@layer=6`; not used by methods without one.
        sample_rate: of the clips, Hz; recordings at another rate are resampled. Also the rate of arrays, unless a
            function is given another.
        clip_seconds: length of a clip.
        loudness: whether each recording is normalised to -23 LUFS.
        seed: of everything random.
        device: `cpu` or `cuda`.
        settings: of the method, such as `shrinkage=0.5`; validated by `fit`.

    Attributes:
        classes_: the classes, in the order of the columns of `predict_proba`: sorted after `fit`, new ones behind them.
        model_: the model, whose `description` has its history.
    """

    classes_: np.ndarray
    model_: "ExportedModel"

    def __init__(
        self,
        method: str = "slda",
        *,
        backbone: str = DEFAULT,
        sample_rate: int = 16000,
        clip_seconds: float = 2.0,
        loudness: bool = False,
        seed: int = 0,
        device: str = "cpu",
        **settings: Any,
    ) -> None:
        self.method = method
        self.backbone = backbone
        self.sample_rate = sample_rate
        self.clip_seconds = clip_seconds
        self.loudness = loudness
        self.seed = seed
        self.device = device
        self.settings = settings
        self._values: dict[int, Any] = {}  # class by label
        self._kept: dict[int, ClassRecordings] = {}  # clips by label, for more clips of the class

    def fit(self, X: Recordings, y: Sequence[Any], *, sample_rate: int | None = None) -> Self:  # noqa: N803
        """Learns classes; what was learned before is dropped.

        Args:
            X: recordings.
            y: the class of each: texts or numbers.
            sample_rate: of arrays, Hz (default: that of the clips).

        Raises:
            EarshotError: recordings cannot be read, classes have too few, or a parameter is not valid.
        """
        from trainables.inference.new_model import learn_first

        new = self._new_model()
        values, classes = self._cut(new.clips, X, y, sample_rate)
        self._fit(learn_first(new, classes), values, classes)
        return self

    def partial_fit(self, X: Recordings, y: Sequence[Any], *, sample_rate: int | None = None) -> Self:  # noqa: N803
        """Learns more classes as the next session of the chain, or the first classes.

        More clips of a class that is known already are added where the method can forget: it forgets the class, and
        learns all its clips. A classifier from `load` does not have the earlier clips, so it learns new classes only.

        Args:
            X: recordings.
            y: the class of each.
            sample_rate: of arrays, Hz (default: that of the clips).

        Raises:
            EarshotError: as of `fit`; or the method cannot add the classes or the clips.
        """
        from trainables.inference.recording_clips import clip_options
        from trainables.inference.teaching import teach

        if not self._values:
            return self.fit(X, y, sample_rate=sample_rate)
        before = self.model_.description
        values, classes = self._cut(clip_options(before), X, y, sample_rate)
        label_of = {value: label for label, value in self._values.items()}
        known = {label_of[value]: one for value, one in zip(values, classes, strict=True) if value in label_of}
        if known:
            return self._add_clips(values, classes, known)
        with self._undone_on_error():
            teach(self.model_, classes)
            self._add(values, classes)
        return self

    def forget(self, classes: Sequence[Any]) -> Self:
        """Removes classes exactly, as if they had never been learned, up to rounding.

        Raises:
            EarshotError: the method cannot, a class is not known, or none would be left.
        """
        from trainables.inference.teaching import forget

        self._check_fitted()
        if isinstance(classes, str):
            raise EarshotError(f"forget: expected a list of classes, found the text {printable(repr(classes))}")
        with self._undone_on_error():
            forget(self.model_, [str(value) for value in classes])
            self._forget_values()
        return self

    def predict(self, X: Recordings, *, sample_rate: int | None = None) -> np.ndarray:  # noqa: N803
        """The most probable class of each recording, `[recordings]`.

        Args:
            X: recordings.
            sample_rate: of arrays, Hz (default: that of the clips).

        Raises:
            EarshotError: recordings cannot be read.
        """
        labels = [prediction.classes[0].label for prediction in self._predictions(X, sample_rate)]
        return class_array([self._values[label] for label in labels])

    def predict_proba(self, X: Recordings, *, sample_rate: int | None = None) -> np.ndarray:  # noqa: N803
        """Probabilities of the classes, `[recordings, classes]` in the order of `classes_`; arguments as of `predict`.

        They are softmax(mean scores / T). T is 1 unless the model was exported from a run with validation clips: then
        they order the classes, but are not calibrated.
        """
        column = {entry.label: index for index, entry in enumerate(self._described().classes)}
        predictions = self._predictions(X, sample_rate)
        probabilities = np.zeros((len(predictions), len(column)))
        for row, prediction in enumerate(predictions):
            for entry in prediction.classes:
                probabilities[row, column[entry.label]] = entry.probability
        return probabilities

    def score(self, X: Recordings, y: Sequence[Any], *, sample_rate: int | None = None) -> float:  # noqa: N803
        """Accuracy: the fraction of recordings that get the class in `y`; arguments as of `fit`."""
        predicted = self.predict(X, sample_rate=sample_rate)
        return float(np.mean([one == other for one, other in zip(predicted.tolist(), class_values(y), strict=True)]))

    def save(self, folder: str | PathLike[str]) -> None:
        """Writes the model to a new or empty folder, for `load` and the commands predict, teach and forget.

        Raises:
            EarshotError: nothing was learned yet, or the folder has files or cannot be written.
        """
        from trainables.inference.teaching import write_changed

        self._check_fitted()
        write_changed(self.model_, None, Path(folder), replace=False)

    @classmethod
    def load(
        cls,
        folder: str | PathLike[str],
        *,
        device: str = "cpu",
        backbone: str = "",
        trust_remote_code: str | None = None,
        method: str = "",
    ) -> Self:
        """A classifier from a folder that `save`, `earshot export` or `earshot teach` has written.

        Its classes are texts. `fit` starts again with the same parameters.

        Args:
            folder: of the model.
            device, backbone, trust_remote_code, method: as of `earshot.load_model`.

        Raises:
            EarshotError: the folder holds no model, or a damaged one.
        """
        from trainables.inference.exported_model import load_model
        from trainables.networks.device import pick_device

        model = load_model(Path(folder), pick_device(device), backbone, trust_remote_code, method)
        description = model.description
        classifier = cls(
            method or description.method,
            backbone=str(description.backbone_spec(backbone, trust_remote_code) or DEFAULT),
            sample_rate=description.sample_rate,
            clip_seconds=description.num_samples / description.sample_rate,
            loudness=description.loudness,
            seed=description.seeds.initialisation,
            device=device,
            **description.settings,
        )
        classifier.model_ = model
        classifier._values = {entry.label: entry.name for entry in description.classes}
        classifier._set_classes()
        return classifier

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters of the constructor, settings of the method included."""
        return {**{name: getattr(self, name) for name in PARAMETERS}, **self.settings}

    def set_params(self, **params: Any) -> Self:
        """Sets parameters of the constructor; `fit` validates them."""
        for name, value in params.items():
            if name in PARAMETERS:
                setattr(self, name, value)
            else:
                self.settings = {**self.settings, name: value}
        return self

    def __repr__(self) -> str:
        given = {name: value for name, value in self.get_params().items() if name not in PARAMETERS or name == "method"}
        return f"Classifier({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; it calls this, so it has been imported."""
        sk = sys.modules["sklearn.utils"]
        target, classifier = sk.TargetTags(required=True), sk.ClassifierTags()
        return sk.Tags("classifier", target, None, classifier, None, input_tags=sk.InputTags())

    def _new_model(self) -> "NewModel":
        from datasets.corpora.file_clips import FileClipOptions
        from datasets.utils.validation import validated
        from trainables.inference.new_model import NewModel
        from trainables.networks.specs import BackboneSpec

        try:
            backbone = BackboneSpec("").parse(str(self.backbone))
        except ValueError as error:
            raise EarshotError(f"Classifier: backbone {printable(str(error))}") from None
        names = ("sample_rate", "clip_seconds", "loudness")
        options = validated(FileClipOptions, {name: getattr(self, name) for name in names}, "Classifier")
        return NewModel(self.method, self.settings, backbone, options, self.seed, self.device)

    def _cut(
        self,
        options: Any,
        X: Recordings,  # noqa: N803
        y: Sequence[Any],
        sample_rate: int | None,
    ) -> tuple[list[Any], "list[ClassRecordings]"]:
        """The classes in y, sorted, and their recordings."""
        from trainables.inference.recording_clips import cut_classes

        values = class_values(y)
        with recording_paths(X, sample_rate or self.sample_rate) as paths:
            if len(paths) != len(values):
                raise EarshotError(f"y: expected a class of each of the {len(paths)} recordings, found {len(values)}")
            classes = distinct_classes(values)
            groups = [
                (value, [path for path, one in zip(paths, values, strict=True) if one == value]) for value in classes
            ]
            return classes, cut_classes(options, [(str(value), own) for value, own in groups])

    def _predictions(self, X: Recordings, sample_rate: int | None) -> "list[Prediction]":  # noqa: N803
        """A prediction with all classes for each recording."""
        from datasets.audio.recordings import RejectedError
        from trainables.inference.prediction import classify_together, embed_recording, predict

        top = len(self._described().classes)
        results: list[Any] = []
        problems: list[str] = []
        with recording_paths(X, sample_rate or self.sample_rate) as paths:
            for path in paths:
                try:
                    if self.model_.transductive:
                        results.append(embed_recording(self.model_, Path(path)))
                    else:
                        results.append(predict(self.model_, Path(path), top=top, unknown=False))
                except (RejectedError, OSError) as error:
                    problems.append(f"{printable(path)} ({printable(str(error))})")
        if problems:
            raise EarshotError(f"recordings that cannot be read: {'; '.join(problems)}")
        if self.model_.transductive and results:
            return classify_together(self.model_, results, top=top)
        return results

    def _add_clips(
        self, values: list[Any], classes: "list[ClassRecordings]", known: "dict[int, ClassRecordings]"
    ) -> Self:
        """Learns classes of which some are known already: these with their earlier clips, too."""
        from trainables.inference.new_model import learn_first
        from trainables.inference.teaching import forget, teach
        from trainables.inference.teaching_checks import cannot_forget, cannot_teach

        description, method = self.model_.description, type(self.model_.learner)
        name = next(iter(known.values())).name
        reason = cannot_forget(description, method) or cannot_teach(description, method)
        if reason or any(label not in self._kept for label in known):
            reason = reason or "a classifier that was loaded does not have the earlier clips"
            raise EarshotError(f"class {printable(repr(name))}: known already, and no clips can be added: {reason}")
        merged = {label: self._kept[label].joined(one) for label, one in known.items()}
        by_name = {one.name: one for one in merged.values()}
        classes = [by_name.get(one.name, one) for one in classes]
        if len(known) == len(description.classes):
            self._fit(learn_first(self._new_model(), classes), values, classes)
            return self
        with self._undone_on_error():
            forget(self.model_, [one.name for one in known.values()])
            self._forget_values()
            teach(self.model_, classes)
            self._add(values, classes)
        return self

    @contextmanager
    def _undone_on_error(self) -> Iterator[None]:
        """After an error in the block the model and its classes are as before."""
        before = self.model_.learner.state(), self.model_.description, dict(self._values), dict(self._kept)
        try:
            yield
        except BaseException:
            state, self.model_.description, self._values, self._kept = before
            self.model_.learner.load(state)
            self._set_classes()
            raise

    def _fit(self, model: "ExportedModel", values: list[Any], classes: "list[ClassRecordings]") -> None:
        """Takes over a new model."""
        self.model_ = model
        self._values, self._kept = {}, {}
        self._add(values, classes)

    def _add(self, values: list[Any], classes: "list[ClassRecordings]") -> None:
        """Remembers classes that the model has just learned."""
        label_of = {entry.name: entry.label for entry in self._described().classes}
        for value, one in zip(values, classes, strict=True):
            self._values[label_of[one.name]] = value
            self._kept[label_of[one.name]] = one
        self._set_classes()

    def _forget_values(self) -> None:
        left = {entry.label for entry in self._described().classes}
        self._values = {label: value for label, value in self._values.items() if label in left}
        self._kept = {label: one for label, one in self._kept.items() if label in left}
        self._set_classes()

    def _set_classes(self) -> None:
        self.classes_ = class_array([self._values[entry.label] for entry in self.model_.description.classes])

    def _described(self) -> Any:
        self._check_fitted()
        return self.model_.description

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise EarshotError("Classifier: nothing was learned yet; call fit first")
