"""Trainable networks: a copy of the backbone, with or without a head."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from trainables.networks.backbones.backbone import Backbone
from trainables.networks.heads import linear_head

Module = TypeVar("Module", bound=nn.Module)
AnyBackbone = TypeVar("AnyBackbone", bound=Backbone)


def trainable(module: Module) -> Module:
    """A trainable copy of a network."""
    network = copy.deepcopy(module).train().requires_grad_(True)
    if isinstance(network, Backbone):
        network.digest = ""  # that of the pretrained weights is no longer valid
    return network


def frozen(module: Module) -> Module:
    """Freezes a network in place and returns it."""
    return module.eval().requires_grad_(False)


class Classifier(nn.Module):
    """A backbone with a linear head: the network of methods that fine-tune.

    Args:
        backbone: copied.
        classes: number of outputs of the head.
        generator: draws the head's weights.
    """

    def __init__(self, backbone: Backbone, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.backbone = trainable(backbone)
        device = next(backbone.parameters()).device
        self.head = linear_head(backbone.dim, classes, generator).to(device)

    def embed(self, inputs: Tensor) -> Tensor:
        """The backbone's embedding: `[clips, ...]` to `[clips, dim]`."""
        return self.backbone.embed(inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """`[clips, ...]` to `[clips, classes]`."""
        logits: Tensor = self.head(self.embed(inputs))
        return logits

    def grow(self, classes: int, generator: torch.Generator) -> None:
        """Extends the head to `classes` classes; the weights of the first ones are copied."""
        device = self.head.weight.device
        self.head = linear_head(self.head.in_features, classes, generator, grown_from=self.head).to(device)


def restored_classifier(backbone: Backbone, state: dict[str, Tensor]) -> Classifier:
    """Restores a classifier from its `state_dict()`, on the backbone's device."""
    network = Classifier(backbone, len(state["head.bias"]), torch.Generator())
    network.load_state_dict(state)
    return network


def restored_backbone(backbone: AnyBackbone, state: dict[str, Tensor]) -> AnyBackbone:
    """A frozen copy of the backbone with the weights whose `state_dict()` was stored."""
    network = trainable(backbone)
    network.load_state_dict(state)
    return frozen(network)


def restored_linear(state: dict[str, Tensor], device: torch.device) -> nn.Linear:
    """Restores a linear head from its `state_dict()`."""
    weight = state["weight"]
    head = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias="bias" in state)
    head.load_state_dict(state)
    return head.to(device)


def count_values(*modules: nn.Module) -> int:
    """Number of parameter values of networks."""
    return sum(p.numel() for module in modules for p in module.parameters())
