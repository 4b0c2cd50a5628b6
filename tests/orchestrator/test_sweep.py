"""Sweeps with real Ray: determinism, sharing, failures, and one line per invalid input."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from orchestrator.sweep import main
from orchestrator.tuning.arguments import parse
from tests.support.sweep_processes import PROTOCOL, command, predictions, records, run


@pytest.fixture(scope="module")
def undisturbed(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A sweep of 3 configurations x 2 seeds with two workers; its runs folder and its output."""
    runs = tmp_path_factory.mktemp("undisturbed")
    return runs, run(command(tones, runs, "--workers", "2"))


def test_a_sweep_ends_with_a_table_and_a_report(undisturbed: tuple[Path, str]) -> None:
    runs, printed = undisturbed
    assert len(records(runs)) == 6
    assert {record.status for record in records(runs)} == {"finished"}
    assert "ede" in printed
    assert "simplecil" in printed
    report = runs / "run" / "report" / "report.html"
    assert str(report) in printed
    assert report.stat().st_size > 500
    (protocol,) = {record.protocol_hash for record in records(runs)}
    assert f"\nprotocol {protocol}" in printed
    assert json.loads((runs / "run" / "sweep.json").read_text())["protocol_hash"] == protocol


def test_trials_share_their_base_session(undisturbed: tuple[Path, str]) -> None:
    base = {record.sessions[0].stage for record in records(undisturbed[0]) if record.method == "ede"}
    later = {record.sessions[1].stage for record in records(undisturbed[0]) if record.method == "ede"}
    assert (len(base), len(later)) == (2, 4)  # one base session per seed, two learning rates after it


def test_a_run_folder_belongs_to_one_sweep(tones: Path, undisturbed: tuple[Path, str]) -> None:
    runs = undisturbed[0]
    before = predictions(runs)
    printed = run([*command(tones, runs), "--shot", "2"], expect=2)
    assert "holds another sweep (protocol: " in printed
    assert "choose another --name" in printed
    assert predictions(runs) == before


def test_tensorboard_has_a_file_per_trial(undisturbed: tuple[Path, str]) -> None:
    events = list((undisturbed[0] / "run" / "tensorboard").rglob("events.out.tfevents*"))
    assert len(events) == 6


@pytest.mark.slow
def test_one_worker_gives_the_same_bytes_as_two(tones: Path, tmp_path: Path, undisturbed: tuple[Path, str]) -> None:
    run(command(tones, tmp_path / "runs", "--workers", "1"))
    expected = predictions(undisturbed[0])
    assert len(expected) == 6 * 3
    assert predictions(tmp_path / "runs") == expected


def test_the_same_sweep_again_computes_nothing(tones: Path, undisturbed: tuple[Path, str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(undisturbed[0], runs)
    before = predictions(runs)
    printed = run(command(tones, runs, "--workers", "2"))
    assert "0 sessions computed, 18 cached" in printed
    assert predictions(runs) == before


def test_a_failed_trial_has_a_reason_and_the_others_finish(tones: Path, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(
        "methods: {ede: {base_epochs: 2, incremental_epochs: 30, incremental_lr: {choice: [0.001, 1.0e+12]}}}"
    )
    arguments = ["--benchmark", str(tones), "--space", str(space), "--runs", str(tmp_path), "--name", "run"]
    printed = run([sys.executable, "-m", "orchestrator.sweep", *arguments, "--seeds", "1", *PROTOCOL], expect=1)
    assert "lower the learning rate" in printed
    assert "1 trial failed" in printed
    statuses = {record.settings["incremental_lr"]: record.status for record in records(tmp_path)}
    assert statuses == {0.001: "finished", 1e12: "failed"}
    failed = next(record for record in records(tmp_path) if record.status == "failed")
    assert len(failed.sessions) == 1  # the completed session is saved
    assert failed.error is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark", "nowhere"], "benchmark 'nowhere': no manifest.json"),
        (["--benchmark", "../../etc"], "benchmark '../../etc': no manifest.json"),
        (["--method", "edee"], "method 'edee': not known; did you mean 'ede'?"),
        (["--space", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--protocol", "ffcac-26"], "protocol: 'ffcac-26' is not known; did you mean 'ffcac-25'?"),
        (["--shot", "many"], "protocol.shot"),
        (["--seeds", "0"], "seeds: must be at least 1, found '0'"),
        (["--trials", "-1"], "trials: input should be greater than or equal to 1"),
        (["--name", "../escape"], "name"),
        (["--method", "ede", "--method", "ede"], "method: names one twice"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)
def test_an_invalid_command_line_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--runs", str(tmp_path), "--data", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_protocol_that_does_not_fit_the_benchmark(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--benchmark", str(tones), "--protocol", "ffcac-25", "--runs", str(tmp_path)]) == 2
    assert "needs 25 classes" in capsys.readouterr().err


def test_a_method_that_does_not_fit_the_protocol(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where only one of the values in a search space does not fit."""
    space = tmp_path / "space.yaml"
    space.write_text("methods: {icarl: {exemplars_per_class: {choice: [1, 3]}}}")
    arguments = ["--benchmark", str(tones), "--space", str(space), *PROTOCOL, "--runs", str(tmp_path / "runs")]
    assert main([*arguments, "--exemplars", "1"]) == 2
    assert "method icarl: rehearses 3 clip(s) of every old class, the protocol allows 1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_cannot_be_written(tones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--benchmark", str(tones), *PROTOCOL, "--runs", "/proc/nowhere"]) == 2
    assert capsys.readouterr().err == "error: /proc/nowhere: No such file or directory\n"


@pytest.mark.slow
def test_a_corrupt_shard_is_named(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tones, broken)
    shard = broken / "shards" / "00002.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    assert main(["--benchmark", str(broken), *PROTOCOL, "--runs", str(tmp_path / "runs")]) == 1
    failures = [line for line in capsys.readouterr().out.splitlines() if "  failed  " in line]
    assert len(failures) == 12  # found when the page is read, so every trial that needs the class ends with the reason
    reason = "00002.parquet: not readable (could not verify page integrity"
    assert all(reason in line for line in failures)


def test_resources_that_the_cluster_does_not_have(tones: Path, tmp_path: Path) -> None:
    printed = run(command(tones, tmp_path / "runs", "--gpus-per-trial", "64", "--device", "cpu"), expect=2)
    assert "a trial requests 64 GPU, the cluster has" in printed


def test_configuration_file_and_command_line(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("benchmark: data/ls100\nprotocol: {name: ffcac-50, shot: 1}\nseeds: 5\nsearch: random\n")
    config = parse(["--config", str(path), "--seeds", "2", "--class-order", "seeded"])
    assert config.benchmark == "data/ls100"
    assert len(config.seeds) == 2
    assert config.search == "random"
    assert (config.protocol.shot, config.protocol.sessions, config.protocol.class_order) == (1, 10, "seeded")
    assert config.protocol.name == "ffcac-50-changed"  # one shot is another protocol
    assert parse(["--class-order", "3,1,2"]).protocol.class_order == (3, 1, 2)
    assert parse(["--class-order", "seeded"]).protocol.name == "ffcac-25"


def test_an_unknown_key_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("benchmrk: demo\n")
    assert main(["--config", str(path)]) == 2
    assert f"{path}: no key 'benchmrk'; did you mean 'benchmark'?" in capsys.readouterr().err


def test_the_resolved_configuration_is_stored(undisturbed: tuple[Path, str]) -> None:
    stored = json.loads((undisturbed[0] / "run" / "sweep.json").read_text())["what"]
    assert stored["protocol"]["base"] == 2
    assert stored["backbone"] == "earshot-tiny"
    assert [space["method"] for space in stored["spaces"]] == ["ede", "simplecil"]
