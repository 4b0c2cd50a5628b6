"""A distribution with entry points, in processes of its own: lists, completion, a dry run, a chain, broken ones."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.outside_code import PAGE, write_distribution, write_examples
from tests.support.sweep_processes import PROTOCOL
from trainables.records import TrialRecord

ROOT = PAGE.parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and the entry points of docs/extending.md, and a distribution that is broken."""
    folder = tmp_path_factory.mktemp("site")
    package = write_examples(folder / "mypackage")
    (package / "__init__.py").write_text("")
    (package / "space.yaml").write_text("# Powers of the distance.\nmethods: {mine: {power: {choice: [1.0, 2.0]}}}\n")
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    write_distribution(folder, "mypackage", tomllib.loads(block)["project"]["entry-points"])
    broken = {"earshot.methods": {"broken": "mypackage.nothing:Learner", "slda": "mypackage.mymethod:MyLearner"}}
    write_distribution(folder, "broken-tools", broken)
    return folder


def earshot(site: Path, *words: str, status: int = 0) -> str:
    """Runs a command with the distributions installed; its standard output, or error."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    command = [sys.executable, "-m", "orchestrator", *words]
    done = subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.mark.parametrize(
    ("command", "column", "name", "text"),
    [
        ("methods", "method", "mine", "distance to class means (from mypackage)"),
        ("corpora", "corpus", "my-corpus", "one WAV file of 16 kHz per clip, in one folder per class (from mypackage)"),
        ("backbones", "backbone", "my-encoder", "mypackage.encoder:encoder (from mypackage)"),
        ("spaces", "space", "my-space", "Powers of the distance (from mypackage)"),
    ],
)
def test_lists(command: str, column: str, name: str, text: str, site: Path) -> None:
    rows = {row[column]: row for row in json.loads(earshot(site, command, "--json"))}
    assert rows[name]["what it is"] == text
    if command == "methods":
        reason = "broken: method 'mypackage.nothing:Learner': no module mypackage.nothing on"
        assert rows["broken"]["what it is"].startswith(reason)


def test_completion_knows_the_names(site: Path) -> None:
    script = earshot(site, "completion", "bash")
    assert all(name in script for name in ("mine", "my-encoder", "my-space"))


def test_a_dry_run_and_a_chain(site: Path, tones: Path) -> None:
    benchmark = ["--benchmark", str(tones), *PROTOCOL, "--seeds", "1"]
    output = earshot(site, "sweep", "--method", "mine", "--space", "my-space", *benchmark, "--dry-run")
    assert re.search(r"^mine +2 ", output, re.MULTILINE)
    protocol = "{name: free, base: 2, way: 2, shot: 3}"
    settings = f"benchmark: {tones}\nmethod: mine\nbackbone: my-encoder\nprotocol: {protocol}\n"
    (site / "chain.yaml").write_text(settings)
    earshot(site, "chain", "--config", "chain.yaml", "--out", "trial")
    record = TrialRecord.load(site / "trial")
    assert record.method_code is not None and record.method_code.name == "mypackage.mymethod:MyLearner"
    assert (record.status, record.backbone) == ("finished", "mypackage.encoder:encoder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", "--method", "broken"], "no module mypackage.nothing on"),
        (["sweep", "--method", "slda"], "and the installed distribution broken-tools adds another"),
        (["sweep", "--method", "minee"], "method 'minee': not known; did you mean 'mine'?"),
        (["sweep", "--space", "my-spac"], "did you mean 'my-space'?"),
        (["prepare", "my-corpu", "--out", "out"], "my-corpus"),
    ],
    ids=" ".join,
)
def test_errors_are_one_line(words: list[str], message: str, site: Path) -> None:
    error = earshot(site, *words, status=2)
    assert message in error and not (site / "out").exists()
    assert error.startswith("error: ") and error.count("\n") == 1
