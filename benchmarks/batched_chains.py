"""Experiment: an incremental session of EDE for several chains, as one batched computation and one after another.

The chains differ in seed (clips, initial weights, order of the batches) and in learning rate. Together, their weights
are stacked, `torch.func.vmap` turns every matrix product into a batched one, and one loop steps all of them. Each chain
computes what it would compute alone. In both ways the token maps are on the device already.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from benchmarks.timing import wall_seconds
from trainables.learners.training import Schedule, train
from trainables.methods.ede import EDESettings
from trainables.networks.backbones.ast import load_ast
from trainables.networks.classifier import trainable
from trainables.networks.heads import linear_head

BASE, WAY, SHOT = 5, 5, 5  # of ffcac-25


@dataclass(frozen=True)
class Clips:
    """What the last session of an `ffcac-25` chain trains on: the new support and an exemplar of every old class.

    Attributes:
        tokens: G(x), `[clips, tokens, dim]` in 16 bits.
        old: outputs of the parts before, `[clips, 4 dim]`.
        targets: of the linear head, `[clips]`.
        auxiliary_targets: of the auxiliary head, `[clips]`.
    """

    tokens: Tensor
    old: Tensor
    targets: Tensor
    auxiliary_targets: Tensor

    def rows(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The clips of a batch."""
        return self.tokens[batch].float(), self.old[batch], self.targets[batch], self.auxiliary_targets[batch]


class Trained(nn.Module):
    """What an incremental session of EDE trains: S_t, the linear head and the auxiliary head. Returns the loss."""

    def __init__(self, part: nn.Module, head: nn.Linear, auxiliary: nn.Linear) -> None:
        super().__init__()
        self.part, self.head, self.auxiliary = part, head, auxiliary

    def forward(self, tokens: Tensor, old: Tensor, targets: Tensor, auxiliary_targets: Tensor) -> Tensor:
        """See `trainables.methods.ede`."""
        new = self.part(tokens)
        loss = nn.functional.cross_entropy(self.head(torch.cat([old, new], dim=1)), targets)
        return loss + nn.functional.cross_entropy(self.auxiliary(new), auxiliary_targets)


@dataclass(frozen=True)
class Compared:
    """Both ways.

    Attributes:
        apart: seconds of the chains one after another.
        together: seconds of the batched computation.
        difference: norm of the difference of all weights, relative to the norm of their change in training.
    """

    apart: float
    together: float
    difference: float


def compare(
    backbone: str, frames: int, chains: int, epochs: int | None, device: torch.device, precision: str
) -> Compared:
    """Trains the chains in both ways.

    Args:
        backbone: whose width and number of tokens the parts have.
        frames: of a clip.
        chains: how many.
        epochs: None for the published number.
        device: where they are trained.
        precision: `float32` or `bf16`.
    """
    settings = EDESettings() if epochs is None else EDESettings(incremental_epochs=epochs)
    schedules = [
        replace(settings.incremental_schedule(), lr=float(lr)) for lr in np.geomspace(3e-4, 3e-3, max(chains, 2))
    ][:chains]
    networks, clips = zip(*(_chain(backbone, frames, seed, device) for seed in range(chains)), strict=True)
    for way in (_apart, _together):  # the first call of a kernel loads it
        way([trainable(one) for one in networks], clips, [replace(one, epochs=1) for one in schedules], precision)
    alone = [trainable(one) for one in networks]
    apart = wall_seconds(lambda: _apart(alone, clips, schedules, precision), device)
    stacked: dict[str, Tensor] = {}
    together = wall_seconds(lambda: stacked.update(_together(networks, clips, schedules, precision)), device)
    expected, start = _weights(alone), _weights(networks)
    difference = float((torch.cat([one.flatten() for one in stacked.values()]) - expected).norm())
    return Compared(apart, together, difference / float((expected - start).norm()))


def _weights(networks: Sequence[Trained]) -> Tensor:
    """All weights of all networks, `[values]`."""
    return torch.cat([one.detach().flatten() for one in stack_module_state(list(networks))[0].values()])


def _chain(backbone: str, frames: int, seed: int, device: torch.device) -> tuple[Trained, Clips]:
    """The start of the last session of a chain, with random token maps."""
    network = load_ast(backbone, frames).to(device)
    generator = torch.Generator().manual_seed(seed)
    known = BASE + 3 * WAY
    labels = torch.cat([torch.arange(known), torch.arange(known, known + WAY).repeat_interleave(SHOT)])
    with torch.inference_mode():
        count = network(torch.zeros(1, frames, 128, device=device)).shape[1]
    tokens = torch.randn(len(labels), count, network.dim, generator=generator).half()
    old = torch.randn(len(labels), 4 * network.dim, generator=generator)
    part = network.new_part(generator)
    head = linear_head(5 * network.dim, known + WAY, generator)
    auxiliary = linear_head(network.dim, WAY + 1, generator)
    auxiliary_targets = (labels - known + 1).clamp_min(0)
    clips = Clips(*(one.to(device) for one in (tokens, old, labels, auxiliary_targets)))
    return trainable(Trained(part, head, auxiliary).to(device)), clips


def _autocast(clips: Clips, precision: str) -> torch.autocast:
    return torch.autocast(clips.tokens.device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _apart(networks: Sequence[Trained], clips: Sequence[Clips], schedules: Sequence[Schedule], precision: str) -> None:
    """Trains the networks in place, as a chain does."""
    for seed, (network, own, schedule) in enumerate(zip(networks, clips, schedules, strict=True)):

        def loss(batch: Tensor, network: Trained = network, own: Clips = own) -> Tensor:
            value: Tensor = network(*own.rows(batch))
            return value

        train(
            loss,
            [network],
            schedule,
            clips=len(own.targets),
            generator=torch.Generator().manual_seed(seed),
            autocast=lambda own=own: _autocast(own, precision),  # type: ignore[misc]
            where=f"chain {seed}",
        )


def _together(
    networks: Sequence[Trained], clips: Sequence[Clips], schedules: Sequence[Schedule], precision: str
) -> dict[str, Tensor]:
    """Trains copies of the networks with one loop; returns their weights, `[chains, ...]` by name.

    SGD as in `trainables.learners.training`, with a learning rate per chain.
    """
    device = clips[0].tokens.device
    weights, _ = stack_module_state(list(networks))
    velocities = {name: torch.zeros_like(value) for name, value in weights.items()}
    shape = trainable(networks[0]).to("meta")
    losses_of = vmap(lambda own, *rows: functional_call(shape, own, rows))
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(networks))]
    all_clips = Clips(*(torch.stack([getattr(one, name) for one in clips]) for name in Clips.__dataclass_fields__))
    chain = torch.arange(len(networks), device=device)[:, None]
    first = schedules[0]
    for epoch in range(first.epochs):
        rates = torch.tensor([one.lr_after(epoch) for one in schedules], device=device)
        order = torch.stack([torch.randperm(len(clips[0].targets), generator=one) for one in generators]).to(device)
        for batch in order.split(first.batch_size, dim=1):
            rows = (part[chain, batch] for part in all_clips.__dict__.values())
            tokens, *others = rows
            with _autocast(clips[0], precision):
                losses = losses_of(weights, tokens.float(), *others)
            if not torch.isfinite(losses).all():
                raise FloatingPointError(f"epoch {epoch + 1}: the losses are {losses.tolist()}")
            gradients = torch.autograd.grad(losses.sum(), list(weights.values()))
            with torch.no_grad():
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                    decayed = gradient + first.weight_decay * weight
                    velocity = velocities[name].mul_(first.momentum).add_(decayed)
                    weight -= rates.view(-1, *[1] * (weight.ndim - 1)) * velocity
    return {name: weight.detach() for name, weight in weights.items()}
