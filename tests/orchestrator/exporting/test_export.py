"""What an export contains, and errors for missing inputs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from datasets.benchmark.protocol import make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.checksum import with_checksum
from datasets.utils.errors import EarshotError
from orchestrator.exporting.export import Overrides, export
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import PROTOCOL, seeds, write_run
from tests.support.run_folders import WriteTrial
from trainables.inference.description import Description, Training
from trainables.inference.exported_model import load_model
from trainables.methods.mfcc_ncm import mfcc_statistics
from trainables.networks.backbones.ast import load_ast
from trainables.networks.specs import DEFAULT
from trainables.records import TrialRecord


@pytest.fixture(scope="module")
def runs(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of mfcc-ncm with two seeds, and one of simplecil."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (1, 0):
        write_run(root, tones, "mfcc-ncm", seeds=seeds(seed))
    write_run(root, tones, "simplecil", "other")
    return root


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def error(run: Path, tmp_path: Path, **arguments: object) -> str:
    """The message of a failed export, which leaves no file."""
    with pytest.raises(EarshotError) as caught:
        export(RunFolder(run), "best", tmp_path / "model", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "model").exists() and not list(tmp_path.glob(".*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_description(runs: Path, tmp_path: Path) -> None:
    model = export(RunFolder(runs / "it"), "best", tmp_path / "model")
    assert Description.load(tmp_path / "model") == model
    record = TrialRecord.load(runs / "it/trials" / model.trial)
    assert model.trial.endswith("-s0") and (model.session, model.planned_sessions) == (2, 3)
    assert (model.seeds, model.heads, model.settings) == (record.seeds, record.heads, record.settings)
    assert model.protocol_hash == record.protocol_hash is not None
    assert (model.protocol, model.stage) == (record.protocol, record.sessions[2].stage)
    assert (model.benchmark.name, model.benchmark.fingerprint) == ("tones", record.benchmark_digest)
    assert (model.sample_rate, model.num_samples, model.loudness) == (16_000, 6_400, False)
    assert model.backbone is None
    readme = (tmp_path / "model/README.md").read_text()
    assert model.trial in readme and "0.4 s at 16000 Hz" in readme


@pytest.mark.parametrize("method", ["ranpac", "mar", "ede", "mfcc-ncm"])
def test_confidence_means_accuracy(method: str, tones: Path, tmp_path: Path) -> None:
    """Of every head; the temperature is fitted to validation clips, and holds for all clips that were not learned."""
    write_run(tmp_path, tones, method)
    description = export(RunFolder(tmp_path / "it"), "best", tmp_path / "model")
    model, shards = load_model(tmp_path / "model"), Shards(tones)
    labels = np.array([entry.label for entry in description.classes])
    validation = shards.select(splits=["val"])
    sessions = make_sessions(PROTOCOL, shards.table, order_seed=0, support_seed=0)
    classes = [clips for session in sessions for clips in session.classes]
    unlearned = np.array([p for one in classes for p in (*one.query, *sorted({*one.pool} - {*one.support}))])
    assert len(unlearned) == 54
    calibration = description.calibration
    assert calibration is not None and (calibration.clips, calibration.bins) == (len(validation), 15)
    scores = model.score(shards.audio(unlearned))
    assert set(calibration.heads) == set(scores)
    for head, values in scores.items():
        right = labels[values.argmax(dim=1).numpy()] == shards.table.labels[unlearned]
        confidence = (values / description.temperature(head)).softmax(dim=1).amax(dim=1)
        assert abs(float(confidence.mean()) - right.mean()) < 0.15
        fitted = calibration.heads[head]
        assert fitted.ece is not None and fitted.ece_uncalibrated is not None
        if method in ("ranpac", "mar"):
            assert fitted.temperature < 0.8  # scores of a ridge differ by little


def test_all_train_clips_are_learned_in_the_order_of_the_sessions(tones: Path, tmp_path: Path) -> None:
    write_run(tmp_path, tones, "mfcc-ncm", protocol=PROTOCOL.model_copy(update={"class_order": "seeded"}))
    folder = RunFolder(tmp_path / "it")
    few = export(folder, "best", tmp_path / "few")
    sessions: list[int] = []
    everything = export(
        folder, "best", tmp_path / "all", train_on_all=True, listener=lambda record, _: sessions.append(record.index)
    )
    assert sessions == [0, 1, 2]
    assert everything.classes == few.classes
    assert few.calibration is not None and everything.calibration is not None
    assert everything.calibration.clips == few.calibration.clips
    shards = Shards(tones)
    train = {entry.label: shards.select(labels=[entry.label], splits=["train"]) for entry in few.classes}
    count = sum(map(len, train.values()))
    assert few.training == Training(clips=3 * 6, of=count, all_clips=False)
    assert everything.training == Training(clips=count, of=count, all_clips=True)
    assert everything.protocol["name"] == "free-all-clips" and everything.protocol["shot"] == "all"
    means = load_file(tmp_path / "all/parts/means.safetensors")["means"]
    for row, entry in zip(means, everything.classes, strict=True):
        waves = torch.from_numpy(shards.audio(train[entry.label]))
        torch.testing.assert_close(row, mfcc_statistics(waves, sample_rate=16_000, count=20).mean(dim=0))
    assert TrialRecord.load(tmp_path / "it/trials" / few.trial).protocol["shot"] == 3  # the run is as before
    one = export(folder, "best", tmp_path / "one", session=0, train_on_all=True)
    assert [entry.session for entry in one.classes] == [0, 0]


def test_a_trial_without_finished_sessions(write_trial: WriteTrial, tmp_path: Path) -> None:
    write_trial("ede-aaaaaaaa", 0, [], planned=2)
    with pytest.raises(EarshotError, match="no session is finished; run the sweep again"):
        export(RunFolder(tmp_path / "run"), "ede-aaaaaaaa-s0", tmp_path / "model")


def test_an_earlier_session_has_fewer_classes(runs: Path, tmp_path: Path) -> None:
    model = export(RunFolder(runs / "it"), "best", tmp_path / "model", session=1)
    assert [entry.label for entry in model.classes] == [0, 1, 2, 3]
    assert model.session == 1
    assert load_model(tmp_path / "model").description == model
    shutil.rmtree(tmp_path / "model")
    message = error(runs / "it", tmp_path, session=3)
    assert "--session 3: expected 0 to 2, the finished sessions of mfcc-ncm-" in message
    assert "--session -1: expected 0 to 2" in error(runs / "it", tmp_path, session=-1)


def test_exports_of_a_trial_are_equal_and_replace_only_exports(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    export(RunFolder(runs / "other"), "best", out)
    before = content_of(out)
    export(RunFolder(runs / "other"), "best", out, force=True)
    assert content_of(out) == before
    export(RunFolder(runs / "it"), "best", out, force=True)
    parts = {f"parts/{name}.safetensors" for name in ("means", "moments", "own")}
    assert {"model.json", "README.md", *parts} == set(content_of(out))
    (out / "mine.txt").write_text("mine")
    with pytest.raises(EarshotError, match=r"mine\.txt: not part of the export to be replaced; move it elsewhere"):
        export(RunFolder(runs / "it"), "best", out, force=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/text").write_text("all of it")
    for force in (False, True):
        with pytest.raises(EarshotError, match="expected a new folder, an empty one or an export, found other files"):
            export(RunFolder(runs / "it"), "best", tmp_path / "thesis", force=force)
    (tmp_path / "empty").mkdir()
    assert export(RunFolder(runs / "it"), "best", tmp_path / "empty").method == "mfcc-ncm"
    assert not list(tmp_path.glob(".*"))


def test_missing_stages_and_weights(tones: Path, tmp_path: Path) -> None:
    """The advice of the messages works: without the stage's description the same sweep computes its weights again."""
    runs = tmp_path / "runs"
    trial = write_run(runs, tones, "mfcc-ncm")
    address = TrialRecord.load(runs / "it/trials" / trial).sessions[-1].stage
    for path in (runs / "store/parts").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    message = error(runs / "it", tmp_path)
    assert f"the weights after session 2 of {trial} are missing or damaged; remove this file and run the sa" in message
    Path(message.split(": the weights")[0]).unlink()
    assert f"has no stage {address[:12]}..." in error(runs / "it", tmp_path)
    write_run(runs, tones, "mfcc-ncm")
    (runs / "store").rename(tmp_path / "stages")
    message = error(runs / "it", tmp_path)
    assert "run the same sweep again to compute it, or give the store with --store" in message
    moved = Overrides(store=tmp_path / "stages")
    assert export(RunFolder(runs / "it"), "best", tmp_path / "model", overrides=moved).session == 2


def test_another_benchmark_or_backbone_raises(runs: Path, clean: Path, tones: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs/it"
    shutil.copytree(runs, tmp_path / "runs")
    content = json.loads((run / "sweep.json").read_text())
    (run / "sweep.json").write_text(json.dumps(with_checksum({**content, "where": {"benchmark": str(clean)}})))
    assert f"benchmark tones: not found where the sweep read it ({clean})" in error(run, tmp_path)
    (run / "sweep.json").unlink()
    assert "give its folder: --benchmark DIR" in error(run, tmp_path)
    message = error(runs / "it", tmp_path, overrides=Overrides(benchmark=str(clean)))
    assert "expected the benchmark of the run" in message
    moved = Overrides(benchmark=str(tones))
    assert export(RunFolder(run), "best", tmp_path / "model", overrides=moved).method == "mfcc-ncm"
    shutil.rmtree(tmp_path / "model")
    message = error(runs / "other", tmp_path, overrides=Overrides(backbone="random-small"))
    assert "backbone 'random-small': not the weights that the trial was computed with" in message


def test_an_exported_backbone_can_be_used_in_a_sweep(runs: Path, tmp_path: Path) -> None:
    model = export(RunFolder(runs / "other"), "best", tmp_path / "model")
    assert model.backbone is not None
    assert model.backbone.name == DEFAULT
    original = load_ast(DEFAULT, 38)
    assert model.backbone.digest == original.digest
    exported = load_ast(str(tmp_path / "model/backbone"), 38)
    assert all(value.equal(exported.state_dict()[key]) for key, value in original.state_dict().items())
