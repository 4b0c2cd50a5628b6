"""Predictions for recordings of any kind, and the predict command."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
import torchaudio

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard
from datasets.benchmark.shards import Shards
from datasets.corpora.folder import Folder, FolderOptions
from datasets.utils.checksum import with_checksum
from datasets.utils.errors import EarshotError
from orchestrator.export import main as export_main
from orchestrator.exporting.export import export
from orchestrator.predict import main
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import write_clips, write_run
from trainables.inference.description import FILE_NAME
from trainables.inference.exported_model import ExportedModel, load_model
from trainables.inference.prediction import predict
from trainables.inference.recording_files import recording_files
from trainables.records import TrialRecord

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_folder(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of mfcc-ncm, which classifies the tones well."""
    root = tmp_path_factory.mktemp("predict")
    trial = write_run(root, tones, "mfcc-ncm")
    export(RunFolder(root / "it"), trial, root / "model")
    return root / "model"


@pytest.fixture(scope="module")
def model(model_folder: Path) -> ExportedModel:
    return load_model(model_folder)


@pytest.fixture(scope="module")
def clips(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The test clips of the tones as WAV, by clip id."""
    return write_clips(tmp_path_factory.mktemp("clips") / "wav", tones)


def cut(source: Path, out: Path, options: FolderOptions) -> Shards:
    """A benchmark of the corpus `folder`, cut in this process."""
    corpus = Folder()
    plan = corpus.plan(source, corpus.inventory(source, options), options)
    units = [[clip for clip in corpus.cut(source, unit, options) if isinstance(clip, Clip)] for unit in plan.units]
    (out / "shards").mkdir(parents=True)
    counts: list[dict[str, int]] = [{} for _ in plan.classes]
    for clip in (clip for unit in units for clip in unit):
        counts[clip.label][clip.split] = counts[clip.label].get(clip.split, 0) + 1
    Manifest(
        name="mine",
        corpus=corpus.name,
        settings=corpus.identity(options),
        sample_rate=plan.sample_rate,
        num_samples=plan.num_samples,
        classes=tuple(
            ClassEntry(label=label, name=name, clips=SplitCounts(**counts[label]))
            for label, name in enumerate(plan.classes)
        ),
        shards=tuple(
            write_shard(out / f"shards/{number:05d}.parquet", unit, plan.sample_rate)
            for number, unit in enumerate(units)
        ),
        source=SourceEntry(fingerprint="-", files=plan.files, rejected=0),
        versions={},
        created="2026-01-01T00:00:00Z",
    ).save(out)
    return Shards(out)


def stored(run: Path, trial: str) -> dict[tuple[str, str], int]:
    """Predictions after the last session for the test clips, by head and clip id."""
    record = TrialRecord.load(run / "trials" / trial)
    frame = pq.read_table(run / "trials" / trial / record.sessions[-1].predictions).to_pandas()
    frame = frame[frame["split"] == "test"]
    return dict(zip(zip(frame["head"], frame["clip_id"], strict=True), frame["prediction"], strict=True))


@pytest.mark.parametrize("method", ["ede", "simplecil", "mfcc-ncm"])
def test_files_of_test_clips_get_the_stored_predictions(
    method: str, tones: Path, clips: dict[str, Path], tmp_path: Path
) -> None:
    trial = write_run(tmp_path, tones, method)
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    expected = stored(tmp_path / "it", trial)
    head = loaded.description.default_head
    labels = {(head, name): predict(loaded, path).classes[0].label for name, path in clips.items()}
    assert labels == {key: label for key, label in expected.items() if key[0] == head}


def test_recordings_that_a_benchmark_was_cut_from_get_the_stored_predictions(tmp_path: Path) -> None:
    """Predict converts sample rate, channels and loudness as prepare does."""
    random = np.random.default_rng(0)
    names: dict[str, Path] = {}
    for label in range(4):
        for number in range(10):
            colour = np.convolve(random.standard_normal(9_000), np.ones(1 + 3 * label), mode="same")
            path = tmp_path / f"source/c{label}/{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            both = np.stack([colour, np.roll(colour, 7)], axis=1) * 10 ** random.uniform(-2.5, -1)
            soundfile.write(path, both, 22_050)
            names[f"c{label}/{number}.flac"] = path
    shards = cut(tmp_path / "source", tmp_path / "bench", FolderOptions(clip_seconds=0.3, loudness=True))
    trial = write_run(tmp_path, tmp_path / "bench", "mfcc-ncm")
    model = export(RunFolder(tmp_path / "it"), trial, tmp_path / "model")
    assert model.loudness
    loaded = load_model(tmp_path / "model")
    expected = stored(tmp_path / "it", trial)
    sources = dict(zip(shards.table.clip_ids, shards.sources, strict=True))
    first = {clip: label for (_, clip), label in expected.items() if clip.endswith("-0000")}
    assert len(first) == 8
    scores = {}
    for clip, label in first.items():
        prediction = predict(loaded, names[sources[clip]], timeline=True, hop=0.3, top=4)
        assert prediction.timeline[0].label == label
        scores[clip] = prediction.classes[0].score
    unnormalised = predict(loaded, names[sources[clip]], top=4, hop=0.3, loudness=False)
    assert unnormalised.classes[0].score != scores[clip]


def test_any_rate_number_of_channels_and_length(model: ExportedModel, clips: dict[str, Path], tmp_path: Path) -> None:
    for name, path in list(clips.items())[::3]:
        wave, rate = soundfile.read(path, dtype="float32")
        expected = predict(model, path).classes[0]
        up = torchaudio.functional.resample(torch.from_numpy(wave), rate, 44_100).numpy()
        soundfile.write(tmp_path / "rate.flac", up, 44_100)
        soundfile.write(tmp_path / "stereo.wav", np.stack([wave * 1.5, wave * 0.5], axis=1), rate, subtype="FLOAT")
        soundfile.write(tmp_path / "long.wav", np.tile(wave, 3), rate)
        assert predict(model, tmp_path / "rate.flac").classes[0].label == expected.label, name
        assert predict(model, tmp_path / "stereo.wav").classes[0].label == expected.label, name
        long = predict(model, tmp_path / "long.wav", timeline=True)
        assert (long.seconds, long.windows) == (pytest.approx(1.2), 5)
        assert long.classes[0].label == expected.label, name
        assert [(window.start, window.end) for window in long.timeline] == [
            (pytest.approx(0.2 * k), pytest.approx(0.2 * k + 0.4)) for k in range(5)
        ]


def test_probabilities_are_the_softmax_of_mean_scores_over_the_temperature(
    model: ExportedModel, clips: dict[str, Path]
) -> None:
    temperature = model.description.temperature("nearest-mean")
    assert temperature != 1
    prediction = predict(model, next(iter(clips.values())), top=6, timeline=True)
    classes, (window,) = prediction.classes, prediction.timeline
    assert window.probability == pytest.approx(classes[0].probability)
    scores = np.array([entry.score for entry in classes]) / temperature
    assert (np.diff(scores) <= 0).all()
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose([entry.probability for entry in classes], expected, rtol=1e-6)
    assert len(predict(model, next(iter(clips.values())), top=2).classes) == 2


def test_a_hop_shorter_than_a_sample_raises(model: ExportedModel, clips: dict[str, Path]) -> None:
    with pytest.raises(EarshotError, match=r"--hop: expected at least a sample, 6.25e-05 s, found 1e-05"):
        predict(model, next(iter(clips.values())), hop=1e-5)


def test_a_bad_file_is_one_line_and_the_others_are_classified(
    model_folder: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = clips["5-14"]
    soundfile.write(tmp_path / "nan.wav", np.full(8_000, np.nan), 16_000, subtype="FLOAT")
    (tmp_path / "cut[red].wav").write_bytes(good.read_bytes()[:-100])
    bad = [tmp_path / "nan.wav", tmp_path / "cut[red].wav", tmp_path / "none\x1b.wav"]
    assert main([str(model_folder), *map(str, bad), str(good)]) == 1
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[0] == f"error: {bad[0]}: holds NaN or infinite samples"
    assert lines[1].startswith(f"error: {bad[1]}: truncated: ")
    assert lines[2] == rf"error: {tmp_path}/none\x1b.wav: cannot be opened (No such file or directory)"
    assert len(lines) == 3
    assert shown.out.startswith(f"{good}  0.40 s, 1 window\n")
    assert re.findall(r"^  (tone \d)  0\.\d{3}$", shown.out, flags=re.MULTILINE)[0] == "tone 5"
    assert "Traceback" not in shown.err + shown.out


def test_json(model_folder: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = str(next(iter(clips.values())))
    assert main([str(model_folder), good, str(tmp_path / "none.wav"), "--json", "--windows", "--top", "2"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"schema_version", "model", "recordings"}
    described = json.loads((model_folder / FILE_NAME).read_text())
    assert document["model"] == {
        "folder": str(model_folder),
        "trial": described["trial"],
        "session": 2,
        "method": "mfcc-ncm",
        "head": "nearest-mean",
        "classes": 6,
        "threshold": described["thresholds"]["heads"]["nearest-mean"]["value"],
    }
    first, second = document["recordings"]
    assert {key: type(value) for key, value in first.items()} == {
        "file": str, "error": type(None), "seconds": float, "windows": int, "none_of_these": bool, "classes": list,
        "timeline": list,
    }  # fmt: skip
    assert [set(entry) for entry in first["classes"]] == [{"label", "name", "probability", "score"}] * 2
    keys = {"start", "end", "label", "name", "probability", "none_of_these"}
    assert [set(window) for window in first["timeline"]] == [keys]
    assert second == {"file": str(tmp_path / "none.wav"), "error": "cannot be opened (No such file or directory)"}


def test_folders_are_read_in_order_and_what_cannot_be_read_does_not_stop(
    model_folder: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = clips.values()
    for name in ("b/2.WAV", "b/10.wav", "a.wav", "b/.hidden.wav", ".cache/x.wav", "c/link.wav"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(first.read_bytes())
    (tmp_path / "in/c/link.wav").unlink()
    (tmp_path / "in/c/link.wav").symlink_to(second)
    (tmp_path / "in/b/bad.flac").write_text("not audio")
    (tmp_path / "in/notes.txt").write_text("not a recording")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    arguments = [str(model_folder), str(tmp_path / "in"), str(tmp_path / "empty"), str(second), "--json"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    recordings = json.loads(captured.out)["recordings"]
    names = ["in/a.wav", "in/b/10.wav", "in/b/2.WAV", "in/b/bad.flac", "in/c/link.wav", "empty"]
    assert [entry["file"] for entry in recordings] == [*(str(tmp_path / name) for name in names), str(second)]
    assert [entry["error"] is None for entry in recordings] == [True, True, True, False, True, False, True]
    bad, empty = captured.err.splitlines()
    assert bad.startswith(f"error: {tmp_path}/in/b/bad.flac: ")
    assert empty.startswith(f"error: {tmp_path}/empty: a folder without recordings: no file in it has a suffix such")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "in/locked").mkdir(parents=True, mode=0o000)
    (tmp_path / "in/z.wav").touch()
    found = {file.path: file.error for file in recording_files([str(tmp_path / "in")])}
    assert found == {
        str(tmp_path / "in/z.wav"): "",
        str(tmp_path / "in/locked"): "the folder cannot be read (Permission denied)",
    }


def test_names_of_classes_are_untrusted_text(
    model_folder: Path, clips: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: dict[str, Any] = json.loads((model_folder / FILE_NAME).read_text())
    for entry in content["classes"]:
        entry["name"] = "[bold]\x1b[31mx\n"
    for path in model_folder.rglob("*.safetensors"):
        (tmp_path / path.relative_to(model_folder)).parent.mkdir(exist_ok=True)
        (tmp_path / path.relative_to(model_folder)).write_bytes(path.read_bytes())
    (tmp_path / FILE_NAME).write_text(json.dumps(with_checksum(content)))
    assert main([str(tmp_path), str(next(iter(clips.values()))), "--windows"]) == 0
    shown = capsys.readouterr().out
    assert r"[bold]\x1b[31mx\n" in shown and "\x1b" not in shown


def test_bad_arguments(model_folder: Path, clips: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    good = str(next(iter(clips.values())))
    assert main([str(model_folder), good, "--head", "linear"]) == 2
    assert capsys.readouterr().err == "error: --head linear: mfcc-ncm has nearest-mean\n"
    assert main([str(model_folder / "parts"), good]) == 2
    assert "expected a folder written by earshot export" in capsys.readouterr().err
    for wrong in (["--top", "0"], ["--hop", "0"], ["--hop", "nan"], ["--hop", "x"]):
        assert main([str(model_folder), good, *wrong]) == 2
        assert capsys.readouterr().err.startswith(f"error: command line: {wrong[0]}: input should be ")
    with pytest.raises(SystemExit) as caught:
        main([str(model_folder), good, "--device", "tpu"])
    assert caught.value.code == 2


def test_the_commands_of_the_page(
    tones: Path,
    clips: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_run(tmp_path / "runs", tones, "simplecil", "RUN")
    first, second, *_ = clips.values()
    (tmp_path / "recording.wav").write_bytes(first.read_bytes())
    soundfile.write(tmp_path / "other.flac", *soundfile.read(second))
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/predict.md").read_text(encoding="utf-8")
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings/first.wav").write_bytes(first.read_bytes())
    block, *_ = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    for line in block.splitlines():
        _, verb, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
        capsys.readouterr()
        assert {"export": export_main, "predict": main}[verb](arguments) == 0
    assert [recording["file"] for recording in json.loads(capsys.readouterr().out)["recordings"]] == [
        "recording.wav",
        "other.flac",
    ]
