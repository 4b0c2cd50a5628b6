"""Commands start quickly: the packages that they import before they know what to do, from `python -X importtime`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.__main__ import COMMANDS
from tests.support.chain_runs import write_run
from tests.support.run_folders import trial
from tests.support.stores import publish

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchaudio", "transformers", "ray", "pandas", "scipy", "matplotlib", "optuna", "plotly"}
NOWHERE = "nowhere/at-all"
WRONG_PATHS = {
    "prepare": ["folder", "--source", NOWHERE, "--out", "{out}"],
    "audit": [NOWHERE],
    "sweep": ["--config", f"{NOWHERE}.yaml"],
    "runs": ["--runs", NOWHERE],
    "report": [NOWHERE],
    "compare": [NOWHERE],
    "cite": [NOWHERE],
    "leaderboard": ["show", NOWHERE],
    "export": [NOWHERE, "--out", "{out}"],
    "predict": [NOWHERE, "recording.wav"],
    "teach": [NOWHERE, "--class", "cat", "cat.wav", "--in-place"],
    "forget": [NOWHERE, "--class", "cat", "--in-place"],
    "stages": ["ls", NOWHERE],
    "check-method": [f"{NOWHERE}.py:MyLearner"],
    "chain": ["--config", f"{NOWHERE}.yaml", "--out", "{out}"],
    "pretrain": ["--config", f"{NOWHERE}.yaml", "--out", "{out}"],
}
WRONG_SWEEPS = {
    "method": (["--method", "simplecl"], "did you mean 'simplecil'?"),
    "space": (["--space", "tabel"], "did you mean 'table'?"),
    "protocol": (["--protocol", "ffcac25"], "did you mean 'ffcac-25'?"),
    "benchmark": (["--benchmark", NOWHERE], "no manifest.json"),
    "value": (["--seeds", "none"], "seeds"),
    "choice": (["--search", "griid"], "did you mean 'grid'?"),
    "backbone": (["--backbone", f"{NOWHERE}.py:encoder"], "no such file"),
    "method of code": (["--method", f"{NOWHERE}.py:MyLearner"], "no such file"),
    "run": (["--resume", NOWHERE], "expected a run folder"),
    "recipe": (["--recipe", "ede-ls10"], "did you mean 'ede-ls100'?"),
    "size": (["--store-size", "4XB"], "expected a size"),
}


def run(module: str, *arguments: str, status: int) -> subprocess.CompletedProcess[str]:
    """Runs a command, with the times of imports on standard error."""
    command = [sys.executable, "-X", "importtime", "-m", module, *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == status, process.stdout + process.stderr[-2000:]
    assert "Traceback" not in process.stderr, process.stderr[-2000:]
    return process


def packages(stderr: str) -> set[str]:
    """Top-level packages that were imported."""
    return {name.split(".")[0] for name in re.findall(r"^import time:.*\|\s*([\w.]+)$", stderr, re.MULTILINE)}


def imported(module: str, *arguments: str, status: int) -> set[str]:
    """Top-level packages that a command imported until it ended with `status`."""
    return packages(run(module, *arguments, status=status).stderr)


def messages(stderr: str) -> list[str]:
    """The lines that the command itself wrote."""
    return [line for line in stderr.splitlines() if not line.startswith("import time:")]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--help"], 0), (["--version"], 0), (["--no-such-option"], 2)],
    ids=lambda value: str(value),
)
def test_help_version_and_typos(command: str, arguments: list[str], status: int) -> None:
    assert imported(COMMANDS[command][0], *arguments, status=status) & HEAVY == set()


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--help"], 0), (["folder", "--help"], 0), (["--version"], 0), (["foldr"], 2)]
)
def test_prepare_does_not_import_pyarrow_before_it_needs_it(arguments: list[str], status: int) -> None:
    assert imported(COMMANDS["prepare"][0], *arguments, status=status) & {*HEAVY, "pyarrow"} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_paths(command: str, tmp_path: Path) -> None:
    arguments = [word.format(out=tmp_path / "out") for word in WRONG_PATHS[command]]
    assert imported(COMMANDS[command][0], *arguments, status=2) & HEAVY == set()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("prepare", ["folder", "--source", NOWHERE, "--out", "{out}"]),
        ("prepare", ["table", "--source", NOWHERE, "--out", "{out}"]),
        ("prepare", ["esc50", "--source", NOWHERE, "--out", "{out}"]),
        ("audit", [NOWHERE]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_wrong_folders_are_found_before_what_reads_them_is_imported(
    command: str, arguments: list[str], tmp_path: Path
) -> None:
    words = [word.format(out=tmp_path / "out") for word in arguments]
    process = run(COMMANDS[command][0], *words, status=2)
    assert packages(process.stderr) & {*HEAVY, "pyarrow", "filelock"} == set()
    (line,) = messages(process.stderr)
    assert line.startswith("error: ") and NOWHERE in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", WRONG_SWEEPS)
def test_wrong_settings_of_a_sweep(wrong: str) -> None:
    arguments, message = WRONG_SWEEPS[wrong]
    stderr = run("orchestrator.sweep", *arguments, status=2).stderr
    assert packages(stderr) & HEAVY == set()
    (line,) = messages(stderr)
    assert line.startswith("error: ") and message in line


def test_wrong_settings_of_a_sweep_in_json() -> None:
    process = run("orchestrator.sweep", "--json", "--method", "simplecl", status=2)
    assert packages(process.stderr) & HEAVY == set()
    (event,) = map(json.loads, process.stdout.splitlines())
    assert (event["event"], event["exit"]) == ("sweep_ended", 2) and "'simplecil'" in event["reason"]


def test_a_sweep_says_that_it_loads_before_it_imports_what_it_computes_with(tones: Path, tmp_path: Path) -> None:
    arguments = ["--benchmark", str(tones), "--protocol", "free", "--runs", str(tmp_path), "--method", "mfcc-ncm"]
    command = [sys.executable, "-X", "importtime", "-m", "orchestrator.sweep", *arguments, "--dry-run"]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    before, loading, after = process.stdout.partition("loading PyTorch, Ray and Optuna\n")
    assert loading and messages(before) == []
    assert packages(before) & HEAVY == set() and packages(after) >= {"torch", "ray", "optuna"}


@pytest.mark.parametrize(
    ("command", "arguments", "status"),
    [
        ("prepare", ["folder", "--help"], 0),
        ("prepare", ["demo"], 2),  # no --out
        ("prepare", ["folder", "--source", NOWHERE, "--out", "{out}", "--train", "0"], 2),
        ("prepare", ["fsc89", "--source", ".", "--out", "{out}", "--meta", NOWHERE, "--vocabulary", NOWHERE], 2),
        ("audit", ["ls100-published", "--help"], 0),
        ("audit", ["ls100-published", "--meta", NOWHERE], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_options_of_corpora(command: str, arguments: list[str], status: int, tmp_path: Path) -> None:
    words = [word.format(out=tmp_path / "out") for word in arguments]
    assert imported(COMMANDS[command][0], *words, status=status) & HEAVY == set()


def test_the_list_of_commands_and_completion() -> None:
    assert imported("orchestrator", "--help", status=0) & HEAVY == set()
    assert imported("orchestrator", "swep", status=2) & HEAVY == set()
    assert imported("orchestrator", "completion", "bash", status=0) & HEAVY == set()


def test_stages_ls_imports_only_what_lists_a_store(tmp_path: Path) -> None:
    publish(tmp_path, "ede", 0, "gh")
    process = run("orchestrator.stages", "ls", str(tmp_path), status=0)
    assert "1 stage" in process.stdout
    assert packages(process.stderr) & HEAVY == set()


@pytest.mark.parametrize("command", ["report", "compare"])
def test_report_and_compare_do_not_import_pytorch_or_ray(command: str, tmp_path: Path) -> None:
    for configuration, value in (("ede-0000000a", 0.5), ("simplecil-0000000b", 0.6)):
        for seed in range(2):
            trial(tmp_path / "run", configuration, seed, [[value], [value - 0.1 * seed, value]])
    process = run(COMMANDS[command][0], str(tmp_path / "run"), status=0)
    assert packages(process.stderr) & {"torch", "torchaudio", "transformers", "ray"} == set()
    assert {"pandas", "scipy"} <= packages(process.stderr)  # what computes was loaded


def test_a_page_with_clips_and_a_map_needs_no_pytorch(tones: Path, tmp_path: Path) -> None:
    write_run(tmp_path, tones, "simplecil", "run", backbone="random-tiny")
    process = run(COMMANDS["report"][0], str(tmp_path / "run"), status=0)
    page = (tmp_path / "run" / "report" / "report.html").read_text(encoding="utf-8")
    assert "data:audio/mpeg" in page and "explained" in page
    assert packages(process.stderr) & {"torch", "torchaudio", "transformers", "ray"} == set()
