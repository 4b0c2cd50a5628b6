"""Converts checkpoints with the parameter names of the original AST code to those of `transformers`.

The original wraps a timm ViT: `module.v.blocks.0.attn.qkv.weight` and so on.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import ASTConfig

from datasets.utils.errors import EarshotError

PATCH, STRIDE, BANDS = 16, 10, 12  # 128 mel bins give 12 bands of patches
EPSILON = 1e-6  # of every LayerNorm of the original

BLOCK_NAMES = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.o_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
STEM_NAMES = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}


BLOCK_PARAMETERS = tuple(f"{name}.{kind}" for name in (*BLOCK_NAMES, "attn.qkv") for kind in ("weight", "bias"))


def vit_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of the ViT (`blocks.0...`) in an original checkpoint, without the prefixes of its wrappers."""
    prefix = re.compile(r"^(module\.)?v\.")
    return {prefix.sub("", key): value for key, value in state.items() if prefix.match(key)}


def config_of_original(state: object, path: Path) -> ASTConfig:
    """Infers the size of the network from the shapes of an original checkpoint.

    The number of heads is not in the shapes: 64 values per head are assumed, as in every published ViT, or 32 where the
    width is not a multiple of 64.

    Raises:
        EarshotError: the file does not contain an AST.
    """
    vit = vit_state(state) if isinstance(state, Mapping) else {}
    missing = [key for key in STEM_NAMES if key not in vit]
    if missing:
        raise EarshotError(
            f"backbone '{path}': not a checkpoint of the original AST: no parameter 'module.v.{missing[0]}'"
            + ("; give the folder of a transformers model, not its weights file" if not vit else "")
        )
    width = vit["cls_token"].shape[-1]
    first = vit.get("blocks.0.mlp.fc1.weight")
    if first is None or first.ndim != 2 or vit["pos_embed"].ndim != 3 or not width:
        raise EarshotError(
            f"backbone '{path}': not a checkpoint of the original AST: expected the matrix "
            "'module.v.blocks.0.mlp.fc1.weight' and positions [1, tokens, width]"
        )
    blocks = {key.split(".")[1] for key in vit if key.startswith("blocks.")}
    positions = vit["pos_embed"].shape[1] - 2
    if positions % BANDS or not blocks:
        raise EarshotError(f"backbone '{path}': {positions} positions are not a grid of {BANDS} bands of patches")
    steps = positions // BANDS
    return ASTConfig(
        hidden_size=width,
        num_hidden_layers=len(blocks),
        num_attention_heads=width // 64 if width % 64 == 0 else max(1, width // 32),
        intermediate_size=first.shape[0],
        layer_norm_eps=EPSILON,
        patch_size=PATCH,
        frequency_stride=STRIDE,
        time_stride=STRIDE,
        max_length=(steps - 1) * STRIDE + PATCH,
    )


def convert_original(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Converts an original checkpoint to a state of `transformers.ASTModel`.

    Parameters that are not those of a block or of the stem keep their names: whether they are the known classification
    heads is checked when the state is loaded.
    """
    vit = vit_state(state)
    converted = {new: vit[old] for old, new in STEM_NAMES.items()}
    used = {f"v.{name}" for name in STEM_NAMES}
    for index in range(blocks):
        prefix = f"blocks.{index}."
        block = {key.removeprefix(prefix): value for key, value in vit.items() if key.startswith(prefix)}
        if all(name in block for name in BLOCK_PARAMETERS):
            converted |= {f"layers.{index}.{key}": value for key, value in convert_block(block).items()}
            used |= {f"v.{prefix}{name}" for name in BLOCK_PARAMETERS}
    rest = {key.removeprefix("module."): value for key, value in state.items()}
    return converted | {key: value for key, value in rest.items() if key not in used}


def convert_block(block: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts a timm transformer block to a state of `transformers`' `ASTLayer`; the joint qkv is split in three."""
    converted = {}
    for old, new in BLOCK_NAMES.items():
        for kind in ("weight", "bias"):
            converted[f"{new}.{kind}"] = block[f"{old}.{kind}"]
    for kind in ("weight", "bias"):
        for name, part in zip("qkv", torch.chunk(block[f"attn.qkv.{kind}"], 3), strict=True):
            converted[f"attention.{name}_proj.{kind}"] = part.contiguous()
    return converted
