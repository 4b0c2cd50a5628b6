"""Data that a sweep reads of its benchmark before its first trial."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.clips import write_clips
from datasets.benchmark.manifest import FILE_NAME, Manifest, SplitCounts
from datasets.utils.location import Location
from orchestrator.sweep import main
from tests.support.object_store import empty_bucket
from tests.support.plain_shards import remove_page_checksums


def dry_run(benchmark: str | Path, runs: Path) -> int:
    """Does all that precedes the first trial."""
    protocol = ["--protocol", "free", "--base", "2", "--way", "1", "--shot", "2"]
    return main(["--benchmark", str(benchmark), "--method", "mfcc-ncm", *protocol, "--runs", str(runs), "--dry-run"])


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of about 1 MB."""
    folder = tmp_path_factory.mktemp("data") / "tones"
    write_clips(folder, 4, SplitCounts(train=40, val=10, test=10), seconds=1.0)
    return folder


@pytest.mark.parametrize("page_checksums", [True, False])
def test_a_sweep_starts_without_downloading_the_benchmark(
    page_checksums: bool, benchmark: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tones"
    shutil.copytree(benchmark, folder)
    manifest = Manifest.load(folder) if page_checksums else remove_page_checksums(folder)
    sent: Counter[str] = Counter()
    with empty_bucket("sweeps", sent) as uri:
        for file in (FILE_NAME, *(entry.file for entry in manifest.shards)):
            (Location.of(f"{uri}/tones") / file).upload(folder / file)
        assert dry_run(f"{uri}/tones", tmp_path / "runs") == 0
    for entry in manifest.shards:
        assert entry.bytes > 1_000_000
        assert (
            0 < sent[f"/sweeps/tones/{entry.file}"] < entry.bytes / 5
        )  # footers (64 KiB each time the shard is opened) and the table


def test_a_sweep_does_not_start_on_a_damaged_local_shard_without_page_checksums(
    benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tones"
    shutil.copytree(benchmark, folder)
    remove_page_checksums(folder)
    assert dry_run(folder, tmp_path / "runs") == 0
    path = folder / "shards/00003.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert dry_run(folder, tmp_path / "runs") == 2
    error = capsys.readouterr().err.strip()
    assert "00003.parquet: expected SHA-256" in error and error.endswith("prepare the benchmark again with --force")
