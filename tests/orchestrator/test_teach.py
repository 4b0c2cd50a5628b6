"""The commands teach and forget: what they write and print, what they reject, and several of them at once."""

import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from datasets.utils.checksum import with_checksum
from datasets.utils.files import file_digest
from orchestrator.exporting.export import export
from orchestrator.forget import main as forget_main
from orchestrator.predict import main as predict_main
from orchestrator.results.run_folder import RunFolder
from orchestrator.teach import main as teach_main
from tests.support.chain_runs import write_clips, write_run
from trainables.inference.description import FILE_NAME, Description
from trainables.inference.model_folder import README, model_lock


@pytest.fixture(scope="module")
def exports(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Exports of methods after session 1, which know the tones 0 to 3."""
    root = tmp_path_factory.mktemp("exports")

    def exported(method: str) -> Path:
        if not (root / method).exists():
            trial = write_run(root / f"{method}-run", tones, method)
            export(RunFolder(root / f"{method}-run/it"), trial, root / method, session=1)
        return root / method

    return exported


@pytest.fixture
def model(exports: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the export of mfcc-ncm."""
    return Path(shutil.copytree(exports("mfcc-ncm"), tmp_path / "model"))


@pytest.fixture(scope="module")
def clips(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The train clips of the tones as WAV, by clip id: LABEL-NUMBER."""
    return write_clips(tmp_path_factory.mktemp("clips") / "wav", tones, "train")


def of(clips: dict[str, Path], label: int, count: int = 3) -> list[str]:
    return [str(path) for name, path in clips.items() if name.startswith(f"{label}-")][:count]


def contents(folder: Path) -> dict[str, str]:
    """Digests of all files below a folder, without locks."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_a_taught_model_predicts_and_has_a_history(
    model: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dog").mkdir()
    for path in of(clips, 5):
        wave, rate = soundfile.read(path, dtype="float32")
        up = torchaudio.functional.resample(torch.from_numpy(wave), rate, 44_100).numpy()
        soundfile.write(tmp_path / "dog" / Path(path).name, up, 44_100)
    before = contents(model)
    words = [str(model), "--class", "cat", *of(clips, 4), "--class", "dog", str(tmp_path / "dog")]
    assert teach_main([*words, "--out", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert "3 clips of 3 recordings, resampled from 44100 Hz to 16000 Hz" in shown
    assert "no longer answered: the scores of mfcc-ncm for the other classes have changed" in shown
    assert contents(model) == before

    new = Description.load(tmp_path / "new")
    assert [(entry.name, entry.session) for entry in new.classes[-2:]] == [("cat", 2), ("dog", 2)]
    (entry,) = new.history
    assert (entry.action, entry.session, entry.time.tzname()) == ("taught", 2, "UTC")
    cat, dog = entry.classes
    assert (cat.label, cat.name, cat.clips, dog.label) == (6, "cat", 3, 7)
    assert [file.sha256 for file in cat.files] == [file_digest(Path(path)) for path in of(clips, 4)]
    assert [file.name for file in cat.files] == [Path(path).name for path in of(clips, 4)]
    readme = (tmp_path / "new" / README).read_text()
    assert "session 2: 'cat' taught from 3 clips of 3 recordings" in readme and "is not answered" in readme

    for label, name in ((4, "cat"), (0, "tone 0")):
        assert predict_main([str(tmp_path / "new"), *of(clips, label, 1), "--json", "--top", "6"]) == 0
        (recording,) = json.loads(capsys.readouterr().out)["recordings"]
        assert recording["classes"][0]["name"] == name and recording["none_of_these"] is None
        assert "dog" in {entry["name"] for entry in recording["classes"]}


def test_forgetting_in_place(
    model: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(model)
    assert forget_main([str(tmp_path / "link"), "--class", "tone 1", "--class", "tone 3", "--in-place"]) == 0
    assert "classes        2 (before: 4)" in capsys.readouterr().out
    after = Description.load(model)
    assert [entry.name for entry in after.classes] == ["tone 0", "tone 2"] and (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".model.lock", "link", "model"]
    assert forget_main([str(model), "--class", "tone 0", "--class", "tone 2", "--in-place"]) == 2
    assert capsys.readouterr().err == "error: these are all classes that the model knows; one must stay\n"
    assert teach_main([str(model), "--class", "tone 1", *of(clips, 1), "--in-place"]) == 0
    again = Description.load(model)
    assert [(entry.label, entry.name) for entry in again.classes] == [(0, "tone 0"), (2, "tone 2"), (1, "tone 1")]
    assert [entry.action for entry in again.history] == ["forgotten", "taught"]
    (model / "notes.txt").write_text("mine")
    assert teach_main([str(model), "--class", "tone 3", *of(clips, 3), "--in-place"]) == 2
    assert "notes.txt: not part of the export" in capsys.readouterr().err
    assert (model / "notes.txt").is_file() and Description.load(model) == again


def test_thresholds_stay_where_the_scores_of_the_other_classes_do(
    exports: Callable[[str], Path], clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(exports("simplecil")), "--class", "cat", *of(clips, 4), "--out", str(tmp_path / "new")]
    assert teach_main(words) == 0
    assert "threshold of the export, chosen for the classes that it knew" in capsys.readouterr().out
    assert Description.load(tmp_path / "new").thresholds == Description.load(exports("simplecil")).thresholds
    assert predict_main([str(tmp_path / "new"), *of(clips, 4, 1), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recordings"][0]["none_of_these"] is False


def test_bad_input_is_one_line_and_nothing_is_written(
    model: Path,
    exports: Callable[[str], Path],
    clips: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, other = of(clips, 4), of(clips, 5)
    soundfile.write(tmp_path / "nan.wav", np.full(8_000, np.nan), 16_000, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty").mkdir()
    nan, text, empty = (str(tmp_path / name) for name in ("nan.wav", "text.wav", "empty"))
    folder, before = str(model), contents(tmp_path)
    new = ["--out", str(tmp_path / "new")]
    cases = [
        (["--class", "tone 1", *good, *new], "class 'tone 1': known already; give it another name, or forget"),
        (["--class", "Tone_1", *good, *new], "class 'Tone_1': known already as 'tone 1'; give it"),
        (["--class", "cat", *good, "--class", "CAT", *other, *new], "class 'CAT': known already as 'cat'; give"),
        (["--class", "a/b", *good, *new], "class 'a/b': expected a name without / and"),
        (["--class", "a\x1b[31m", *good, *new], "expected a name of 1 to 1000 printable characters"),
        (["--class", " ", *good, *new], "class ' ': expected a name of 1 to 1000 printable characters"),
        (["--class", "cat", *new], "--class cat: expected recordings after the name of the class, found none"),
        (["--class", "cat", "no-1.wav", "no-2.wav", *new], "2 recordings not found: no-1.wav, no-2.wav"),
        (["--class", "cat", *good, nan, text, empty, *new], "3 recordings cannot be used, so nothing was learned: "),
        (["--class", "cat", *good, "--class", "dog", good[0], *new], f"the same recording as {good[0]}"),
        (["--class", "cat", *good], "expected either --out NEW or --in-place"),
        (["--class", "cat", *good, *new, "--in-place"], "expected either --out NEW or --in-place"),
        (["--class", "cat", *good, "--out", folder], "contains an export already; choose another --out, or replace"),
        (["--class", "cat", *good, "--out", str(tmp_path)], "expected a new folder, an empty one or an export"),
    ]
    for words, message in cases:
        assert teach_main([folder, *words]) == 2, words
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and message in line and "\x1b" not in line
        if nan in words:
            assert all(f"{path} (" in line for path in (nan, text, empty))
    for words, message in (
        (["--class", "tone1", *new], "class 'tone1': not known; did you mean 'tone 1'?"),
        (["--class", "tone 1"], "expected either --out NEW or --in-place"),
    ):
        assert forget_main([folder, *words]) == 2
        assert message in capsys.readouterr().err
    ease, teen = str(exports("ease")), str(exports("teen"))
    assert teach_main([ease, "--class", "cat", *good, *new]) == 2
    assert "ease needs at least 2 new classes at once (the cross-entropy over one class" in capsys.readouterr().err
    assert forget_main([teen, "--class", "tone 1", *new]) == 2
    assert "teen has no way to remove a class exactly" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_method_that_needs_two_clips(
    tones: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = write_run(tmp_path, tones, "ranpac", settings={"choose": "held-out", "projection": 64})
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model")
    assert teach_main([str(tmp_path / "model"), "--class", "cat", *of(clips, 0, 1), "--in-place"]) == 2
    assert "class 'cat': ranpac needs at least 2 clips of a class (one to fit, one to" in capsys.readouterr().err


def test_models_of_earlier_schema_versions_and_of_others(
    model: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((model / FILE_NAME).read_text())
    older = {key: value for key, value in content.items() if key not in ("threads", "history", "checksum")}
    older["benchmark"] = {key: value for key, value in content["benchmark"].items() if key != "class_names"}
    (model / FILE_NAME).write_text(json.dumps({**older, "schema_version": 3}))
    assert teach_main([str(model), "--class", "cat", *of(clips, 4), "--in-place"]) == 0
    after = Description.load(model)
    assert (after.schema_version, after.classes[-1].label, after.classes[-1].name) == (4, 4, "cat")
    capsys.readouterr()
    content = json.loads((model / FILE_NAME).read_text())
    content["history"][0]["classes"][0]["files"][0]["sha256"] = "../x"
    (model / FILE_NAME).write_text(json.dumps(with_checksum(content)))
    assert teach_main([str(model), "--class", "dog", *of(clips, 5), "--in-place"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "history.0.classes.0.files.0.sha256: String should match pattern" in line and "export it again" in line
    content["history"] = []
    content["files"]["parts/../../x.safetensors"] = "0" * 64
    (model / FILE_NAME).write_text(json.dumps(with_checksum(content)))
    assert forget_main([str(model), "--class", "cat", "--in-place"]) == 2
    assert "files: expected parts/NAME.safetensors" in capsys.readouterr().err


def test_two_processes_teach_one_model_and_nothing_is_lost(model: Path, clips: dict[str, Path]) -> None:
    fork = multiprocessing.get_context("fork")
    words = [[str(model), "--class", f"class {label}", *of(clips, label), "--in-place"] for label in (4, 5)]
    processes = [fork.Process(target=lambda own=own: exit(teach_main(own))) for own in words]
    with model_lock(model, lambda: pytest.fail("nobody holds the lock")):
        for process in processes:
            process.start()
        processes[0].join(0.5)
        assert not Description.load(model).history  # both wait
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    after = Description.load(model)
    assert {entry.name for entry in after.classes[-2:]} == {"class 4", "class 5"}
    assert [entry.session for entry in after.history] == [2, 3]
