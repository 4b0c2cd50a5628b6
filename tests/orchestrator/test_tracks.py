"""Transductive methods are a track of their own: in records, tables, the page, LaTeX, comparisons and exports."""

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from orchestrator.compare import main as compare_main
from orchestrator.exporting.choice import choose_trial
from orchestrator.exporting.export import export
from orchestrator.predict import main as predict_main
from orchestrator.reporting.facts import choices_of
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.html.write import page
from orchestrator.reporting.latex import latex
from orchestrator.reporting.markdown_report import markdown_report, methods_markdown
from orchestrator.reporting.sentences import answer, verdict
from orchestrator.reporting.summary import summary_table
from orchestrator.reporting.tables import confusion_grid, method_grid, method_rows, session_grid, summary_grid
from orchestrator.results.measures import MEASURES
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from orchestrator.statistics.comparison import compare, compared_methods, count_tested
from orchestrator.statistics.estimates import Estimates
from tests.orchestrator.conftest import WriteTrial
from tests.support.chain_runs import write_clips, write_run
from trainables.inference.exported_model import load_model
from trainables.inference.prediction import classify_together, embed_recording, predict
from trainables.records import TrialRecord

AA = MEASURES["aa"]


@pytest.fixture
def mixed(tmp_path: Path, write_trial: WriteTrial) -> Run:
    """ede and simplecil, and with the highest accuracy tape-like; three seeds."""
    for seed, drop in enumerate((0.0, 0.05, 0.15)):
        write_trial("ede-0000000a", seed, [[0.8], [0.6, 0.7 - drop]])
        write_trial("tape-like-0000000b", seed, [[0.95], [0.9, 0.9 - drop]], track="transductive")
        write_trial("simplecil-0000000c", seed, [[0.7], [0.5 + drop, 0.7]])
    return Run.load(tmp_path / "run")


def printed(run: Run) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=120).print(summary_table(run, 120))
    return buffer.getvalue()


def test_tables_list_each_track_apart(mixed: Run) -> None:
    estimates, choices = Estimates(mixed), choices_of(mixed)
    assert [(choice.label, choice.track) for choice in choices] == [
        ("ede", "inductive"), ("simplecil", "inductive"), ("tape-like", "transductive")
    ]  # fmt: skip
    for grid in (
        method_grid(mixed, estimates),
        summary_grid(mixed, estimates),
        session_grid(mixed, estimates),
        confusion_grid(mixed),
    ):
        tracks = {(row[grid.header.index("method")], row[grid.header.index("track")]) for row in grid.rows}
        assert tracks == {(choice.method, choice.track) for choice in choices}
        assert {len(row) for row in grid.rows} == {len(grid.header)}
    lines = printed(mixed).splitlines()
    (row,) = (number for number, line in enumerate(lines) if line.startswith("tape-like"))
    assert "transductive" in lines[row] and not lines[row - 1].strip() and lines[row - 2].startswith("simplecil")
    assert "not ranked with the others" in printed(mixed)
    table = latex(mixed, method_rows(mixed, estimates))
    rows = [line.strip() for line in table.splitlines()]
    (row,) = (number for number, line in enumerate(rows) if line.startswith("tape-like & transductive &"))
    assert rows[row - 1] == r"\midrule" and rows[row - 2].startswith("simplecil & inductive &")
    assert "it is not ranked with them" in table
    assert "| tape-like | transductive |" in methods_markdown(mixed, method_rows(mixed, estimates))


def test_rankings_and_differences_stay_within_a_track(mixed: Run) -> None:
    estimates, choices = Estimates(mixed), choices_of(mixed)
    text = answer(mixed, estimates, choices)
    assert text.startswith("ede reaches") and "next by validation is simplecil" in text
    assert "Apart from these, tape-like (transductive) reaches" in text
    data = payload(mixed, estimates)
    ranks = {method["name"]: (method["rank"], method["track"]) for method in data["methods"]}
    assert ranks == {"ede": (0, "inductive"), "simplecil": (1, "inductive"), "tape-like": (2, "transductive")}
    html = page(mixed, estimates)
    assert html.count('scope="rowgroup"') == 2 and "the rank by validation AA within the track" in html
    report = markdown_report(mixed, estimates, {})
    differences = report.split("### Differences")[1].split("\n## ")[0]
    assert "simplecil" in differences and "tape-like" not in differences
    assert "Transductive: tape-like." in report and "tape-like (transductive) |" in report
    assert choose_trial(RunFolder(mixed.path), "best") == "ede-0000000a-s0"
    assert choose_trial(RunFolder(mixed.path), "tape-like") == "tape-like-0000000b-s0"


def test_methods_of_two_tracks_get_no_verdict(mixed: Run, capsys: pytest.CaptureFixture[str]) -> None:
    everything = compared_methods([mixed])
    (alone,) = compare(everything, AA)
    assert (alone.first, alone.second, alone.tested) == ("ede", "simplecil", True)
    within, across = compare(everything, AA, against="simplecil")
    assert within.first == "ede" and within.p_holm == pytest.approx(alone.p_holm) == pytest.approx(alone.test.p_t)
    assert across.first == "tape-like" and count_tested([within, across]) == 1 and not across.decided
    assert across.test.mean > 0.1 and not across.p_holm >= 0 and not across.test.p_t >= 0 and across.more_seeds is None
    words = verdict(across, AA, 1)
    assert words.startswith(
        "No verdict: tape-like (transductive) and simplecil (inductive) are of different tracks; AA"
    )
    assert "better" not in words and "p =" not in words
    (pair,) = compare(compared_methods([mixed], ["ede", "tape-like"]), AA)  # no track has two
    assert not pair.tested

    assert compare_main([str(mixed.path), "--against", "simplecil"]) == 0
    output = capsys.readouterr().out
    assert "different" in output and "No verdict: tape-like" in output and "Transductive: tape-like." in output
    assert compare_main([str(mixed.path), "--against", "simplecil", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [(row["tested"], row["decided"]) for row in content["comparisons"]][1] == (False, False)
    assert {entry["label"]: entry["track"] for entry in content["contenders"]}["tape-like"] == "transductive"


def test_a_run_without_transductive_methods_is_as_before(tmp_path: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-0000000a", 0, [[0.8], [0.6, 0.7]])
    path = tmp_path / "run" / "trials" / record.trial / "trial.json"
    assert "track" not in json.loads(path.read_text())
    run = Run.load(tmp_path / "run")
    assert next(iter(run.trials.values())).track == "inductive" and not run.has_transductive
    estimates = Estimates(run)
    assert "track" not in method_grid(run, estimates).header and "track" not in printed(run)
    assert "transductive" not in markdown_report(run, estimates, {}).lower()


@pytest.fixture(scope="module")
def exported(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder with a run and an export of tape-like, and the name of the trial."""
    root = tmp_path_factory.mktemp("tracks")
    settings = {"steps": 3, "temperature": 64.0}
    trial = write_run(root, tones, "tape-like", settings=settings, backbone="random-tiny")
    export(RunFolder(root / "it"), trial, root / "model")
    return root, trial


def test_a_chain_scores_the_query_clips_of_a_session_as_one_batch(
    tones: Path, exported: tuple[Path, str], tmp_path: Path
) -> None:
    """The files of all test clips, given together, get the predictions of the last session; alone, they need not."""
    root, trial = exported
    record = TrialRecord.load(root / "it" / "trials" / trial)
    assert record.track == "transductive"
    rows = pq.read_table(root / "it" / "trials" / trial / record.sessions[-1].predictions).to_pylist()
    stored = {row["clip_id"]: row for row in rows if row["split"] == "test"}
    model = load_model(root / "model")
    clips = write_clips(tmp_path / "clips", tones)
    assert clips.keys() == stored.keys()
    together = classify_together(model, [embed_recording(model, path) for path in clips.values()], top=6)
    alone = [predict(model, path, top=6) for path in clips.values()]
    for name, prediction in zip(clips, together, strict=True):
        assert prediction.classes[0].label == stored[name]["prediction"]
        assert prediction.classes[0].score == pytest.approx(stored[name]["top_scores"][0], rel=2e-3)
    assert max(abs(a.classes[0].score - b.classes[0].score) for a, b in zip(together, alone, strict=True)) > 1e-3


def test_scores_do_not_depend_on_how_clips_are_read(tones: Path, exported: tuple[Path, str]) -> None:
    model = load_model(exported[0] / "model")
    waves = torch.randn(40, model.description.num_samples, generator=torch.Generator().manual_seed(0)).numpy() / 10
    together = model.score(waves)["refined"]
    in_parts = model.score_parts([waves[:7], waves[7:]])["refined"]
    torch.testing.assert_close(in_parts, together, atol=1e-4, rtol=1e-4)


def test_predict_says_that_files_are_one_batch(
    tones: Path, exported: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(exported[0] / "model")
    clips = list(write_clips(tmp_path / "clips", tones).values())[:3]
    (tmp_path / "not.wav").write_text("no sound")
    files = [str(clips[0]), str(tmp_path / "not.wav"), *map(str, clips[1:])]
    assert predict_main([model, *files, "--windows"]) == 1
    output = capsys.readouterr()
    assert "tape-like is transductive: 3 recordings (3 windows) were classified as one batch" in output.err
    assert "not.wav: " in output.err and [output.out.index(clip.name) for clip in clips] == sorted(
        output.out.index(clip.name) for clip in clips
    )
    assert predict_main([model, *files, "--json"]) == 1
    output = capsys.readouterr()
    content = json.loads(output.out)
    assert content["model"]["track"] == "transductive"
    assert [Path(row["file"]).name for row in content["recordings"]] == [Path(name).name for name in files]
    assert content["recordings"][1].keys() == {"file", "error"} and content["recordings"][0]["windows"] == 1
    assert "one batch" in (exported[0] / "model" / "README.md").read_text()
