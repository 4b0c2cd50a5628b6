"""The training loop that methods share, and the settings that say how long and how fast."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from datasets.utils.errors import EarshotError
from trainables.learners.learner import Settings

MIXUP_BETA = 10.0  # of the released EDE


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the training clips.
        batch_size: the last batch of an epoch may be smaller.
        lr: initial learning rate.
        weight_decay: of all parameters.
        milestones: epochs after which the learning rate is multiplied by `gamma` (annealing `steps`).
        gamma: see `milestones`.
        annealing: `steps`, or `cosine` from `lr` down to `min_lr` over the epochs.
        min_lr: where the cosine ends.
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
        """The learning rate of the epoch that follows `epochs` finished ones."""
        if self.annealing == "cosine":
            return self.min_lr + (self.lr - self.min_lr) * (1 + math.cos(math.pi * epochs / self.epochs)) / 2
        return self.lr * self.gamma ** sum(epochs >= milestone for milestone in self.milestones)


class BaseTraining(Settings):
    """Settings of a method that trains in the base session; a method overrides the defaults by its published ones."""

    batch_size: int = Field(25, ge=1)
    base_epochs: int = Field(100, ge=0)
    base_lr: float = Field(1e-3, gt=0)
    base_milestones: tuple[int, ...] = Field((), description="epochs at which lr falls to a tenth")
    base_weight_decay: float = Field(2e-4, ge=0)

    def base_schedule(self) -> Schedule:
        """How the base session trains: SGD with milestones."""
        return Schedule(
            epochs=self.base_epochs,
            batch_size=self.batch_size,
            lr=self.base_lr,
            weight_decay=self.base_weight_decay,
            milestones=self.base_milestones,
        )


class CosineBaseTraining(BaseTraining):
    """The same for a method whose published lr follows a cosine."""

    base_milestones: tuple[int, ...] = Field(
        (), description="epochs at which lr falls to a tenth; where empty, lr follows a cosine as published"
    )
    base_min_lr: float = Field(0.0, ge=0, description="where the cosine ends")

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
        """How a later session trains: SGD with milestones."""
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
) -> None:
    """Trains `modules` over shuffled batches.

    Args:
        loss: of a batch, given the row numbers of its clips (int64, on the device of the modules).
        modules: those of their parameters that require gradients are trained in place.
        schedule: how long and how fast.
        clips: number of training clips.
        generator: shuffles.
        autocast: the precision that the forward pass runs in.
        where: the session, for errors.

    Raises:
        EarshotError: the loss is no longer a number.
    """
    parameters = [p for module in modules for p in module.train().parameters() if p.requires_grad]
    device = parameters[0].device
    optimiser = _optimiser(parameters, schedule)
    for epoch in range(schedule.epochs):
        for group in optimiser.param_groups:
            group["lr"] = schedule.lr_after(epoch)
        order = torch.randperm(clips, generator=generator).to(device)
        for batch in order.split(schedule.batch_size):
            optimiser.zero_grad(set_to_none=True)
            with autocast():
                value = loss(batch)
            if not torch.isfinite(value):
                raise EarshotError(
                    f"{where}, epoch {epoch + 1} of {schedule.epochs}: the loss is {value.item()}; "
                    f"lower the learning rate ({schedule.lr:g})"
                )
            value.backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)  # or the gradients would live as long as the network


def _optimiser(parameters: list[nn.Parameter], schedule: Schedule) -> torch.optim.Optimizer:
    lr, decay = schedule.lr, schedule.weight_decay
    if schedule.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=decay)
    return torch.optim.SGD(parameters, lr=lr, weight_decay=decay, momentum=schedule.momentum)


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
