"""The training loop that methods share, and its settings: schedules of epochs and learning rates."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from datasets.utils.errors import EarshotError
from trainables.learners.settings import Settings
from trainables.learners.training_listener import Epoch, current_listener

MIXUP_BETA = 10.0  # of the released EDE


@dataclass(frozen=True)
class Schedule:
    """Length, learning rates and optimiser of a training.

    Attributes:
        epochs: passes over the training clips.
        batch_size: the last batch of an epoch may be smaller.
        lr: initial learning rate.
        weight_decay: of all parameters.
        milestones: epochs after which the learning rate is multiplied by `gamma` (annealing `steps`).
        gamma: see `milestones`.
        annealing: `steps`, or `cosine` from `lr` down to `min_lr` over the epochs.
        min_lr: final value of the cosine.
        optimiser: `sgd` (with momentum) or `adam`.
        momentum: of SGD.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    annealing: Literal["steps", "cosine"] = "steps"
    min_lr: float = 0.0
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9

    def lr_after(self, epochs: int) -> float:
        """The learning rate of the epoch after `epochs` completed ones."""
        if self.annealing == "cosine":
            return self.min_lr + (self.lr - self.min_lr) * (1 + math.cos(math.pi * epochs / self.epochs)) / 2
        return self.lr * self.gamma ** sum(epochs >= milestone for milestone in self.milestones)


class BaseTraining(Settings):
    """Settings of a method that trains in the base session; a method replaces the defaults by its published ones."""

    batch_size: int = Field(25, ge=1)
    base_epochs: int = Field(100, ge=0)
    base_lr: float = Field(1e-3, gt=0)
    base_milestones: tuple[int, ...] = Field((), description="epochs at which lr falls to a tenth")
    base_weight_decay: float = Field(2e-4, ge=0)

    def base_schedule(self) -> Schedule:
        """Of the base session: SGD with milestones."""
        return Schedule(
            epochs=self.base_epochs,
            batch_size=self.batch_size,
            lr=self.base_lr,
            weight_decay=self.base_weight_decay,
            milestones=self.base_milestones,
        )


class CosineBaseTraining(BaseTraining):
    """Settings of a method that trains in the base session and whose published learning rate follows a cosine."""

    base_milestones: tuple[int, ...] = Field(
        (), description="epochs at which lr falls to a tenth; where empty, lr follows a cosine as published"
    )
    base_min_lr: float = Field(0.0, ge=0, description="final lr of the cosine")

    def base_schedule(self) -> Schedule:
        annealing: Literal["steps", "cosine"] = "steps" if self.base_milestones else "cosine"
        return replace(super().base_schedule(), annealing=annealing, min_lr=self.base_min_lr)


class Training(BaseTraining):
    """Settings of a method that trains in every session."""

    incremental_epochs: int = Field(100, ge=0)
    incremental_lr: float = Field(1e-3, gt=0)
    incremental_milestones: tuple[int, ...] = Field((), description="epochs at which lr falls to a tenth")
    incremental_weight_decay: float = Field(2e-4, ge=0)

    def incremental_schedule(self) -> Schedule:
        """Of a later session: SGD with milestones."""
        return Schedule(
            epochs=self.incremental_epochs,
            batch_size=self.batch_size,
            lr=self.incremental_lr,
            weight_decay=self.incremental_weight_decay,
            milestones=self.incremental_milestones,
        )


def train(
    loss: Callable[[Tensor], Tensor],
    modules: Sequence[nn.Module],
    schedule: Schedule,
    *,
    clips: int,
    generator: torch.Generator,
    autocast: Callable[[], AbstractContextManager[None]],
    where: str,
    orders: Sequence[Sequence[int]] | None = None,
) -> None:
    """Trains `modules` over shuffled batches; reports each epoch (`trainables.learners.training_listener`).

    Args:
        loss: of a batch, from the row numbers of its clips (int64, on the device of the modules).
        modules: their parameters that require gradients are trained in place.
        schedule: epochs, batches, learning rates and optimiser.
        clips: number of training clips.
        generator: shuffles.
        autocast: the precision of the forward pass.
        where: the session, for errors.
        orders: row numbers in the order of each epoch (default: shuffled).

    Raises:
        EarshotError: the loss is not finite.
    """
    parameters = [p for module in modules for p in module.train().parameters() if p.requires_grad]
    device = parameters[0].device
    optimiser = _optimiser(parameters, schedule)
    listener = current_listener()
    for epoch in range(schedule.epochs):
        total, lr = 0.0, schedule.lr_after(epoch)
        for group in optimiser.param_groups:
            group["lr"] = lr
        order = torch.randperm(clips, generator=generator) if orders is None else torch.tensor(orders[epoch])
        for batch in order.to(device).split(schedule.batch_size):
            optimiser.zero_grad(set_to_none=True)
            with autocast():
                value = loss(batch)
            number = value.item()
            if not math.isfinite(number):
                raise EarshotError(
                    f"{where}, epoch {epoch + 1} of {schedule.epochs}: the loss is {number}; "
                    f"lower the learning rate ({schedule.lr:g})"
                )
            total += number * len(batch)
            value.backward()
            optimiser.step()
        if listener is not None:
            listener(Epoch(where, epoch + 1, schedule.epochs, total / clips, lr))
    optimiser.zero_grad(set_to_none=True)  # otherwise the gradients stay in memory as long as the network


def _optimiser(parameters: list[nn.Parameter], schedule: Schedule) -> torch.optim.Optimizer:
    lr, decay = schedule.lr, schedule.weight_decay
    if schedule.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=lr, weight_decay=decay, momentum=schedule.momentum)


def session_name(session: Session) -> str:
    """A session as errors name it."""
    return f"session {session.index}" if session.index else "base session"


def mix_up(waves: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018, arXiv 1710.09412, eq. 1) with lambda ~ Beta(10, 10), one for the batch.

    Args:
        waves: `[clips, samples]`.
        targets: `[clips, classes]`, one-hot.
        generator: draws lambda and the partners.
    """
    seed = int(torch.randint(2**31, (), generator=generator))
    weight = float(np.random.default_rng(seed).beta(MIXUP_BETA, MIXUP_BETA))
    partner = torch.randperm(len(waves), generator=generator)
    return (
        weight * waves + (1 - weight) * waves[partner],
        weight * targets + (1 - weight) * targets[partner.to(targets.device)],
    )
