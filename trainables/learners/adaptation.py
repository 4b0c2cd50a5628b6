"""Parameter-efficient adaptation of a backbone in the base session."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.training import Schedule, train
from trainables.networks.adapters import CosineHead
from trainables.networks.classifier import frozen


def adapt(
    network: nn.Module,
    embed: Callable[[Tensor], Tensor],
    features: Features,
    session: Session,
    schedule: Schedule,
    generator: torch.Generator,
) -> None:
    """Adapts a network to the base session with cross-entropy, then freezes it; the cosine head is thrown away.

    Args:
        network: what of it requires gradients is trained, in place.
        embed: how the network embeds clips, `[clips, frames, 128]` to `[clips, dim]`.
        features: of the clips.
        session: the base session.
        schedule: how long and how fast.
        generator: draws the head and shuffles.
    """
    head = CosineHead(features.backbone.dim, len(session.classes), generator).to(features.device)
    inputs = features.inputs(session.support)
    targets = column_labels(session.support_labels, session.labels).to(features.device)
    train(
        lambda batch: nn.functional.cross_entropy(head(embed(inputs[batch])), targets[batch]),
        [network, head],
        schedule,
        clips=len(targets),
        generator=generator,
        autocast=features.autocast,
        where="base session",
    )
    frozen(network)
