"""Adaptation of a backbone to a session, of all its parameters or of adapters only."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import column_labels
from trainables.learners.training import Schedule, session_name, train
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
    """Adapts a network to the classes of a session with cross-entropy, then freezes it; the cosine head is discarded.

    Args:
        network: its parameters that require gradients are trained in place.
        embed: the network's embedding of clips, `[clips, ...]` to `[clips, dim]`.
        features: of the clips.
        session: whose support clips it is trained on.
        schedule: of the training.
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
        where=session_name(session),
    )
    frozen(network)
