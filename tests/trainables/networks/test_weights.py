"""New weights are the same in every version of PyTorch."""

import math

import torch

from trainables.networks.weights import draw_normal


def test_a_seed_gives_the_weights_of_pytorch_2_11() -> None:
    drawn = torch.empty(3)
    draw_normal(drawn, 0.02, torch.Generator().manual_seed(0))
    expected = torch.tensor([-0.00018766950233839452, 0.014660065993666649, -0.027003809809684753])
    torch.testing.assert_close(drawn, expected, rtol=1e-6, atol=0)


def test_drawn_weights_have_the_given_standard_deviation_and_no_extreme_values() -> None:
    drawn = torch.empty(200, 500)
    draw_normal(drawn, 0.5, torch.Generator().manual_seed(1))
    assert abs(drawn.mean()) < 0.01 and abs(drawn.std() - 0.5) < 0.01
    inside = (drawn.abs() < 0.5).float().mean()
    assert abs(inside - math.erf(1 / math.sqrt(2))) < 0.01 and drawn.abs().max() <= 2
