"""The table of docs/metrics.md holds what chains store of clips of classes to come."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.unknown import HEADER, measured
from datasets.benchmark.protocol import Protocol
from orchestrator.results.run import Run


def test_the_columns_of_a_chain(tones: Path, tmp_path: Path) -> None:
    protocol = Protocol(base=2, way=2, shot=3, class_order="seeded")
    rows = measured(tones, "mfcc-ncm", 1, tmp_path, protocol)
    assert len(rows) == 2 and all(len(row) == len(HEADER) - 1 for row in rows)
    run = Run.load(tmp_path)
    chains = run.chains[run.chains["split"] == "test"]
    assert np.mean([row[0] for row in rows]) == pytest.approx(chains["unknown_auroc"].item())
    assert all(0 <= share <= 1 for row in rows for share in row)
    assert min(row[2] for row in rows) >= 0.5  # most test clips score as high as the lowest validation clip
