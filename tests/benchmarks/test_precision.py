"""What 16 bits change: the table says what the chains hold."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.ede_prototypes import EPOCHS, ROWS
from benchmarks.precision import HEADS, SETTINGS, average_accuracy, scored
from datasets.benchmark.protocol import Protocol
from orchestrator.results.run import Run
from trainables.chain_config import ChainConfig
from trainables.session_chain import Chain

PROTOCOL = Protocol(base=2, way=2, shot=3, class_order="seeded")


def test_average_accuracy_by_hand() -> None:
    """Session 0: 1 of 2; session 1: 1 of 4; AA = 37.5."""
    rows = np.array([[0, 1, 1], [0, 2, 1], [1, 1, 1], [1, 2, 3], [1, 3, 1], [1, 3, 2]])
    assert average_accuracy(rows) == pytest.approx(37.5)


def test_what_16_bits_change_is_shown_for_ede_as_published(tones: Path, tmp_path: Path) -> None:
    assert {**EPOCHS, **ROWS["as published"]} == SETTINGS
    config = ChainConfig(
        benchmark=str(tones),
        method="ede",
        settings={**SETTINGS, "base_epochs": 1, "incremental_epochs": 1},
        protocol=PROTOCOL,
        store=tmp_path / "store",
    )
    rows = scored(Chain(config, tmp_path / "run" / "trials" / config.trial))
    chains = Run.load(tmp_path / "run").chains.set_index(["head", "split"])["aa"]
    assert tuple(rows) == HEADS
    for head in HEADS:
        assert average_accuracy(rows[head]) == pytest.approx(100 * chains[head, "test"])
