"""Embeddings from the store of a run, without a network."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.reporting.html import embedding_map
from orchestrator.reporting.html.payload import payload
from orchestrator.results.benchmark import ReadBenchmark
from orchestrator.results.embeddings import stored_embeddings
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.chain_runs import write_run
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import BackboneSpec, ClipFormat
from trainables.store.layout import feature_address


@pytest.fixture
def run(tones: Path, tmp_path: Path) -> Run:
    """A chain of simplecil, which reads embeddings, and one of mfcc-ncm, which does not."""
    write_run(tmp_path, tones, "simplecil")
    write_run(tmp_path, tones, "mfcc-ncm")
    return Run.load(tmp_path / "it")


def test_the_address_of_an_array_is_that_of_earlier_versions() -> None:
    values = {
        "weights": "w",
        "frontend": "kaldi",
        "data": "d",
        "clips": (3, 1),
        "precision": "float32",
        "device": "cpu",
    }
    described = json.dumps({"schema": 2, "kind": "pooled float32", **values}, sort_keys=True)
    assert feature_address("pooled float32", **values) == hashlib.sha256(described.encode()).hexdigest()  # type: ignore[arg-type]


def test_embeddings_are_those_of_the_network(run: Run, tones: Path, tmp_path: Path) -> None:
    record = next(record for record in run.trials.values() if record.method == "simplecil")
    benchmark = ReadBenchmark.of(run, record)
    found = stored_embeddings(run, record, benchmark)
    assert found is not None
    shards = benchmark.shards
    assert sorted(found.positions) == sorted(shards.select(splits=["test"]))
    backbone = load_backbone(BackboneSpec(record.backbone), ClipFormat(shards.sample_rate, shards.manifest.num_samples))
    with torch.inference_mode():
        expected = backbone.embed(backbone.frontend(torch.from_numpy(shards.audio(found.positions)))).numpy()
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
    assert set(found.prototypes) == set(range(6))

    others = [record for record in run.trials.values() if record.method == "mfcc-ncm"]
    assert stored_embeddings(run, others[0], benchmark) is None

    data = payload(run, Estimates(run))["map"]
    assert set(data["methods"]) == {"simplecil"} and len(data["maps"]) == 1
    drawn = data["maps"][0]
    # by hand: the components of the covariance
    centred = found.values.astype(float) - found.values.mean(axis=0)
    shares = np.sort(np.linalg.eigvalsh(np.cov(centred.T)))[::-1]
    np.testing.assert_allclose(drawn["explained"], shares[:2] / shares.sum(), atol=1e-3)
    points = np.array([drawn["x"], drawn["y"]], float)
    distance = np.linalg.norm(points[:, :, None] - points[:, None], axis=0)
    projected = centred @ np.linalg.eigh(np.cov(centred.T))[1][:, -2:]
    scale = np.linalg.norm(projected[:, None] - projected[None], axis=2)
    np.testing.assert_allclose(distance / distance.max(), scale / scale.max(), atol=0.01)
    assert "map" not in payload(run, Estimates(run), progress={})

    damaged = sorted((tmp_path / "store" / "features").rglob("*.npy"))
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
    assert stored_embeddings(run, record, benchmark) is None
    shutil.rmtree(tmp_path / "store")
    assert stored_embeddings(run, record, benchmark) is None
    assert "map" not in payload(run, Estimates(run))


def test_a_map_has_a_bounded_number_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_map, "POINTS", 5)
    labels = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], np.int32)
    chosen = embedding_map._sample(labels)
    assert labels[chosen].tolist() == [0, 0, 1, 1]
