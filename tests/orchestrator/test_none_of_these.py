"""'None of these': from a finished chain over the export to what predict prints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard
from datasets.benchmark.shards import Shards
from datasets.utils.checksum import with_checksum
from orchestrator.export import main as export
from orchestrator.predict import main as predict
from tests.support.chain_runs import write_clips, write_run
from trainables.inference.description import FILE_NAME, Description

HEAD = "nearest-mean"


@pytest.fixture(scope="module")
def runs(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of mfcc-ncm: two tones a session."""
    root = tmp_path_factory.mktemp("runs")
    write_run(root, tones, "mfcc-ncm")
    return root


@pytest.fixture(scope="module")
def validation(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The validation clips as WAV, by clip id."""
    return write_clips(tmp_path_factory.mktemp("clips") / "wav", tones, "val")


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """White noise: its spectrum is far from that of any tone."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 6_400)
    soundfile.write(tmp_path / "noise.wav", samples, 16_000, subtype="PCM_16")
    return tmp_path / "noise.wav"


def without_val_split(tones: Path, folder: Path) -> Path:
    """The tones, with their validation clips among the train clips."""
    shards = Shards(tones)
    table = shards.table
    (folder / "shards").mkdir(parents=True)
    entries, classes = [], []
    for label, name in enumerate(table.class_names):
        positions = shards.select(labels=[label])
        clips = [
            Clip(table.clip_ids[at], "test" if table.splits[at] == "test" else "train", label, name, name, 0, wave)
            for at, wave in zip(positions, shards.audio(positions), strict=True)
        ]
        entries.append(write_shard(folder / f"shards/{label:05d}.parquet", clips, shards.sample_rate))
        classes.append(ClassEntry(label=label, name=name, clips=SplitCounts(train=11, test=4)))
    changes = {"classes": tuple(classes), "shards": tuple(entries)}
    shards.manifest.model_copy(update=changes).save(folder)
    return folder


def exported(runs: Path, out: Path, *options: str) -> Description:
    assert export(["it", "--runs", str(runs), "--out", str(out), *options]) == 0
    return Description.load(out)


def recordings(capsys: pytest.CaptureFixture[str], model: Path, *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert predict([str(model), *arguments, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["recordings"]
    return found


@pytest.mark.parametrize(("known", "below"), [("1", 0), ("0.75", 3), ("0.5", 6)])
def test_the_fraction_of_validation_clips_that_get_a_class(
    known: str,
    below: int,
    runs: Path,
    tones: Path,
    validation: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Predict finds the clips that the export counted, of the known classes and of the others."""
    model = exported(runs, tmp_path / "model", "--session", "1", "--known", known)
    shown = " ".join(capsys.readouterr().out.split())
    thresholds = model.thresholds
    assert thresholds is not None and thresholds.keep == float(known)
    head = thresholds.heads[HEAD]
    assert (thresholds.clips, thresholds.other_clips, thresholds.other_classes) == (12, 6, 2)
    assert head.kept == pytest.approx(1 - below / 12)
    assert f"keeps {head.kept:.3f} of 12 validation clips, rejects {head.rejected:.3f} of 6 of other classes" in shown
    table, known_labels = Shards(tones).table, {entry.label for entry in model.classes}
    label = dict(zip(table.clip_ids, map(int, table.labels), strict=True))
    names = list(validation)
    answers = recordings(capsys, tmp_path / "model", *(str(validation[name]) for name in names))
    is_none = {name: answer["none_of_these"] for name, answer in zip(names, answers, strict=True)}
    assert sum(is_none[name] for name in names if label[name] in known_labels) == below
    others = [is_none[name] for name in names if label[name] not in known_labels]
    assert np.mean(others) == pytest.approx(head.rejected)
    for name, answer in zip(names, answers, strict=True):
        assert answer["none_of_these"] == (answer["classes"][0]["score"] < head.value), name


def test_a_sound_of_none_of_the_classes(
    runs: Path, validation: dict[str, Path], noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = exported(runs, tmp_path / "model")
    assert model.thresholds is not None and model.thresholds.heads[HEAD].rejected is None
    assert "the benchmark has no validation clips of other classes" in " ".join(capsys.readouterr().out.split())
    tone = str(next(iter(validation.values())))
    assert predict([str(tmp_path / "model"), str(noise), tone, "--windows", "--top", "1"]) == 0
    first, second = capsys.readouterr().out.split(f"{tone}  ")
    assert "none of these" in first.splitlines()[1] and first.splitlines()[2].startswith("  tone ")
    assert first.splitlines()[-1].split()[2:5] == ["none", "of", "these"]  # the only window
    assert "none of these" not in second
    answer, of_tone = recordings(capsys, tmp_path / "model", str(noise), tone, "--windows")
    assert (answer["none_of_these"], of_tone["none_of_these"]) == (True, False)
    assert [window["none_of_these"] for window in answer["timeline"]] == [True]
    assert len(answer["classes"]) == 5

    (off,) = recordings(capsys, tmp_path / "model", str(noise), "--no-unknown", "--windows")
    assert off["none_of_these"] is None and off["timeline"][0]["none_of_these"] is None
    assert off["classes"] == answer["classes"]
    assert predict([str(tmp_path / "model"), str(noise), "--no-unknown", "--windows"]) == 0
    assert "none of these" not in capsys.readouterr().out


def test_models_of_earlier_versions_always_answer(
    runs: Path, noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(runs, tmp_path / "model")
    content = json.loads((tmp_path / "model" / FILE_NAME).read_text())
    del content["thresholds"], content["checksum"]
    (tmp_path / "model" / FILE_NAME).write_text(json.dumps(with_checksum({**content, "schema_version": 2})))
    (answer,) = recordings(capsys, tmp_path / "model", str(noise))
    assert answer["none_of_these"] is None and answer["classes"][0]["name"].startswith("tone")
    assert predict([str(tmp_path / "model"), str(noise)]) == 0
    assert "none of these" not in capsys.readouterr().out


def test_without_validation_clips_the_export_says_so(
    tones: Path, noise: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with all train clips of a benchmark without a val split."""
    folder = without_val_split(tones, tmp_path / "bench")
    write_run(tmp_path, folder, "mfcc-ncm")
    model = exported(tmp_path, tmp_path / "model", "--train-on-all")
    assert model.thresholds is None and model.calibration is not None and not model.calibration.clips
    shown = " ".join(capsys.readouterr().out.split())
    assert "none of these never answered: the benchmark has no validation clips of these classes" in shown
    (answer,) = recordings(capsys, tmp_path / "model", str(noise))
    assert answer["none_of_these"] is None and answer["classes"]


@pytest.mark.parametrize("value", ["0", "1.5", "nan", "x"])
def test_a_fraction_that_is_none(value: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(["it", "--runs", str(runs), "--out", str(tmp_path / "model"), "--known", value]) == 2
    assert capsys.readouterr().err.startswith("error: command line: --known: input should be ")
    assert not (tmp_path / "model").exists()
