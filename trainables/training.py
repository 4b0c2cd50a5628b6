"""The training loop that methods share."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from datasets.errors import EarshotError

MIXUP_BETA = 10.0  # of the released EDE


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the training clips.
        batch_size: the last batch of an epoch may be smaller.
        lr: initial learning rate.
        milestones: epochs at which the learning rate falls to a tenth.
        weight_decay: of all parameters.
        momentum: of SGD.
    """

    epochs: int
    batch_size: int
    lr: float
    milestones: tuple[int, ...]
    weight_decay: float
    momentum: float = 0.9


def sgd_epochs(
    loss: Callable[[Tensor], Tensor],
    modules: Sequence[nn.Module],
    schedule: Schedule,
    *,
    clips: int,
    generator: torch.Generator,
    autocast: Callable[[], AbstractContextManager[None]],
    where: str,
) -> None:
    """Trains `modules` with SGD over shuffled batches.

    Args:
        loss: of a batch, given the row numbers of its clips (int64, on the device of the modules).
        modules: trained in place; left in training mode.
        schedule: how long and how fast.
        clips: number of training clips.
        generator: shuffles.
        autocast: the precision that the forward pass runs in.
        where: the session, for errors.

    Raises:
        EarshotError: the loss is no longer a number.
    """
    parameters = [p for module in modules for p in module.train().parameters()]
    device = parameters[0].device
    optimiser = torch.optim.SGD(
        parameters, lr=schedule.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(schedule.milestones), gamma=0.1)
    for epoch in range(schedule.epochs):
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
        scheduler.step()


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
