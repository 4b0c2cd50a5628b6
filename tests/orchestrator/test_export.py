"""Which trial is exported, what is written, and what is said where something is gone."""

import json
import shutil
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.export import Places, choose, export, main
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import seeds, write_run
from tests.support.run_folders import WriteTrial
from trainables.inference.exported_model import Description, load_model
from trainables.networks.backbone import load_backbone
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


def digest_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def told(runs: Path, tmp_path: Path, *, run: str = "it", trial: str = "best", **arguments: object) -> str:
    with pytest.raises(EarshotError) as caught:
        export(str(runs / run), trial, tmp_path / "model", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "model").exists() and not list(tmp_path.glob(".*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_best_is_chosen_on_validation_clips_and_its_first_seed(write_trial: WriteTrial, tmp_path: Path) -> None:
    high, low = [[0.9], [0.8, 0.8]], [[0.5], [0.4, 0.4]]
    write_trial("ede-aaaaaaaa", 0, high, val=low)
    for seed in (10, 2):
        write_trial("ede-bbbbbbbb", seed, low, val=high)
    write_trial("teen-cccccccc", 2, high, val=[[0.6], [0.5, 0.5]])
    folder = RunFolder.find(str(tmp_path / "run"))
    assert Run.load(folder.path).best("ede").configuration == "ede-bbbbbbbb"
    assert choose(folder, "best") == choose(folder, "ede") == choose(folder, "ede-bbbbbbbb") == "ede-bbbbbbbb-s2"
    assert choose(folder, "teen") == "teen-cccccccc-s2"
    assert choose(folder, "ede-bbbbbbbb-s10") == "ede-bbbbbbbb-s10"
    assert choose(folder, "te") == "teen-cccccccc-s2"
    with pytest.raises(EarshotError, match=r"trial 'e': expected one with a finished session, found 3 of them"):
        choose(folder, "e")
    with pytest.raises(EarshotError, match=r"found none such; trials: ede-aaaaaaaa-s0, ede-bbbbbbbb-s10"):
        choose(folder, "../run")


def test_a_trial_without_finished_sessions(write_trial: WriteTrial, tmp_path: Path) -> None:
    write_trial("ede-aaaaaaaa", 0, [], planned=2)
    folder = RunFolder.find(str(tmp_path / "run"))
    with pytest.raises(EarshotError, match="found none such"):
        choose(folder, "best")
    with pytest.raises(EarshotError, match="no session is finished; run the sweep again"):
        export(str(tmp_path / "run"), "ede-aaaaaaaa-s0", tmp_path / "model")


def test_the_command_line(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").symlink_to(runs)
    monkeypatch.chdir(tmp_path)
    assert main(["it", "--out", "models/it"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 0 to 2" in shown and "models/it" in shown
    described = Description.load(tmp_path / "models/it")
    record = TrialRecord.load(runs / "it/trials" / described.trial)
    assert described.trial.endswith("-s0")
    assert (described.seeds, described.heads, described.settings) == (record.seeds, record.heads, record.settings)
    assert described.protocol == record.protocol
    assert (described.benchmark.name, described.benchmark.fingerprint) == ("tones", record.benchmark_fingerprint)
    assert (described.sample_rate, described.num_samples, described.loudness) == (16_000, 6_400, False)
    assert described.backbone is None
    readme = (tmp_path / "models/it/README.md").read_text()
    assert described.trial in readme and "0.4 s at 16000 Hz" in readme
    assert main(["it", "--out", "models/it"]) == 2
    assert capsys.readouterr().err == (
        "error: models/it: holds an export already; choose another --out, or replace it with --force\n"
    )
    assert main(["nowhere", "--out", "x"]) == 2
    assert "nowhere: expected a run folder of a sweep, or the name of one in runs/" in capsys.readouterr().err


def test_an_earlier_session_knows_fewer_classes(runs: Path, tmp_path: Path) -> None:
    described = export(str(runs / "it"), "best", tmp_path / "model", session=1)
    assert [one.label for one in described.classes] == [0, 1, 2, 3]
    assert described.session == 1
    assert load_model(tmp_path / "model").description == described
    shutil.rmtree(tmp_path / "model")
    assert "--session 3: expected 0 to 2, the finished sessions of mfcc-ncm-" in told(runs, tmp_path, session=3)
    assert "--session -1: expected 0 to 2" in told(runs, tmp_path, session=-1)


def test_the_same_trial_is_the_same_bytes_and_replaces_only_itself(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    export(str(runs / "other"), "best", out)
    before = digest_of(out)
    export(str(runs / "other"), "best", out, force=True)
    assert digest_of(out) == before
    export(str(runs / "it"), "best", out, force=True)
    assert {"model.json", "README.md", "parts/means.safetensors"} == set(digest_of(out))
    (out / "mine.txt").write_text("mine")
    with pytest.raises(EarshotError, match=r"mine\.txt: not part of the export that is to be replaced"):
        export(str(runs / "it"), "best", out, force=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/text").write_text("all of it")
    for force in (False, True):
        with pytest.raises(EarshotError, match="expected no such folder, an empty one or an export, found other files"):
            export(str(runs / "it"), "best", tmp_path / "thesis", force=force)
    (tmp_path / "empty").mkdir()
    assert export(str(runs / "it"), "best", tmp_path / "empty").method == "mfcc-ncm"
    assert not list(tmp_path.glob(".*"))


def test_things_that_are_no_longer_there(tones: Path, tmp_path: Path) -> None:
    """What the messages advise helps: without the stage's description the same sweep computes its weights again."""
    runs = tmp_path / "runs"
    trial = write_run(runs, tones, "mfcc-ncm")
    address = TrialRecord.load(runs / "it/trials" / trial).sessions[-1].stage
    for path in (runs / "store/parts").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    text = told(runs, tmp_path)
    assert f"the weights after session 2 of {trial} are gone or damaged; remove this file and run the same" in text
    Path(text.split(": the weights")[0]).unlink()
    assert f"holds no stage {address[:12]}..." in told(runs, tmp_path)
    write_run(runs, tones, "mfcc-ncm")
    (runs / "store").rename(tmp_path / "stages")
    assert "run the same sweep again to compute it, or name the store with --store" in told(runs, tmp_path)
    assert export(str(runs / "it"), "best", tmp_path / "model", places=Places(store=tmp_path / "stages")).session == 2


def test_another_benchmark_or_backbone_is_refused(runs: Path, clean: Path, tones: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs/it"
    shutil.copytree(runs, tmp_path / "runs")
    content = json.loads((run / "sweep.json").read_text())
    (run / "sweep.json").write_text(json.dumps({**content, "where": {"benchmark": str(clean)}}))
    assert "expected it where the sweep found it" in told(tmp_path / "runs", tmp_path)
    (run / "sweep.json").unlink()
    assert "give its folder: --benchmark DIR" in told(tmp_path / "runs", tmp_path)
    assert "expected the benchmark of the run" in told(runs, tmp_path, places=Places(benchmark=str(clean)))
    assert export(str(run), "best", tmp_path / "model", places=Places(benchmark=str(tones))).method == "mfcc-ncm"
    shutil.rmtree(tmp_path / "model")
    text = told(runs, tmp_path, run="other", places=Places(backbone="random-small"))
    assert "backbone 'random-small': not the weights that the trial was computed with" in text


def test_an_exported_backbone_is_one_for_another_sweep(runs: Path, tmp_path: Path) -> None:
    described = export(str(runs / "other"), "best", tmp_path / "model")
    assert described.backbone is not None
    assert described.backbone.name == DEFAULT
    ours = load_backbone(DEFAULT, 38)
    assert described.backbone.digest == ours.digest
    theirs = load_backbone(str(tmp_path / "model/backbone"), 38)
    assert all(value.equal(theirs.state_dict()[key]) for key, value in ours.state_dict().items())
