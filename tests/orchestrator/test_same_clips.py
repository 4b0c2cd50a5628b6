"""Two laboratories prepare copies of one corpus: their results belong into one table."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from datasets.benchmark.manifest import Manifest
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.exporting.export import Overrides, export
from orchestrator.exporting.inputs import find_benchmark
from orchestrator.preparation.pipeline import prepare
from orchestrator.results.ceilings import ceilings, save_shared_clips
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import seeds, write_run
from tests.support.prepare_processes import OPTIONS, speech
from trainables.records import TrialRecord


class Laboratories(NamedTuple):
    here: Path
    there: Path
    runs: Path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, ray_up: object) -> Laboratories:
    """The same recordings, whose copies have other modification times; a run of each."""
    root = tmp_path_factory.mktemp("laboratories")
    source = speech(root / "speech", speakers=6)
    prepare("librispeech", source, root / "here", OPTIONS)
    shutil.copytree(source, root / "copy")
    for number, path in enumerate(sorted((root / "copy").rglob("*.flac"))):
        os.utime(path, (number, number))
    prepare("librispeech", root / "copy", root / "there", OPTIONS)
    for seed, name in enumerate(("here", "there")):
        write_run(root / "runs", root / name, "mfcc-ncm", name, seeds=seeds(seed))
    return Laboratories(root / "here", root / "there", root / "runs")


def record(runs: Path, name: str) -> TrialRecord:
    (found,) = Run.load(runs / name).trials.values()
    return found


def test_modification_times_are_not_part_of_the_clips(both: Laboratories) -> None:
    here, there = Manifest.load(both.here), Manifest.load(both.there)
    assert here.content_digest == there.content_digest and here.content_digest != here.fingerprint
    assert here.fingerprint != there.fingerprint  # stored results of one are not looked up for the other
    assert record(both.runs, "here").protocol_hash == record(both.runs, "there").protocol_hash


def test_their_runs_are_one_table(both: Laboratories) -> None:
    merged = Run.merged([Run.load(both.runs / name) for name in ("here", "there")])
    assert len(merged.trials) == 2 and len(merged.protocol_hashes) == 1 and len(merged.configurations()) == 1


def test_each_can_export_the_run_of_the_other(both: Laboratories, tmp_path: Path) -> None:
    folder, overrides = RunFolder(both.runs / "here"), Overrides(benchmark=str(both.there))
    assert find_benchmark(folder, record(both.runs, "here"), str(both.there)) == str(both.there)
    assert export(folder, "best", tmp_path / "model", overrides=overrides).method == "mfcc-ncm"


def test_other_samples_are_another_benchmark(both: Laboratories, tmp_path: Path, ray_up: object) -> None:
    source = speech(tmp_path / "speech", speakers=6)
    path = source / "2/1/2-1-0000.flac"
    shutil.copyfile(source / "2/1/2-1-0001.flac", path)
    prepare("librispeech", source, tmp_path / "other", OPTIONS)
    assert Manifest.load(tmp_path / "other").content_digest != Manifest.load(both.here).content_digest
    write_run(tmp_path / "runs", tmp_path / "other", "mfcc-ncm")
    with pytest.raises(EarshotError, match="benchmark_fingerprint: expected the same for all trials"):
        Run.merged([Run.load(both.runs / "here"), Run.load(tmp_path / "runs/it")])
    with pytest.raises(EarshotError, match="expected the benchmark of the run"):
        find_benchmark(RunFolder(both.runs / "here"), record(both.runs, "here"), str(tmp_path / "other"))


def test_ceilings_of_a_table_of_both(both: Laboratories, tmp_path: Path) -> None:
    """The first run has no complete chain; what it has counted is true of the other one, too."""
    for name, benchmark, sessions in (("first", both.here, 1), ("second", both.there, None)):
        write_run(tmp_path, benchmark, "mfcc-ncm", name, sessions=sessions, seeds=seeds(sessions or 0))
        save_shared_clips(Shards(benchmark), tmp_path / name)
    assert ceilings(Run.load(tmp_path / "first")) is None
    found = ceilings(Run.merged([Run.load(tmp_path / name) for name in ("first", "second")]))
    assert found is not None and found == ceilings(Run.load(tmp_path / "second"))
