"""A benchmark behind a URI: a real S3 server, accessed over HTTP by the driver and by Ray's workers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from datasets.benchmark.protocol import Protocol
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.cluster.session import start_ray
from orchestrator.preparation.pipeline import prepare
from orchestrator.prepare import main
from tests.support.object_store import empty_bucket
from trainables.chain_config import ChainConfig
from trainables.session_chain import Chain

DEMO = {"clips_per_class": 5, "seconds": 0.25, "classes": 6}
FLAGS = ["--clips-per-class=5", "--seconds=0.25", "--classes=6"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of an empty bucket on a new server."""
    with empty_bucket("bench") as uri, start_ray(cpus=2):  # its workers inherit the environment
        yield uri


def test_a_benchmark_on_s3_equals_one_on_disk(bucket: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    uri = f"{bucket}/data/demo"
    assert main(["demo", f"--out={uri}", *FLAGS]) == 0
    assert uri in capfd.readouterr().out
    local = prepare("demo", None, tmp_path / "demo", DEMO)
    shards, here = Shards(uri), Shards(tmp_path / "demo")
    shards.verify()
    assert shards.manifest.fingerprint == local.fingerprint and shards.table.clip_ids == here.table.clip_ids
    assert np.array_equal(shards.audio([29, 0, 7]), here.audio([29, 0, 7]))
    assert Location.of(uri).files() == [
        ".prepare.lock",
        "README.md",
        "croissant.json",
        "manifest.json",
        "rejected.csv",
        "shards",
    ]
    assert main(["demo", f"--out={uri}", *FLAGS]) == 0
    assert "nothing to do" in capfd.readouterr().err


def test_an_interrupted_run_resumes_from_its_shards(bucket: str) -> None:
    uri = f"{bucket}/resumed"
    first = prepare("demo", None, uri, DEMO)
    place = Location.of(uri)
    (place / "manifest.json").remove()
    (place / "shards/00002.parquet").remove()
    assert (place / "manifest.json").size() is None and "00002.parquet" not in (place / "shards").files()
    (place / "shards/00004.parquet").write((place / "shards/00004.parquet").read_bytes()[:-100])  # half an upload
    kept = (place / "shards/00001.parquet").digest()
    second = prepare("demo", None, uri, DEMO)
    assert second.fingerprint == first.fingerprint and (place / "shards/00001.parquet").digest() == kept
    Shards(uri).verify()


def test_a_mix_of_s3_and_disk(bucket: str, tmp_path: Path) -> None:
    prepare("demo", None, f"{bucket}/one", DEMO)
    prepare("demo", None, tmp_path / "two", {**DEMO, "sample_rate": 8000})
    manifest = prepare("mix", None, tmp_path / "mix", {"of": (f"{bucket}/one", str(tmp_path / "two"))})
    assert len(manifest.classes) == 12 and manifest.sample_rate == 8000 and manifest.clips.total == 60
    assert str(manifest.settings).count("s3://") == 0


def test_a_chain_reads_clips_from_s3(bucket: str, tmp_path: Path) -> None:
    prepare("demo", None, f"{bucket}/chain", DEMO)
    chain = Chain(
        ChainConfig(
            benchmark=f"{bucket}/chain",
            method="mfcc-ncm",
            protocol=Protocol(base=4, way=2, shot=1),
            store=tmp_path / "s",
        ),
        tmp_path / "trial",
    )
    while not chain.done:
        chain.step()
    assert chain.record.status == "finished" and len(chain.record.sessions) == 2


def test_foreign_folders_and_missing_buckets_are_errors(bucket: str) -> None:
    (Location.of(bucket) / "mine/shards/00000.parquet").write(b"text")  # not a shard, despite its name
    with pytest.raises(EarshotError, match="s3://bench/mine: expected an empty folder or a benchmark"):
        prepare("demo", None, f"{bucket}/mine", DEMO)
    with pytest.raises(EarshotError, match=r"s3://nosuch/x.*NoSuchBucket|s3://nosuch/x.*not exist"):
        prepare("demo", None, "s3://nosuch/x", DEMO)
