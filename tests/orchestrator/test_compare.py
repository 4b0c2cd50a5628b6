"""Comparisons on the same seeds: pairing, verdicts as sentences, errors."""

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from datasets.utils.errors import EarshotError
from orchestrator.compare import main
from orchestrator.reporting.comparison import comparison_table
from orchestrator.reporting.sentences import verdict
from orchestrator.results.measures import CHAIN_METRICS, MEASURES
from orchestrator.results.run import Run
from orchestrator.statistics.comparison import compare, compared_methods
from orchestrator.statistics.paired_tests import seeds_needed
from tests.support.run_folders import WriteTrial
from trainables.metrics import ChainSummary

AA = MEASURES["aa"]


def write(write_to: WriteTrial, run: Path, name: str, values: dict[int, float], **changes: object) -> None:
    """Writes chains of one session, so that AA is this accuracy."""
    for seed, value in values.items():
        write_to(run, name, seed, [[value]], **changes)


EDE = {seed: value / 20 for seed, value in enumerate([12, 14, 13, 15, 16, 12, 13, 15, 14, 13])}
CIL = {seed: value / 20 for seed, value in enumerate([11, 12, 12, 12, 15, 11, 11, 13, 12, 12])}


@pytest.fixture
def run_dir(tmp_path: Path, write_trial_to: WriteTrial) -> Path:
    write(write_trial_to, tmp_path / "run", "ede-0000000a", EDE)
    write(write_trial_to, tmp_path / "run", "simplecil-0000000b", CIL)
    return tmp_path / "run"


def test_every_metric_of_a_chain_can_be_compared() -> None:
    assert {*ChainSummary.__dataclass_fields__, "intransigence"} == set(MEASURES) == set(CHAIN_METRICS)
    assert [name for name, measure in MEASURES.items() if not measure.up] == [
        "pd", "pd_macro", "forgetting", "forgetting_including_last", "forgetting_avalanche", "ar",
        "final_ece", "final_residual", "intransigence",
    ]  # fmt: skip


def test_the_verdict_names_the_better_method_with_its_evidence(run_dir: Path) -> None:
    (comparison,) = compare(compared_methods([Run.load(run_dir)]), AA)
    differences = np.array([EDE[seed] - CIL[seed] for seed in EDE])
    expected = stats.ttest_rel(list(EDE.values()), list(CIL.values()))
    assert (comparison.first, comparison.second) == ("ede", "simplecil")
    assert comparison.means == pytest.approx((np.mean(list(EDE.values())), np.mean(list(CIL.values()))))
    assert (comparison.test.mean, comparison.test.p_t) == pytest.approx((differences.mean(), expected.pvalue))
    assert comparison.p_holm == pytest.approx(expected.pvalue) and comparison.more_seeds is None and comparison.decided
    interval = expected.confidence_interval()
    assert verdict(comparison, AA, 1) == (
        f"ede is better than simplecil by 8.0 points of AA [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
        " (paired t, p < 0.001, 10 seeds)."
    )


def test_lower_is_better_for_some_metrics(run_dir: Path, write_trial_to: WriteTrial) -> None:
    measure = MEASURES["pd"]
    for seed, drop in enumerate([2, 3, 4, 3]):
        write_trial_to(run_dir.parent / "falls", "der-0000000c", seed, [[0.9], [0.9 - drop / 20, 0.9 - drop / 20]])
        write_trial_to(run_dir.parent / "falls", "foster-0000000d", seed, [[0.9], [0.9, 0.85]])
    (comparison,) = compare(compared_methods([Run.load(run_dir.parent / "falls")]), measure)
    # PD 10, 15, 20, 15 against 2.5: the mean of the differences 12.5, std 4.08, t_{0.975, 3} = 3.182
    half = 3.182446 * np.std([10, 15, 20, 15], ddof=1) / 2
    assert comparison.test.mean == pytest.approx(0.125)
    assert verdict(comparison, measure, 1).startswith(
        f"foster is better than der by 12.5 points of PD [{12.5 - half:.1f}, {12.5 + half:.1f}] (paired t, p = 0.009, "
    )


def test_undecided_comparisons_name_the_number_of_further_seeds(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    write(write_trial_to, tmp_path / "run", "ede-0000000a", {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.6})
    write(write_trial_to, tmp_path / "run", "simplecil-0000000b", {0: 0.5, 1: 0.55, 2: 0.55, 3: 0.65})
    (comparison,) = compare(compared_methods([Run.load(tmp_path / "run")]), AA)
    # differences 0, 0.05, 0.15, -0.05: mean 0.0375, std 0.0854, d_z 0.44
    needed = seeds_needed(0.0375 / float(np.std([0, 0.05, 0.15, -0.05], ddof=1)))
    assert needed is not None and comparison.more_seeds == needed - 4 and not comparison.decided
    text = verdict(comparison, AA, 1)
    assert text.startswith("Not decided: ede is ahead of simplecil by 3.8 points of AA [")
    assert text.endswith(f"about {needed - 4} more seeds would be needed for a difference of this size.")


def test_verdicts_without_spread_or_difference(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    for name, shift in (("a-00000001", 0.0), ("b-00000002", 0.0), ("c-00000003", 0.1)):
        write(write_trial_to, tmp_path / "run", name, {0: 0.5 + shift, 1: 0.6 + shift, 2: 0.7 + shift})
    comparisons = {(one.first, one.second): one for one in compare(compared_methods([Run.load(tmp_path / "run")]), AA)}
    assert verdict(comparisons["a", "b"], AA, 3) == "a and b have the same AA with each of 3 seeds."
    assert verdict(comparisons["a", "c"], AA, 3) == (
        "Not decided: c is ahead of a by 10.0 points of AA with each of 3 seeds; without spread there is no t test."
    )
    assert math.isnan(comparisons["a", "c"].p_holm) and comparisons["a", "c"].p_wilcoxon_holm == pytest.approx(0.75)


def test_holm_corrects_over_all_comparisons_made(run_dir: Path, write_trial_to: WriteTrial) -> None:
    write(write_trial_to, run_dir, "ncm-0000000c", {seed: value - 0.05 for seed, value in EDE.items() if seed != 3})
    compared = compared_methods([Run.load(run_dir)])
    pairs = {(one.first, one.second): one for one in compare(compared, AA)}
    assert list(pairs) == [("ede", "ncm"), ("ede", "simplecil"), ("ncm", "simplecil")]
    assert pairs["ede", "simplecil"].p_holm == pytest.approx(
        2 * pairs["ede", "simplecil"].test.p_t
    )  # one comparison has no spread
    assert pairs["ede", "ncm"].test.n == 9
    against = compare(compared, AA, against="simplecil")
    assert [(one.first, one.second) for one in against] == [("ede", "simplecil"), ("ncm", "simplecil")]
    with pytest.raises(EarshotError, match="against simplecl: not compared; did you mean 'simplecil'"):
        compare(compared, AA, against="simplecl")


def test_configurations_are_chosen_on_validation_and_unfinished_chains_ignored(
    tmp_path: Path, write_trial_to: WriteTrial
) -> None:
    run = tmp_path / "run"
    write(write_trial_to, run, "ede-0000000a", {0: 1.0, 1: 1.0}, val=[[0.1]])
    write(write_trial_to, run, "ede-0000000b", {0: 0.2, 1: 0.3}, val=[[0.9]])
    write(write_trial_to, run, "simplecil-0000000c", {0: 0.5, 1: 0.5, 2: 0.5})
    write_trial_to(run, "simplecil-0000000c", 3, [], planned=1)
    (comparison,) = compare(compared_methods([Run.load(run)]), AA)
    assert comparison.means == pytest.approx((0.25, 0.5)) and comparison.test.n == 2


def test_methods_of_the_same_name_are_labelled_with_their_run(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    names = ("short", "a-name-that-is-much-too-long")
    for name, shift in zip(names, (0.0, 0.05), strict=True):
        write(write_trial_to, tmp_path / name, "ede-0000000a", {0: 0.5 + shift, 1: 0.6 - shift})
    write(write_trial_to, tmp_path / "short", "ncm-0000000b", {0: 0.5, 1: 0.5})
    runs = [Run.load(tmp_path / name) for name in names]
    assert [one.label for one in compared_methods(runs)] == ["ede@short", "ncm", "ede@2"]
    assert [one.label for one in compared_methods(runs, ["ede"])] == ["ede@short", "ede@2"]


def test_comparisons_need_two_seeds_in_common(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    write(write_trial_to, tmp_path / "run", "ede-0000000a", {0: 0.5, 1: 0.5})
    write(write_trial_to, tmp_path / "run", "ncm-0000000b", {1: 0.5, 2: 0.5})
    (comparison,) = compare(compared_methods([Run.load(tmp_path / "run")]), AA)
    assert verdict(comparison, AA, 1) == "ede and ncm have 1 seed in common; at least two are needed."
    write(write_trial_to, tmp_path / "other", "ede-0000000a", {0: 0.5})
    write(write_trial_to, tmp_path / "other", "ncm-0000000b", {1: 0.5})
    with pytest.raises(EarshotError, match="found none: ede has s0; ncm has s1; run all with the same --seeds"):
        compare(compared_methods([Run.load(tmp_path / "other")]), AA)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark_fingerprint": "0" * 64}, "ncm-0000000b-s0: benchmark_fingerprint: expected that of ede"),
        ({"protocol": {"name": "ffcac-50"}}, "ncm-0000000b-s0: protocol: expected that of ede, .*ffcac-50"),
    ],
)
def test_runs_of_different_data_or_protocols_are_errors(
    tmp_path: Path, write_trial_to: WriteTrial, changes: dict[str, object], message: str
) -> None:
    write(write_trial_to, tmp_path / "one", "ede-0000000a", {0: 0.5})
    write(write_trial_to, tmp_path / "other", "ncm-0000000b", {0: 0.5}, **changes)
    with pytest.raises(EarshotError, match=message):
        compared_methods([Run.load(tmp_path / "one"), Run.load(tmp_path / "other")])


def test_protocols_are_mixed_only_on_request(
    tmp_path: Path, write_trial_to: WriteTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    write(write_trial_to, one, "ede-0000000a", {0: 0.5, 1: 0.6})
    write(write_trial_to, other, "ncm-0000000b", {0: 0.4, 1: 0.3}, protocol={"name": "x", "way": 2, "shot": 1})
    hashes = [Run.load(run).protocol_hashes[0] for run in (one, other)]
    assert main([str(one), str(other)]) == 2
    error = capsys.readouterr().err
    assert "or show them together with --mixed (different: protocol.shot, protocol.base_shot; protocol" in error
    assert f"protocol {hashes[0]} of {one}, {hashes[1]} of {other})" in error
    assert main([str(one), str(other), "--mixed"]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"^ede +ncm +{hashes[0]} / {hashes[1]} ", printed, re.M)
    assert f"protocols {', '.join(sorted(hashes))}: a difference between rows of two protocols is not" in printed
    assert main([str(one), str(other), "--mixed", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [method["protocol"] for method in result["contenders"]] == hashes
    assert result["protocols"] == sorted(hashes)
    (row,) = result["comparisons"]
    assert not row["tested"] and not row["decided"] and row["p_holm"] is None
    assert row["words"].startswith(f"No verdict: ede ({hashes[0]}) and ncm ({hashes[1]}) are of different protocols; ")
    assert any("not that of the methods alone" in note for note in result["notes"])


def test_pairs_of_two_protocols_are_no_part_of_the_family(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    values = {0: 0.5, 1: 0.6, 2: 0.55}
    write(write_trial_to, one, "ede-0000000a", values)
    write(write_trial_to, one, "ncm-0000000b", {0: 0.45, 1: 0.5, 2: 0.4})
    write(write_trial_to, other, "slda-0000000c", values, protocol={"name": "x", "way": 2, "shot": 1})
    alone = compare(compared_methods([Run.load(one)]), MEASURES["aa"])
    mixed = compare(compared_methods([Run.load(one), Run.load(other)], mixed=True), MEASURES["aa"], against="ncm")
    assert [(row.first, row.tested) for row in mixed] == [("ede", True), ("slda", False)]
    assert mixed[0].p_holm == alone[0].p_holm


def test_protocols_that_differ_in_name_only_are_compared(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    write(write_trial_to, tmp_path / "one", "ede-0000000a", {0: 0.5})
    write(write_trial_to, tmp_path / "other", "ncm-0000000b", {0: 0.4}, protocol={"name": "free", "way": 2})
    compared = compared_methods([Run.load(tmp_path / "one"), Run.load(tmp_path / "other")])
    assert len({method.protocol for method in compared}) == 1


def test_the_command_prints_table_choices_and_verdicts(run_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.compare", str(run_dir), "--metric", "final"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^ede +simplecil +10 +68\.5 +60\.5 +8\.0 +\d\.\d to \d\d?\.\d ", done.stdout, re.M)
    assert f"\nprotocol {Run.load(run_dir).protocol_hashes[0]}\n" in done.stdout
    assert f"ede: ede-0000000a of {run_dir}, prototype head" in done.stdout
    assert "\nede is better than simplecil by 8.0 points of final [" in done.stdout and "claim" not in done.stdout


def test_the_table_fits_into_the_terminal(run_dir: Path) -> None:
    comparisons = compare(compared_methods([Run.load(run_dir)]), AA)
    for width, last in ((140, "r"), (80, "Holm (t)")):
        console = Console(file=io.StringIO(), width=width)
        console.print(comparison_table(comparisons, AA, width))
        assert isinstance(console.file, io.StringIO)
        lines = console.file.getvalue().splitlines()
        assert len(lines) == 3 and lines[1].rstrip().endswith(last) and "…" not in lines[1] + lines[2]


def test_json_has_null_for_undefined_values(
    run_dir: Path, capsys: pytest.CaptureFixture[str], write_trial_to: WriteTrial
) -> None:
    write(write_trial_to, run_dir, "ncm-0000000c", {0: 0.5})
    assert main([str(run_dir), "--json", "--against", "ede"]) == 0
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [one["label"] for one in result["contenders"]] == ["ede", "ncm", "simplecil"]
    first, second = result["comparisons"]
    assert first["test"]["n"] == 1 and first["test"]["p_t"] is None and first["decided"] is False
    assert second["test"]["mean"] == pytest.approx(-0.08) and second["decided"] is True
    assert second["words"].startswith("ede is better than simplecil by 8.0 points of AA")
    assert result["notes"] == ["A claim needs at least 10 seeds; the smallest number here is 1."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "ede"], "expected at least two methods to compare, found ede"),
        (["--method", "edee", "ncm"], "method edee: not in .*; did you mean 'ede'?"),
        (["--head", "linear"], "head linear: ede has no such head; expected one of prototype"),
        (["run"], "expected different runs, found one twice"),
    ],
)
def test_command_line_errors(
    run_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    words = [str(run_dir.parent / word) if word == "run" else word for word in arguments]
    assert main([str(run_dir), *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and re.match(f"error: .*{message}", captured.err)


def test_a_file_that_cannot_be_read_is_one_line(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run_dir / "trials" / "ede-0000000a-s99" / "trial.json"
    record.mkdir(parents=True)
    assert main([str(run_dir)]) == 2
    assert capsys.readouterr() == ("", f"error: {record}: Is a directory\n")


def test_runs_are_found_by_name(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--runs", str(run_dir.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["contenders"][0]["run"] == str(run_dir)
