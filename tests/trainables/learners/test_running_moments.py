"""Moments of groups that are merged equal those of all vectors at once, in any order."""

from itertools import permutations

import pytest
import torch

from trainables.learners.running_moments import SMALLEST_DEVIATION, RunningMoments


def groups() -> list[torch.Tensor]:
    """Four groups of sizes 1 to 40, far from zero and from each other."""
    generator = torch.Generator().manual_seed(0)
    sizes = (1, 5, 12, 40)
    return [1e4 * (1 + k) + torch.randn(size, 6, generator=generator) for k, size in enumerate(sizes)]


def merged(parts: list[RunningMoments]) -> RunningMoments:
    total, *rest = parts
    for part in rest:
        total = total.merge(part)
    return total


def test_any_order_gives_the_moments_of_all_vectors() -> None:
    everything = torch.cat(groups()).double()
    for order in permutations(groups()):
        moments = merged([RunningMoments.of(group) for group in order])
        assert float(moments.count) == len(everything)
        torch.testing.assert_close(moments.mean, everything.mean(dim=0), rtol=1e-14, atol=0)
        torch.testing.assert_close(moments.deviation, everything.std(dim=0), rtol=1e-13, atol=0)


def test_merging_is_associative() -> None:
    a, b, c, d = map(RunningMoments.of, groups())
    left, right = a.merge(b).merge(c.merge(d)), a.merge(b.merge(c).merge(d))
    torch.testing.assert_close(left.squares, right.squares, rtol=1e-13, atol=0)


@pytest.mark.parametrize("vectors", [torch.ones(1, 2), torch.ones(5, 2)])
def test_what_does_not_vary_is_not_divided_by_zero(vectors: torch.Tensor) -> None:
    moments = RunningMoments.of(vectors)
    assert (moments.deviation == SMALLEST_DEVIATION).all()
    assert torch.equal(moments.standardise(vectors), torch.zeros_like(vectors))
