"""The Audio Spectrogram Transformer (Gong et al. 2021, arXiv 2104.01778) as a feature extractor.

A backbone is identified by one string:

    earshot-tiny                                shipped with the package: small, pretrained on synthetic sources
    random-tiny | random-small | random-base    random weights of a named size, always the same
    weights.pth | weights.safetensors           a checkpoint with the parameter names of the original AST code
    folder/                                     a folder saved by `transformers`
    owner/name                                  a model on the Hugging Face hub
"""

import functools
import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel, PretrainedConfig
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import ASTLayer
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from datasets.utils.errors import EarshotError, first_line
from datasets.utils.suggestion import suggestion
from trainables.networks.checkpoint import AST, check_model_type, check_parameters, load_parameters
from trainables.networks.frontend import MEL_BINS
from trainables.networks.original_ast import config_of_original, convert_original
from trainables.networks.shipped import shipped, verified_folder
from trainables.networks.specs import DEFAULT, RANDOM

ARCHITECTURE = ("num_attention_heads", "hidden_act", "layer_norm_eps", "patch_size", "frequency_stride", "time_stride")
HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
HUB_TIMEOUT = 5.0  # seconds


class Backbone(nn.Module):
    """An AST whose position grid is fitted to one input length.

    Args:
        model: a transformer with its original position grid.
        frames: length of the inputs, spectrogram frames.

    Attributes:
        digest: SHA-256 of weights and architecture with the original grid: the same for every input length.
        dim: width of a token.
    """

    def __init__(self, model: ASTModel, frames: int) -> None:
        super().__init__()
        self.digest = weights_digest(model)
        self.ast = _fit_to(model, frames).eval()
        self.dim: int = model.config.hidden_size

    def forward(self, inputs: Tensor) -> Tensor:
        """Token maps, before the final LayerNorm: `[clips, frames, 128]` to `[clips, tokens, dim]`."""
        return self.blocks(self.patches(inputs))

    def patches(self, inputs: Tensor) -> Tensor:
        """Patches with their positions, before the first block: `[clips, frames, 128]` to `[clips, tokens, dim]`."""
        embedded: Tensor = self.ast.embeddings(inputs)
        return embedded

    def blocks(self, hidden: Tensor, first: int = 0, last: int | None = None) -> Tensor:
        """Transformer blocks `first` (inclusive) to `last` (exclusive): `[clips, tokens, dim]` to the same."""
        for block in self.ast.layers[first:last]:
            hidden = block(hidden, None)
        return hidden

    def pool(self, tokens: Tensor) -> Tensor:
        """Final LayerNorm, then the mean over all tokens: `[clips, tokens, dim]` to `[clips, dim]`."""
        pooled: Tensor = self.ast.layernorm(tokens).mean(dim=1)
        return pooled

    def embed(self, inputs: Tensor) -> Tensor:
        """mean over tokens of LN(x): `[clips, frames, 128]` to `[clips, dim]`."""
        return self.pool(self(inputs))

    def new_part(self, generator: torch.Generator | None = None) -> "SpecialisedPart":
        """A specialised part of this backbone's width; weights are uninitialised without a generator."""
        return SpecialisedPart(self.ast.config, generator)


class SpecialisedPart(nn.Module):
    """S_t of EDE: one transformer block, a LayerNorm and the mean over all tokens."""

    def __init__(self, config: ASTConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        with torch.device("meta"):  # allocated below: no draw from the global generator
            self.block = ASTLayer(config)
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.to_empty(device="cpu")
        if generator is not None:
            initialise(self, generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[clips, tokens, dim]` to `[clips, dim]`."""
        hidden: Tensor = self.norm(self.block(tokens, None))
        return hidden.mean(dim=1)


@functools.lru_cache(maxsize=2)
def load_backbone(name: str, frames: int) -> Backbone:
    """Loads the backbone called `name` for inputs of `frames` frames; cached for the next trial in this process.

    It is frozen; callers that train copy it first (`trainables.networks.classifier.trainable`).

    Raises:
        EarshotError: there is no such backbone, the file is not a checkpoint of an AST, or the hub cannot be reached.
    """
    if name in RANDOM:
        model = _random(*RANDOM[name])
    elif name in shipped():
        model = _pretrained(str(verified_folder(name)), local=True)
    elif name.endswith((".pth", ".pt", ".safetensors")):
        model = _from_original(Path(name))
    elif Path(name).is_dir():
        model = _from_folder(Path(name))
    elif HUB_NAME.match(name):
        model = _from_hub(name)
    else:
        raise EarshotError(
            f"backbone '{name}': not found; {suggestion(name, (*shipped(), *RANDOM))} (or give a .pth or "
            ".safetensors file, a folder saved by transformers, or a hub name such as "
            "MIT/ast-finetuned-audioset-10-10-0.4593)"
        )
    return Backbone(model, frames).requires_grad_(False)


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over the architecture, and over names, shapes and bytes of all parameters, in order of name."""
    digest = hashlib.sha256()
    config = getattr(getattr(module, "ast", module), "config", None)
    if config is not None:  # heads and epsilon change the output but not the parameters
        digest.update(repr([(key, getattr(config, key)) for key in ARCHITECTURE]).encode())
    for key, value in sorted(module.state_dict().items()):
        array = value.detach().cpu().contiguous()
        digest.update(f"{key} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Initialises weights as the original ViT: truncated normal (std 0.02), biases 0, LayerNorm 1 and 0."""
    for name, parameter in sorted(module.named_parameters()):
        with torch.no_grad():
            if parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
            else:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)


def _random(width: int, blocks: int, heads: int) -> ASTModel:
    config = ASTConfig(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        layer_norm_eps=1e-6,
    )
    model = _empty(config)
    initialise(model, torch.Generator().manual_seed(0))
    return model


def _empty(config: ASTConfig) -> ASTModel:
    config._attn_implementation = "sdpa"
    with torch.device("meta"):  # no draw from the global generator, no initialisation
        model = ASTModel(config)
    return model.to_empty(device="cpu")


def _from_original(path: Path) -> ASTModel:
    if not path.is_file():
        raise EarshotError(f"backbone '{path}': no such file")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each library raises many types of exception for a bad file
        raise EarshotError(f"backbone '{path}': not a checkpoint of plain tensors ({first_line(error)})") from None
    config = config_of_original(state, path)
    model = _empty(config)
    load_parameters(model, convert_original(state, config.num_hidden_layers), f"backbone '{path}'", AST)
    return model


def _from_folder(path: Path) -> ASTModel:
    if not (path / "config.json").is_file():
        raise EarshotError(f"backbone '{path}': the folder has no config.json; expected one saved by transformers")
    return _pretrained(str(path), local=True)


def _from_hub(name: str) -> ASTModel:
    from huggingface_hub import HfApi

    try:
        return _pretrained(name, local=True)  # already downloaded
    except _UnreadableError:
        pass
    try:
        HfApi().model_info(name, timeout=HUB_TIMEOUT)
    except Exception as error:
        raise EarshotError(
            f"backbone '{name}': not in the local cache, and the Hugging Face hub did not answer "
            f"({type(error).__name__}); download it on a machine with network access and give its folder or a .pth or "
            f".safetensors file, or use the shipped one: --backbone {DEFAULT}"
        ) from None
    return _pretrained(name, local=False)


class _UnreadableError(EarshotError):
    """A checkpoint is not there, or cannot be read."""


def _pretrained(name: str, *, local: bool) -> ASTModel:
    """A model of `transformers`, whose parameters are all those of its checkpoint.

    Raises:
        EarshotError: it is not a checkpoint of an AST, or cannot be read (`_UnreadableError`).
    """
    disable_progress_bar()  # of reading tensors from a file
    set_verbosity_error()  # differences between the parameters are checked here
    shown = f"backbone '{name}'"
    try:
        config, _ = PretrainedConfig.get_config_dict(name, local_files_only=local)
        check_model_type(shown, AST, config.get("model_type"))
        loaded: Any = ASTModel.from_pretrained(  # a pair, which its annotation does not say
            name, local_files_only=local, attn_implementation="sdpa", dtype=torch.float32, output_loading_info=True
        )
        model: ASTModel = loaded[0]
        info: dict[str, Any] = loaded[1]
        check_parameters(shown, AST, info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"])
    except EarshotError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise _UnreadableError(f"{shown}: cannot be loaded by transformers.ASTModel ({reason})") from None
    return model


def _fit_to(model: ASTModel, frames: int) -> ASTModel:
    """A copy of a model whose position grid is fitted to `frames` frames: cropped to its centre, or interpolated.

    A grid of T time steps is cropped to `[T // 2 - t // 2, T // 2 - t // 2 + t)`; for a longer input it is interpolated
    bilinearly, as in the original AST code.

    Raises:
        EarshotError: the model expects another number of mel bins, or the input is shorter than a patch.
    """
    old = model.config
    # dropout would draw from the global generator; no method here trains with it
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = ASTConfig(**{**old.to_dict(), **no_dropout, "max_length": frames})
    if config.num_mel_bins != MEL_BINS:
        raise EarshotError(f"backbone: expects {config.num_mel_bins} mel bins, the front ends give {MEL_BINS}")
    fitted = _empty(config)
    if frames < (patch := fitted.embeddings.patch_embeddings.projection.kernel_size[1]):
        raise EarshotError(
            f"clips of {frames} frames are shorter than one patch of {patch}; use longer clips or a shorter hop"
        )
    bands, steps = (int(size) for size in fitted.embeddings.get_shape(config))
    old_bands, old_steps = (int(size) for size in model.embeddings.get_shape(old))
    state = dict(model.state_dict())
    positions = state["embeddings.position_embeddings"]
    special, grid = positions[:, :2], positions[:, 2:]
    grid = grid.transpose(1, 2).reshape(1, -1, old_bands, old_steps)
    if steps <= old_steps:
        first = old_steps // 2 - steps // 2
        grid = grid[..., first : first + steps]
    else:
        grid = nn.functional.interpolate(grid, size=(bands, steps), mode="bilinear")
    grid = grid.reshape(1, -1, bands * steps).transpose(1, 2)
    state["embeddings.position_embeddings"] = torch.cat([special, grid], dim=1).contiguous()
    fitted.load_state_dict(state)
    return fitted
