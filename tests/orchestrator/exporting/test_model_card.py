"""README.md of an export as a model card of the Hugging Face hub, and `.eval_results`."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from orchestrator.export import main
from orchestrator.exporting.export import export
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import write_run
from trainables import metrics

HOSTILE = "a: [b\n---\n```<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def runs(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chain of SimpleCIL, and one of MFCC-NCM on a benchmark with a hostile name."""
    runs = tmp_path_factory.mktemp("runs")
    write_run(runs, tones, "simplecil", name="it")
    hostile = runs / "hostile-data"
    hostile.mkdir()
    (hostile / "shards").symlink_to(tones / "shards")
    Manifest.load(tones).model_copy(update={"name": HOSTILE}).save(hostile)
    write_run(runs, hostile, "mfcc-ncm", name="hostile")
    return runs


def test_the_front_matter_has_the_results_of_the_chain(runs: Path, tmp_path: Path) -> None:
    model = export(RunFolder(runs / "it"), "best", tmp_path / "model", hub_dataset="someone/tones")
    card = ModelCard.load(tmp_path / "model" / "README.md")
    data = card.data.to_dict()
    assert (data["library_name"], data["pipeline_tag"], data["datasets"]) == (
        "earshot", "audio-classification", ["someone/tones"]
    )  # fmt: skip
    assert "simplecil" in data["tags"] and "base_model" not in data and data["metrics"] == ["accuracy"]
    run = Run.load(runs / "it")
    scores = run.scores[model.trial, model.default_head, "test"]
    average = round(100 * metrics.average_accuracy(scores.micro), 2)
    assert card.data.eval_results is not None
    values = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert values == {
        "accuracy after session 2": round(100 * float(scores.micro[2]), 2),
        "mean accuracy over sessions 0 to 2 (AA)": average,
    }
    assert f"| prototype | {100 * scores.micro[2]:.1f} | {average:.1f} |" in card.text
    assert "@misc{aper2023," in card.text and "@misc{earshot," in card.text and "earshot predict DIR" in card.text
    (file,) = (tmp_path / "model" / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text(encoding="utf-8")))
    assert (file.name, entry.dataset_id, entry.value) == ("someone--tones.yaml", "someone/tones", average)
    assert entry.notes is not None and f"protocol hash {model.protocol_hash}" in entry.notes


def test_an_earlier_session_has_its_own_results_and_force_replaces_the_card(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    export(RunFolder(runs / "it"), "best", out, hub_dataset="someone/tones")
    model = export(RunFolder(runs / "it"), "best", out, session=1, force=True)
    assert not (out / ".eval_results").exists()  # no data set of the hub was named
    scores = Run.load(runs / "it").scores[model.trial, model.default_head, "test"]
    results = ModelCard.load(out / "README.md").data.eval_results
    assert results is not None
    assert [result.metric_value for result in results] == [
        round(100 * float(scores.micro[1]), 2), round(100 * float(scores.micro[:2].mean()), 2)
    ]  # fmt: skip


def test_a_chain_that_was_not_scored_has_no_results(runs: Path, tmp_path: Path) -> None:
    export(RunFolder(runs / "it"), "best", tmp_path / "model", train_on_all=True, hub_dataset="someone/tones")
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.eval_results is None and "was not measured" in card.text
    assert not (tmp_path / "model" / ".eval_results").exists()


def test_hostile_names_stay_text(runs: Path, tmp_path: Path) -> None:
    export(RunFolder(runs / "hostile"), "best", tmp_path / "model")
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.eval_results is not None
    assert card.data.eval_results[0].dataset_name == HOSTILE
    lines = card.text.splitlines()
    assert sum(line.startswith("```") for line in lines) % 2 == 0 and not any(line == "---" for line in lines)
    for line in lines:
        if "<img" in line:
            outside_code = line.split("`")[::2]
            assert line.startswith("% ") or not any("<img" in part for part in outside_code)  # % is in a block of code


def test_the_name_of_a_data_set(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EarshotError, match="expected OWNER/NAME"):
        export(RunFolder(runs / "it"), "best", tmp_path / "model", hub_dataset="../../etc/passwd")
    assert main([str(runs / "it"), "--out", str(tmp_path / "model"), "--hub-dataset", "tones"]) == 2
    assert "--hub-dataset tones: expected OWNER/NAME" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
