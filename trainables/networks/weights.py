"""The digest of a network's weights, and how new weights are drawn."""

import hashlib
import math
from typing import Literal

import torch
from torch import Tensor, nn


def weights_digest(module: nn.Module, architecture: bytes | None = None) -> str:
    """SHA-256 over the architecture, and over names, shapes and bytes of all parameters, in order of name.

    Args:
        module: the network.
        architecture: what changes its output but not its parameters (heads, epsilon); by default its attribute
            `architecture`, if it has one.
    """
    digest = hashlib.sha256(getattr(module, "architecture", b"") if architecture is None else architecture)
    for key, value in sorted(module.state_dict().items()):
        array: Tensor = value.detach().cpu().contiguous()
        digest.update(f"{key} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


Initialisation = Literal["vit", "torch"]


def initialise(module: nn.Module, generator: torch.Generator, kind: Initialisation = "vit") -> None:
    """Initialises weights.

    vit: as the original ViT: truncated normal (std 0.02), biases 0, LayerNorm 1 and 0.
    torch: weights and biases of linear layers as PyTorch initialises them, uniform with bound 1 / sqrt(inputs); the
        rest as `vit`.
    """
    for name, parameter in sorted(module.named_parameters()):
        with torch.no_grad():
            if parameter.ndim > 1:
                draw_normal(parameter, 0.02, generator)
            else:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    if kind == "torch":
        initialise_linear_layers(module, generator)


def draw_normal(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    """Fills a tensor from a normal distribution of mean 0, by the inverse of its distribution function.

    These are the values of `torch.nn.init.trunc_normal_` in PyTorch 2.11, whose bounds of -2 and 2 are far outside. In
    2.14 that function draws others from the same generator, and a seed must give the same weights in every version.

    Args:
        parameter: floating point, changed in place.
        std: standard deviation.
        generator: of the draw.
    """
    parameter.uniform_(-1, 1, generator=generator).erfinv_().mul_(std * math.sqrt(2.0)).clamp_(-2, 2)


def initialise_linear_layers(module: nn.Module, generator: torch.Generator) -> None:
    """Initialises weights and biases of linear layers as PyTorch does: uniform with bound 1 / sqrt(inputs)."""
    for _, layer in sorted(module.named_modules()):
        if isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            for values in layer.parameters(recurse=False):
                nn.init.uniform_(values, -bound, bound, generator=generator)
