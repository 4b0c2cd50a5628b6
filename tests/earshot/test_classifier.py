"""The classifier without a benchmark: scikit-learn's conventions, sessions, saving, bad input."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from datasets.utils.errors import EarshotError
from earshot.classifier import Classifier
from orchestrator.teach import main as teach_main
from tests.support.chain_runs import write_clips
from tests.support.outside_code import write_examples

ROOT = Path(__file__).parents[2]
SECONDS = 0.4


@pytest.fixture(scope="module")
def tone(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    """Paths of the train clips of the tones, by label."""
    clips = write_clips(tmp_path_factory.mktemp("clips") / "wav", tones, "train")
    return {label: [path for name, path in clips.items() if name.startswith(f"{label}-")] for label in range(6)}


def both(tone: dict[int, list[Path]], labels: list[int], part: slice) -> tuple[list[Path], list[str]]:
    """Paths and names of classes."""
    pairs = [(path, f"tone {label}") for label in labels for path in tone[label][part]]
    return [path for path, _ in pairs], [name for _, name in pairs]


def test_five_files_a_class_and_classes_that_come_and_go(tone: dict[int, list[Path]], tmp_path: Path) -> None:
    first, later, rest = slice(0, 5), slice(5, 7), slice(7, 8)
    classifier = Classifier(clip_seconds=SECONDS)
    assert classifier.fit(*both(tone, [2, 0], first)) is classifier
    assert classifier.classes_.tolist() == ["tone 0", "tone 2"]
    classifier.partial_fit(*both(tone, [4], first))
    assert classifier.classes_.tolist() == ["tone 0", "tone 2", "tone 4"]
    paths, names = both(tone, [0, 2, 4], rest)
    probabilities = classifier.predict_proba(paths)
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    predicted = classifier.predict(paths)
    assert predicted.tolist() == classifier.classes_[probabilities.argmax(axis=1)].tolist()
    assert classifier.score(paths, names) == np.mean(predicted == np.array(names))

    classifier.partial_fit(*both(tone, [0, 5], later))  # more clips of one class, and a new one
    assert classifier.classes_.tolist() == ["tone 2", "tone 4", "tone 0", "tone 5"]
    (more, new) = classifier.model_.description.history[-1].classes
    assert (more.name, more.clips, new.name, new.clips) == ("tone 0", 7, "tone 5", 2)
    together = Classifier(clip_seconds=SECONDS).fit(*both(tone, [2, 4], first))
    x, y = both(tone, [0], slice(0, 7))
    more_x, more_y = both(tone, [5], later)
    together.partial_fit(x + more_x, y + more_y)
    np.testing.assert_allclose(classifier.predict_proba(paths), together.predict_proba(paths), atol=1e-6)

    classifier.forget(["tone 4"])
    assert classifier.classes_.tolist() == ["tone 2", "tone 0", "tone 5"]
    classifier.save(tmp_path / "model")
    words = ["--class", "cat", *map(str, tone[4][first]), "--out", str(tmp_path / "taught")]
    assert teach_main([str(tmp_path / "model"), *words]) == 0
    loaded = Classifier.load(tmp_path / "taught")
    assert loaded.classes_.tolist() == ["tone 2", "tone 0", "tone 5", "cat"]
    assert [entry.action for entry in loaded.model_.description.history] == [
        "taught", "forgotten", "taught", "forgotten", "taught",
    ]  # fmt: skip
    saved = Classifier.load(tmp_path / "model")
    assert np.array_equal(saved.predict_proba(paths), classifier.predict_proba(paths))
    with pytest.raises(EarshotError, match="a classifier that was loaded does not have the earlier clips"):
        saved.partial_fit(*both(tone, [0], later))
    with pytest.raises(EarshotError, match="cannot be written"):
        saved.save(tmp_path / "model")
    saved.fit(*both(tone, [1, 3], first))
    assert saved.classes_.tolist() == ["tone 1", "tone 3"]


def test_arrays_of_any_rate_and_labels_that_are_numbers(tone: dict[int, list[Path]]) -> None:
    paths, _ = both(tone, [0, 3], slice(0, 5))
    waves = [soundfile.read(path, dtype="float32")[0] for path in paths]
    y = np.repeat([7, 3], 5)
    of_files = Classifier("simplecil", clip_seconds=SECONDS).fit(paths, y)
    of_arrays = Classifier("simplecil", clip_seconds=SECONDS).fit(np.stack(waves), y)
    assert of_arrays.classes_.tolist() == [3, 7] and of_arrays.predict(waves).dtype == y.dtype
    np.testing.assert_array_equal(of_arrays.predict_proba(waves), of_files.predict_proba(paths))
    halved = [wave[::2] for wave in waves]
    assert not np.array_equal(of_arrays.predict_proba(halved), of_arrays.predict_proba(halved, sample_rate=8_000))


def test_what_scikit_learn_asks_of_an_estimator(tone: dict[int, list[Path]]) -> None:
    classifier = Classifier("slda", clip_seconds=SECONDS, shrinkage=0.5)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params() and copy.get_params()["shrinkage"] == 0.5
    assert copy.set_params(shrinkage=0.9, seed=3) is copy
    assert (copy.get_params()["shrinkage"], classifier.get_params()["shrinkage"], copy.seed) == (0.9, 0.5, 3)
    assert repr(copy) == "Classifier(method='slda', shrinkage=0.9)"
    assert cross_val_score(classifier, *both(tone, [0, 3], slice(0, 4)), cv=2).shape == (2,)


@pytest.mark.parametrize("method", ["mfcc-ncm", "tape-like"])
def test_methods_without_backbone_and_transductive_ones(method: str, tone: dict[int, list[Path]]) -> None:
    classifier = Classifier(method, clip_seconds=SECONDS).fit(*both(tone, [0, 3], slice(0, 5)))
    classifier.partial_fit(*both(tone, [5], slice(0, 5)))
    assert classifier.predict_proba(both(tone, [0, 3, 5], slice(5, 7))[0]).shape == (6, 3)


def test_the_example_of_the_page(
    tone: dict[int, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, name in enumerate(("cats", "dogs", "owls")):
        (tmp_path / name).mkdir()
        for path in tone[label][:5]:
            shutil.copy(path, tmp_path / name)
    shutil.copy(tone[2][6], tmp_path / "recording.wav")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/teach.md").read_text(), flags=re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.startswith("['cats' 'owls'] ['owls'] [[")
    assert Classifier.load("models/classifier").classes_.tolist() == ["cats", "owls"]


def test_more_clips_of_a_class_that_cannot_be_learned_change_nothing(
    tone: dict[int, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, first = {0: "cat", 2: "dog", 4: "owl"}, slice(0, 4)
    classifier = Classifier(clip_seconds=SECONDS)
    classifier.fit([path for label in names for path in tone[label][first]], np.repeat(list(names.values()), 4))
    x, before = tone[0][5:7], classifier.predict_proba(tone[0])
    description = classifier.model_.description
    for wrong in ("a/b", "Dog"):
        with pytest.raises(EarshotError, match=f"class '{wrong}'"):
            classifier.partial_fit(x, ["cat", wrong])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for change in (lambda: classifier.partial_fit(x, ["cat", "new"]), lambda: classifier.forget(["dog"])):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("trainables.inference.teaching._check_thresholds", interrupted)  # the last step of both
            change()
    assert classifier.classes_.tolist() == ["cat", "dog", "owl"] and classifier.model_.description == description
    assert np.array_equal(classifier.predict_proba(tone[0]), before)
    classifier.partial_fit(x, ["cat", "new"])
    assert [one.clips for one in classifier.model_.description.history[-1].classes] == [5, 1]


def test_options_of_a_backbone_are_those_of_a_loaded_model(tone: dict[int, list[Path]], tmp_path: Path) -> None:
    x, y = both(tone, [0, 3], slice(0, 3))
    text = "random-tiny@frontend=reference,pool=cls"
    classifier = Classifier("simplecil", backbone=text, clip_seconds=SECONDS).fit(x, y)
    backbone = classifier.model_.description.backbone
    assert backbone is not None and (backbone.name, backbone.pool) == ("random-tiny", "cls")
    classifier.save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    assert loaded.get_params() == classifier.get_params()
    expected = classifier.predict_proba(x)
    assert np.array_equal(loaded.fit(x, y).predict_proba(x), expected)
    assert not np.allclose(
        Classifier("simplecil", backbone="random-tiny", clip_seconds=SECONDS).fit(x, y).predict_proba(x), expected
    )


def test_a_method_and_a_network_from_outside(
    tone: dict[int, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_examples(tmp_path / "project"))
    code = {"method": "mymethod.py:MyLearner", "backbone": "encoder.py:encoder"}
    x, y = both(tone, [0, 3], slice(0, 3))
    classifier = Classifier(**code, clip_seconds=SECONDS).fit(x, y)
    description = classifier.model_.description
    assert description.method_code is not None and description.method_code.name == code["method"]
    assert (description.method, description.trial) == ("mine", "mine-s0")
    classifier.save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model", **code)
    expected = classifier.predict_proba(x)
    assert np.array_equal(loaded.predict_proba(x), expected)
    assert np.array_equal(loaded.fit(x, y).predict_proba(x), expected)
    for wrong, message in (
        ({}, "code that a file names is not run; give it: --method mymethod.py:MyLearner"),
        ({"method": "ede"}, "method 'ede': one of Earshot, but .* was made with 'mine' of mymethod.py:MyLearner"),
        ({"method": code["method"]}, "--backbone"),
    ):
        with pytest.raises(EarshotError, match=message):
            Classifier.load(tmp_path / "model", **wrong)  # type: ignore[arg-type]


def test_bad_input_changes_nothing(tone: dict[int, list[Path]], tmp_path: Path) -> None:
    x, y = both(tone, [0, 3], slice(0, 3))
    with pytest.raises(EarshotError, match="nothing was learned yet; call fit first"):
        Classifier().predict(x)
    for parameters, message in (
        ({"method": "sldaa"}, "method 'sldaa': not known; did you mean 'slda'"),
        ({"shrinkag": 1}, "method slda: no key 'shrinkag'; did you mean 'shrinkage'"),
        ({"clip_seconds": -1}, "Classifier: clip_seconds: input should be greater than or equal to 0.1"),
        ({"backbone": str(tmp_path / "none")}, "none"),
        ({"backbone": "random-tiny@layr=2"}, "Classifier: backbone 'random-tiny': has no option 'layr'"),
        ({"backbone": "random-tiny@layer=2"}, "--layer 2: backbone 'random-tiny'"),
    ):
        with pytest.raises(EarshotError, match=message):
            Classifier(**parameters).fit(x, y)  # type: ignore[arg-type]
    classifier = Classifier("teen", clip_seconds=SECONDS, base_epochs=1).fit(x, y)
    before = classifier.predict_proba(x)
    for wrong_x, wrong_y, message in (
        (x, y[:3], "y: expected a class of each of the 6 recordings, found 3"),
        (x[:1], ["tone 0"], "known already, and no clips can be added: teen has no way to remove a class exactly"),
        ([tmp_path / "no.wav"], ["cat"], "no.wav"),
        (str(x[0]), ["cat"], "X: expected a list of recordings, found one path"),
        ([np.zeros((2, 10))], ["cat"], r"X\[0\]: expected a path, or an array of samples"),
        ([np.zeros(10, np.int16)], ["cat"], "float in"),
        ([np.full(9_000, np.nan)], ["cat"], "holds NaN or infinite samples"),
        (x[:2], ["cat", "Cat"], "class 'cat': known already as 'Cat'"),
        (x[:2], [1, "a"], "y: expected texts only, or numbers only; found int and str"),
    ):
        with pytest.raises(EarshotError, match=message):
            classifier.partial_fit(wrong_x, wrong_y)
    with pytest.raises(EarshotError, match="teen has no way to remove a class exactly"):
        classifier.forget(["tone 0"])
    with pytest.raises(EarshotError, match="needs at least 2 new classes at once, found 1"):
        Classifier(clip_seconds=SECONDS).fit(x[:3], y[:3])
    assert classifier.classes_.tolist() == ["tone 0", "tone 3"]
    assert np.array_equal(classifier.predict_proba(x), before)
