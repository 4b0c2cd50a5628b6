"""Permutations are those of PyTorch."""

import pytest
import torch

from datasets.utils.permutation import permutation


@pytest.mark.parametrize("seed", [0, 1, 1993, 2**31, 2**32 - 1, 2**32 + 7, 2**63 - 1])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 25, 500, 30_000])
def test_it_is_that_of_pytorch(count: int, seed: int) -> None:
    assert permutation(count, seed) == torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
