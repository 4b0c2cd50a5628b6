"""Our EDE compared with the released EDE: real speech, the golden AST, five seeds, three heads."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.parity import measured_accuracies, released_accuracies, table


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_heads_agree_with_the_released_ede(shared: Path, tmp_path: Path) -> None:
    """Every session's mean is within two standard deviations of the release's seeds."""
    measured = measured_accuracies(shared, tmp_path, Console())
    reference = released_accuracies(shared)
    assert set(measured) == set(reference) == {"prototype", "linear", "nme"}
    print(table(reference, measured))
    for head, values in reference.items():
        accuracies = measured[head]
        assert accuracies.shape == (5, 6)
        deviation = (accuracies.mean(axis=0) - np.array(values["mean"])) / np.array(values["std_ddof1"])
        assert np.abs(deviation).max() <= 2, f"{head}: {deviation.round(2)} standard deviations"
