"""The training loop: schedules by hand, trained parameters, errors, mixup."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from datasets.utils.errors import EarshotError
from tests.support.learning import generator
from trainables.learners.training import MIXUP_BETA, Schedule, mix_up, session_name, train


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(4, 1, lr=1.0), {0: 1.0, 3: 1.0}),
        (Schedule(4, 1, lr=1.0, milestones=(1, 3), gamma=0.5), {0: 1.0, 1: 0.5, 2: 0.5, 3: 0.25}),
        (Schedule(4, 1, lr=1.0, annealing="cosine"), {0: 1.0, 1: (1 + 0.5**0.5) / 2, 2: 0.5, 4: 0.0}),
        (Schedule(4, 1, lr=1.0, annealing="cosine", min_lr=0.2), {0: 1.0, 2: 0.6, 4: 0.2}),
    ],
)
def test_learning_rates(schedule: Schedule, expected: dict[int, float]) -> None:
    assert {epoch: schedule.lr_after(epoch) for epoch in expected} == pytest.approx(expected)


def run(network: nn.Module, schedule: Schedule, batches: list[list[int]], scale: float = 1.0) -> None:
    """Trains on the mean of a network's outputs for five clips; appends the rows of every batch to `batches`."""
    inputs = torch.arange(5.0)[:, None]

    def loss(batch: Tensor) -> Tensor:
        batches.append(batch.tolist())
        value: Tensor = scale * network(inputs[batch]).mean()
        return value

    train(loss, [network], schedule, clips=5, generator=generator(0), autocast=nullcontext, where="session 3")


def test_every_epoch_has_every_clip_once_in_another_order() -> None:
    batches: list[list[int]] = []
    run(nn.Linear(1, 1), Schedule(2, 2, lr=0.1), batches)
    assert [len(batch) for batch in batches] == [2, 2, 1] * 2
    epochs = [[row for batch in epoch for row in batch] for epoch in (batches[:3], batches[3:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [0, 1, 2, 3, 4]
    assert epochs[0] != epochs[1]


def test_one_step_of_sgd_trains_what_requires_gradients_and_leaves_no_gradient() -> None:
    network = nn.Linear(1, 1)
    network.bias.requires_grad_(False)
    weight, bias = network.weight.item(), network.bias.item()
    run(network, Schedule(1, 5, lr=0.1), [])
    assert network.weight.item() == pytest.approx(weight - 0.1 * 2)  # the mean of 0 .. 4
    assert network.bias.item() == bias
    assert network.weight.grad is None


def test_a_loss_that_is_not_finite_names_session_epoch_and_learning_rate() -> None:
    with pytest.raises(EarshotError) as caught:
        run(nn.Linear(1, 1), Schedule(7, 5, lr=0.25), [], scale=float("nan"))
    assert str(caught.value) == "session 3, epoch 1 of 7: the loss is nan; lower the learning rate (0.25)"


def test_names_of_sessions() -> None:
    assert [session_name(Session(index, ())) for index in (0, 1)] == ["base session", "session 1"]


def test_mixup_uses_one_weight_and_one_partner_for_waves_and_targets() -> None:
    waves, targets = torch.arange(4.0)[:, None], torch.eye(4)
    mixed, mixed_targets = mix_up(waves, targets, generator(1))
    draws = generator(1)
    seed = int(torch.randint(2**31, (), generator=draws))
    weight = float(np.random.default_rng(seed).beta(MIXUP_BETA, MIXUP_BETA))
    partner = torch.randperm(4, generator=draws)
    torch.testing.assert_close(mixed[:, 0], weight * torch.arange(4.0) + (1 - weight) * partner)
    torch.testing.assert_close(mixed_targets @ torch.arange(4.0), mixed[:, 0])
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(4))


def test_the_order_of_the_clips_can_be_given() -> None:
    batches: list[list[int]] = []
    inputs = torch.arange(5.0)[:, None]
    network = nn.Linear(1, 1)

    def loss(batch: Tensor) -> Tensor:
        batches.append(batch.tolist())
        value: Tensor = network(inputs[batch]).mean()
        return value

    orders, schedule = [[4, 0, 1, 3, 2], [0, 2, 4, 1, 3]], Schedule(2, 3, lr=0.1)
    train(loss, [network], schedule, clips=5, generator=generator(0), autocast=nullcontext, where="", orders=orders)
    assert batches == [[4, 0, 1], [3, 2], [0, 2, 4], [1, 3]]
