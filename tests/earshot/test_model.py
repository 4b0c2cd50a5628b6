"""Models from Python: files, folders and arrays, errors, what a notebook shows."""

import json
import multiprocessing
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import earshot
from earshot.predictions import Predictions, RecordingPrediction
from orchestrator import predict
from trainables.inference.model_folder import model_lock


def test_untrusted_names_are_escaped() -> None:
    shown = Predictions([RecordingPrediction("<script>.wav", 1.0, (), None, (), "<b>")])._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "<b>" not in shown


def test_predictions_are_those_of_the_command(
    model: earshot.Model, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted(clips.values())
    answers = model.predict(paths, top=2)
    assert predict.main([str(model.path), *map(str, paths), "--top", "2", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["recordings"]
    assert [one["file"] for one in expected] == [one.file for one in answers]
    found = [[(entry.name, entry.probability) for entry in one.classes] for one in answers]
    assert found == [[(entry["name"], entry["probability"]) for entry in one["classes"]] for one in expected]
    assert model.predict(paths[0].parent, top=2).names == answers.names
    table = answers.table
    assert len(table) == 2 * len(paths) and list(table["rank"][:2]) == [1, 2]


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "int32"])
def test_arrays_are_classified_as_their_files(model: earshot.Model, clips: dict[str, Path], kind: str) -> None:
    path = clips["3-12"]
    expected = model.predict(path)[0].classes
    samples, rate = soundfile.read(path, dtype=kind)
    assert model.predict((samples, rate))[0].classes == expected
    assert model.predict(samples, rate=rate)[0].classes == expected
    both = model.predict([path, (np.stack([samples, samples], axis=1), rate)])
    assert [one.classes for one in both] == [expected, expected] and both[1].file == "array 1"
    assert len(both[1:]) == 1 and both.names == [one.name for one in both]


@pytest.mark.parametrize(
    ("recordings", "rate", "message"),
    [
        (np.zeros(100), None, "array 0: expected its sample rate, found none; give (array, rate), or rate="),
        (np.zeros((2, 100)), 16_000, "array 0: expected [samples], or [samples, channels] with up to 64 channels"),
        (np.zeros(0), 16_000, "array 0: expected [samples]"),
        (np.zeros(10, np.uint8), 16_000, "array 0: expected floating-point numbers, int16 or int32, found uint8"),
        (np.zeros(10), 5, "array 0: expected a sample rate from 1000 to 768000 Hz, found 5"),
        (np.full(9_000, np.nan), 16_000, "array 0: "),
        ([3], 16_000, "array 0: expected a path, an array, or a pair of an array and its rate, found int"),
        ("nowhere.wav", None, "nowhere.wav: cannot be opened"),
    ],
)
def test_bad_recordings(model: earshot.Model, recordings: Any, rate: int | None, message: str) -> None:
    with pytest.raises(earshot.EarshotError, match=f"^{re.escape(message)}"):
        model.predict(recordings, rate=rate)


def test_errors_are_recorded_on_request(model: earshot.Model, clips: dict[str, Path]) -> None:
    answers = model.predict([clips["0-11"], "nowhere.wav"], on_error="record", top=1)
    assert answers[1].name is None and "cannot be opened" in str(answers[1].error)
    assert list(answers.table["file"]) == [str(clips["0-11"]), "nowhere.wav"]
    assert "error: cannot be opened" in repr(answers)


def test_a_model_is_taught_and_forgets_in_new_folders(
    model: earshot.Model, clips: dict[str, Path], tmp_path: Path
) -> None:
    before = (model.path / "model.json").read_bytes()
    noise = tmp_path / "noise"
    noise.mkdir()
    for seed in range(3):
        soundfile.write(noise / f"{seed}.wav", np.random.default_rng(seed).uniform(-0.3, 0.3, 16_000), 16_000)
    wider = model.teach({"noise": noise}, tmp_path / "wider")
    assert wider.classes == (*model.classes, "noise") and wider.path == tmp_path / "wider"
    assert wider.predict(noise / "0.wav", top=1).names == ["noise"]
    again = wider.forget("noise", tmp_path / "again")
    assert again.classes == model.classes and again.description.history[-1].action == "forgotten"
    assert (model.path / "model.json").read_bytes() == before
    with pytest.raises(earshot.EarshotError, match="contains an export already"):
        model.forget(model.classes[0], tmp_path / "again")


def test_two_processes_teach_a_model_in_its_folder_and_nothing_is_lost(
    model: earshot.Model, clips: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(model.path, tmp_path / "one")
    one = earshot.load_model(tmp_path / "one")
    files = {f"class {label}": [str(clips[f"{label}-{number}"]) for number in range(11, 14)] for label in (0, 1)}
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=one.teach, args=({name: paths}, one.path), kwargs={"force": True})
        for name, paths in files.items()
    ]
    with model_lock(one.path, lambda: pytest.fail("nobody holds the lock")):
        for process in processes:
            process.start()
        processes[0].join(0.5)
        assert earshot.load_model(one.path).classes == model.classes  # both wait
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert set(earshot.load_model(one.path).classes) == {*model.classes, *files}


def test_the_card_of_an_export_and_a_wrong_fraction(run: earshot.Run, tmp_path: Path) -> None:
    best = run.best("slda")
    for known in (2, 0, float("nan")):
        with pytest.raises(
            earshot.EarshotError, match=f"^known: expected a fraction above 0 and at most 1, found {known}$"
        ):
            best.export(tmp_path / "wrong", known=known)
    with pytest.raises(earshot.EarshotError, match="expected OWNER/NAME"):
        best.export(tmp_path / "wrong", hub_dataset="tones")
    assert list(tmp_path.iterdir()) == []
    best.export(tmp_path / "model", known=1, hub_dataset="someone/tones")
    (results,) = (tmp_path / "model" / ".eval_results").iterdir()
    assert "someone/tones" in results.read_text()
