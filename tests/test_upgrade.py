"""A benchmark, a run folder and a store that version 0.1.0 wrote (commit 381611e) are read and continued by this one.

`fixtures/version-0.1.0.tar.xz` holds `data/chirps`, a small backbone, a search space and `runs/` with the run `before`:
SimpleCIL, MFCC-NCM and two configurations of EDE, two seeds, three sessions. All but three embeddings
were removed for their size. Paths in it begin with `/before`.

MFCC-NCM and EDE have new versions since then: their stored results stay as they are until the sweep is continued, which
computes them again. The settings of EDE's new version that are those of its old one give the old predictions.
"""

import csv
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.benchmark.protocol import Protocol
from orchestrator import compare, export, report, stages
from orchestrator.results.run import Run
from trainables.chain_config import ChainConfig
from trainables.records import PREDICTIONS, SeedTriple
from trainables.session_chain import Chain

ROOT = Path(__file__).parents[1]
FIXTURE = ROOT / "tests" / "fixtures" / "version-0.1.0.tar.xz"
ACCURACY = {"simplecil": "0.939815", "mfcc-ncm": "0.944444", "ede": "0.930556"}


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The unpacked folder, which is also the working directory."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    for path in [tmp_path / "runs/before/sweep.json", *tmp_path.glob("runs/before/trials/*/trial.json")]:
        path.write_text(path.read_text(encoding="utf-8").replace('"/before/', f'"{tmp_path}/'), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predictions(run: Path) -> dict[str, pa.Table]:
    """Every file of predictions of a run."""
    return {str(path.relative_to(run)): pq.read_table(path) for path in sorted(run.glob("trials/*/session-*.parquet"))}


def resume(folder: Path) -> str:
    """What `earshot sweep --resume before` prints."""
    command = [sys.executable, "-m", "orchestrator.sweep", "--resume", "before"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_report_and_compare(before: Path) -> None:
    assert report.main(["before"]) == 0
    with (before / "runs/before/report/methods.csv").open(newline="", encoding="utf-8") as file:
        assert {row["method"]: row["aa_mean"] for row in csv.DictReader(file)} == ACCURACY
    assert (before / "runs/before/report/report.html").is_file()
    assert compare.main(["before"]) == 0
    hashes = Run.load("runs/before").protocol_hashes  # computed, as its records have none
    chain = Chain(
        ChainConfig(
            benchmark="data/chirps", method="mfcc-ncm", protocol=Protocol(base=2, way=2, shot=2), store="new-store"
        ),
        before / "again",
    )
    assert hashes == (chain.protocol_hash,)


def test_the_store(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stages.main(["verify", "before"]) == 0
    assert "22 stages (22 without a checksum of their notes)" in capsys.readouterr().err
    assert stages.main(["ls", "before"]) == 0
    assert "22 stages" in capsys.readouterr().out


def test_export(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main(["before", "simplecil-cde03407-s0", "--out", "model"]) == 0
    assert (before / "model").is_dir()
    assert export.main(["before", "ede-ac287640-s1", "--out", "old"]) == 2
    assert "computed with version 2 of ede, this is version 3; run the sweep again" in capsys.readouterr().err


def unchanged(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Those of methods that compute what they did, without the scores that version 0.1 did not keep."""
    return {name: table.select(PREDICTIONS.names) for name, table in tables.items() if "simplecil" in name}


def test_ede_with_the_settings_of_its_old_version_gives_the_old_predictions(before: Path) -> None:
    trial = before / "runs/before/trials/ede-ac287640-s1"
    config = ChainConfig(
        benchmark="data/chirps",
        method="ede",
        settings={"base_epochs": 2, "incremental_epochs": 2, "prototypes": "exemplars", "combine": "concatenate"},
        protocol=Protocol(base=2, way=2, shot=2),
        seeds=SeedTriple(order=1, support=1, initialisation=1),
        backbone="backbone",
        store="new-store",
    )
    chain = Chain(config, before / "again")
    while not chain.done:
        name = chain.step().predictions
        again = pq.read_table(before / "again" / name)
        assert again.select(PREDICTIONS.names) == pq.read_table(trial / name)


def test_a_resumed_sweep_finds_every_session(before: Path) -> None:
    expected = predictions(before / "runs/before")
    assert "8 trials, 16 sessions computed, 8 cached" in resume(before)
    after = predictions(before / "runs/before")
    assert unchanged(after) == unchanged(expected)
    assert after.keys() == expected.keys()


@pytest.mark.slow
def test_sessions_that_are_missing_are_computed_to_the_same_predictions(before: Path) -> None:
    """Without any stage everything is computed again, which holds every number of two methods."""
    expected = predictions(before / "runs/before")
    assert stages.main(["gc", "before", "--max-size", "1B", "--keep-used", "1s"]) == 0
    for path in before.glob("runs/before/trials/*/session-*.parquet"):
        path.unlink()
    resumed = resume(before)
    assert "8 trials, 22 sessions computed, 2 cached" in resumed
    assert unchanged(predictions(before / "runs/before")) == unchanged(expected)
