"""What `train` reports, to whom, and that it trains the same with and without a listener."""

import threading
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from tests.support.learning import generator
from trainables.learners.training import Schedule, train
from trainables.learners.training_listener import Epoch, listen_to_training


def train_a_line(epochs: int = 3) -> nn.Linear:
    """Trains on five clips in batches of two; the weights after it."""
    network = nn.Linear(1, 1)
    with torch.no_grad():
        network.weight.fill_(1.0)
        network.bias.fill_(0.0)
    inputs = torch.arange(5.0)[:, None]

    def loss(batch: Tensor) -> Tensor:
        return (network(inputs[batch]) - 1).square().mean()

    schedule = Schedule(epochs, 2, lr=0.25, milestones=(2,), gamma=0.5)
    train(loss, [network], schedule, clips=5, generator=generator(0), autocast=nullcontext, where="session 3")
    return network


def test_every_epoch_is_reported_with_its_learning_rate() -> None:
    epochs: list[Epoch] = []
    with listen_to_training(epochs.append):
        train_a_line()
    assert [(e.training, e.epoch, e.epochs, e.lr) for e in epochs] == [
        ("session 3", 1, 3, 0.25),
        ("session 3", 2, 3, 0.25),
        ("session 3", 3, 3, 0.125),
    ]


def test_the_loss_is_the_mean_over_clips_not_over_batches() -> None:
    """The weights do not change, so that the loss of the whole is known: mean of (x - 1)^2 over 0 .. 4."""
    epochs: list[Epoch] = []
    network = nn.Linear(1, 1, bias=False)
    inputs = torch.arange(5.0)[:, None]

    def loss(batch: Tensor) -> Tensor:
        return (inputs[batch] - 1).square().mean() + 0 * network.weight.sum()

    with listen_to_training(epochs.append):
        train(loss, [network], Schedule(1, 2, 0.1), clips=5, generator=generator(0), autocast=nullcontext, where="it")
    assert epochs[0].loss == pytest.approx((1 + 0 + 1 + 4 + 9) / 5)


def test_weights_are_bitwise_the_same_with_a_listener() -> None:
    with listen_to_training(lambda epoch: None):
        followed = train_a_line()
    alone = train_a_line()
    assert torch.equal(followed.weight, alone.weight) and torch.equal(followed.bias, alone.bias)


def test_a_listener_hears_its_own_block_and_thread_only() -> None:
    outer: list[Epoch] = []
    inner: list[Epoch] = []
    with listen_to_training(outer.append):
        with listen_to_training(inner.append):
            train_a_line(epochs=2)
        thread = threading.Thread(target=train_a_line)
        thread.start()
        thread.join()
        train_a_line(epochs=1)
    train_a_line()
    assert (len(outer), len(inner)) == (1, 2)
