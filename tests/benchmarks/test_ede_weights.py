"""Weights of EDE's two embeddings: half is EDE, one is SimpleCIL."""

from pathlib import Path

import pytest

from benchmarks.ede_weights import WEIGHTS, accuracies, rows
from benchmarks.table_chains import Unit, run_chain
from datasets.benchmark.protocol import Protocol
from trainables.chain_inputs import open_features
from trainables.metrics import average_accuracy
from trainables.session_chain import Chain

PROTOCOL = Protocol(base=2, way=2, shot=3, class_order="seeded")
BRIEF = {"base_epochs": 2, "incremental_epochs": 2, "base_lr": 0.05, "incremental_lr": 0.05}


def test_half_is_ede_and_one_is_simplecil(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "tones").symlink_to(tones)
    found = {}
    for method, settings in (("ede", BRIEF), ("simplecil", {})):
        unit = Unit(tmp_path, "earshot-tiny", "tones", method, PROTOCOL, "random-tiny")
        run_chain(unit, settings, 0)
        scores = unit.scores(settings, 0)
        assert scores is not None
        found[method] = {split: 100 * average_accuracy(scores[split].micro) for split in ("val", "test")}
    unit = Unit(tmp_path, "earshot-tiny", "tones", "ede", PROTOCOL, "random-tiny")
    config = unit.config(BRIEF, 0)
    weighted = accuracies(Chain(config, tmp_path / "chain"), open_features(config)[0])
    for split, name in (("val", "validation"), ("test", "test")):
        assert weighted[name, 0.5] == pytest.approx(found["ede"][split])
        assert weighted[name, 1.0] == pytest.approx(found["simplecil"][split])


def test_differences_are_paired_by_seed() -> None:
    chains = [
        {(split, weight): base + (weight == 0.5) for split in ("validation", "test") for weight in (*WEIGHTS, 1.0)}
        for base in (10.0, 90.0)
    ]
    lines = {line[2]: line[3:] for line in rows("c", chains)}
    assert lines["0.5"] == ["+1.0 (1.0 to 1.0)"] * 2 and lines["0.8"] == ["+0.0 (0.0 to 0.0)"] * 2
