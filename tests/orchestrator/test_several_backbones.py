"""Several backbones in one sweep: how they are given, what runs, and how results distinguish them."""

import json
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.exporting.choice import choose_trial
from orchestrator.reporting.facts import choices_of, what_ran
from orchestrator.reporting.html.payload import payload
from orchestrator.reporting.latex import latex
from orchestrator.reporting.markdown_report import markdown_report
from orchestrator.reporting.run_figures import figures_of
from orchestrator.reporting.tables import confusion_grid, method_grid, method_rows, session_grid, summary_grid
from orchestrator.results.measures import MEASURES
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from orchestrator.statistics.comparison import compare, compared_methods
from orchestrator.statistics.estimates import Estimates
from orchestrator.sweep import main
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.dry_run import dry_run
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from tests.support.run_folders import WriteTrial
from tests.support.sweep_processes import PROTOCOL

TWO = ("--backbone", "earshot-tiny", "--backbone", "random-tiny")


def plan_of(tones: Path, runs: Path, *options: str) -> Plan:
    where = ["--benchmark", str(tones), "--runs", str(runs), "--seeds", "2", *PROTOCOL]
    config = parse([*where, "--method", "simplecil", "--method", "mfcc-ncm", "--trials", "1", *options])
    return make_plan(config, find_spaces(config), find_benchmark(config))


def test_options_of_one_backbone_are_those_of_the_sweep() -> None:
    alone, of_sweep = parse(["--backbone", "a/b@layer=6"]), parse(["--backbone", "a/b", "--layer", "6"])
    assert alone == of_sweep and alone.what() == of_sweep.what() and alone.what()["backbone"] == "b"


def test_each_backbone_may_have_its_own_options() -> None:
    config = SweepConfig.model_validate({"backbone": ["a/b@layer=6", "c", "a/b@layer=mean"], "layer": 4})
    assert [(spec.name, spec.layer) for spec in config.backbones] == [("a/b", 6), ("c", 4), ("a/b", "mean")]
    assert config.what()["backbone"] == ["b@layer=6", "c@layer=4", "b@layer=mean"]
    assert SweepConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("backbones", "message"),
    [
        (["a@layers=6"], "'a': has no option 'layers'; expected frontend, layer"),
        (["a@layers=6", "b"], "'a': has no option 'layers'; expected frontend, layer"),
        (["a@layer=top", "b"], "'a': layer: "),
        (["a", "a@layer=last"], "names one twice"),
    ],
)
def test_options_that_are_wrong(backbones: list[str], message: str) -> None:
    with pytest.raises(EarshotError, match=message) as error:
        parse([word for backbone in backbones for word in ("--backbone", backbone)])
    assert "\n" not in str(error.value)


def test_what_a_sweep_on_two_backbones_runs(tones: Path, tmp_path: Path) -> None:
    plan, alone = plan_of(tones, tmp_path, *TWO), plan_of(tones, tmp_path)
    result = dry_run(plan)
    assert [(row.method, row.backbone, row.trials) for row in result.methods] == [
        ("simplecil", "earshot-tiny", 2), ("simplecil", "random-tiny", 2), ("mfcc-ncm", "", 2)
    ]  # fmt: skip
    assert result.facts["backbone"] == "earshot-tiny, random-tiny"
    assert trial_names(alone) < trial_names(plan) and len(trial_names(plan)) == 6
    assert plan.backbones["earshot-tiny"]["dim"] == 192 and plan.backbones.keys() == {"earshot-tiny", "random-tiny"}


def trial_names(plan: Plan) -> frozenset[str]:
    return frozenset(
        plan.chain(space.method, {}, (), seeds, backbone).trial
        for space, backbone in plan.pairs
        for seeds in plan.config.seeds
    )


def test_folders_of_one_name_are_distinguished(tones: Path, tmp_path: Path) -> None:
    config = parse(["--backbone", "first/model", "--backbone", "second/model"])
    assert config.what()["backbone"] == ["first/model", "second/model"] and config.backbone_parts == 2
    chain = plan_of(tones, tmp_path).chain("simplecil", {}, (), config.seeds[0])
    names = [chain.model_copy(update={**spec.fields(), "backbone_parts": 2}).configuration for spec in config.backbones]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "ede", "--backbone", "resnet18"), "method ede: needs tokens of its backbone, 'resnet18'"),
        (("--layer", "1"), "--layer 1: backbone 'earshot-tiny' .* or give it to another .*: --backbone NAME@layer=1"),
    ],
)
def test_a_method_and_a_backbone_that_do_not_fit(
    tones: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(EarshotError, match=message):
        plan_of(tones, tmp_path, *TWO, *options)


@pytest.mark.slow
def test_a_sweep_on_two_backbones(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(tones, tmp_path, *TWO, "--name", "run")
    arguments = ["--benchmark", str(tones), "--runs", str(tmp_path), "--seeds", "2", *PROTOCOL, "--name", "run"]
    assert main([*arguments, "--method", "simplecil", "--method", "mfcc-ncm", "--trials", "1", *TWO]) == 0
    printed = capsys.readouterr().out
    assert "6 trials" in printed and "simplecil  earshot-tiny" in printed
    run = Run.load(tmp_path / "run")
    assert {name for name in run.trials if name.startswith("simplecil")} < trial_names(plan) and len(run.trials) == 6
    assert list(run.entries) == ["mfcc-ncm", "simplecil+earshot-tiny", "simplecil+random-tiny"]
    digests = {name: facts["digest"] for name, facts in run.backbone_facts.items()}
    assert len(set(digests.values())) == 2
    for name in digests:  # the stages were computed with that network
        trial = choose_trial(RunFolder(tmp_path / "run"), f"simplecil+{name}")
        (stage,) = (tmp_path / "store" / "stages").glob(f"**/{run.trials[trial].sessions[0].stage}*/stage.json")
        assert json.loads(stage.read_text())["depends_on"]["weights"] == digests[name]
    assert f"digest {digests['random-tiny'][:12]}" in (tmp_path / "run/report/report.html").read_text()


@pytest.fixture
def two(tmp_path: Path, write_trial: WriteTrial) -> Run:
    """ede on two backbones and mfcc-ncm on none, two seeds."""
    for seed in (0, 1):
        write_trial("ede-0000000a", seed, [[0.8], [0.6, 0.7]], val=[[0.8], [0.6, 0.7]], backbone="hub/tiny")
        write_trial("ede-0000000b", seed, [[0.9], [0.8, 0.7]], val=[[0.9], [0.8, 0.7]], backbone="large", layer=6)
        write_trial("mfcc-ncm-0000000c", seed, [[0.5], [0.4, 0.3]], backbone="none", frontend="none")
    return Run.load(tmp_path / "run")


def test_results_name_the_backbone(two: Run) -> None:
    labels = ["ede+large@layer=6", "ede+tiny", "mfcc-ncm"]
    estimates, choices = Estimates(two), choices_of(two)
    assert [choice.label for choice in choices] == labels
    assert [(row[0], row[1]) for row in method_grid(two, estimates).rows] == [
        ("ede", "large@layer=6"), ("ede", "tiny"), ("mfcc-ncm", "-")
    ]  # fmt: skip
    for grid in (summary_grid(two, estimates), session_grid(two, estimates), confusion_grid(two)):
        assert "backbone" in grid.header and {len(row) for row in grid.rows} == {len(grid.header)}
    page = payload(two, estimates)
    assert [(method["name"], method["backbone"]) for method in page["methods"]] == [
        ("ede+large@layer=6", "large@layer=6"), ("ede+tiny", "tiny"), ("mfcc-ncm", "")
    ]  # fmt: skip
    lines = latex(two, method_rows(two, estimates)).splitlines()
    assert any(line.strip().startswith("ede & large@layer=6 & 90.0") for line in lines)
    columns = {line.count("&") for line in lines if line.endswith("\\\\") and "multicolumn" not in line}
    assert len(columns) == 1
    report = markdown_report(two, estimates, {})
    assert "| ede | large@layer=6 |" in report and "ede+large@layer=6 is" in report
    assert "matrix-ede_tiny" in figures_of(two, estimates, choices)
    assert [value for name, value in what_ran(two) if name == "backbone"] == ["large@layer=6", "tiny"]


def test_comparisons_and_exports_name_the_backbone(two: Run) -> None:
    everything = compared_methods([two])
    pairs = [(one.first, one.second) for one in compare(everything, MEASURES["aa"], against="ede+tiny")]
    assert pairs == [("ede+large@layer=6", "ede+tiny"), ("mfcc-ncm", "ede+tiny")]
    assert [one.label for one in compared_methods([two], ["ede"])] == ["ede+large@layer=6", "ede+tiny"]
    folder = RunFolder(two.path)
    assert choose_trial(folder, "best") == choose_trial(folder, "ede") == "ede-0000000b-s0"
    assert choose_trial(folder, "ede+tiny") == "ede-0000000a-s0"


def test_a_run_of_one_backbone_has_no_column(tmp_path: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [[0.8], [0.6, 0.7]])
    write_trial("mfcc-ncm-0000000c", 0, [[0.5], [0.4, 0.3]], backbone="none", frontend="none")
    run = Run.load(tmp_path / "run")
    assert list(run.entries) == ["ede", "mfcc-ncm"] and not run.has_several_backbones
    assert "backbone" not in method_grid(run, Estimates(run)).header
