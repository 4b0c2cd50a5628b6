"""The Audio Spectrogram Transformer (Gong et al. 2021, arXiv 2104.01778)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import ASTConfig, ASTModel
from transformers.models.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer import ASTLayer

from datasets.utils.errors import EarshotError, first_line
from trainables.networks.backbones.backbone import Adapter, SpecialisedPart, TokenBackbone, WaveTransform
from trainables.networks.backbones.pretrained import ADVICE, check_depth, pretrained
from trainables.networks.backbones.source import CHECKPOINTS, Source, find_source
from trainables.networks.checkpoint import AST, check_model_type, load_parameters
from trainables.networks.frontend import MEL_BINS, FrontEnd
from trainables.networks.original_ast import config_of_original, convert_original
from trainables.networks.specs import RANDOM, BackboneSpec, ClipFormat, Pool
from trainables.networks.weights import Initialisation, initialise, weights_digest

EXAMPLE = "MIT/ast-finetuned-audioset-10-10-0.4593"
MODEL_TYPES = ("audio-spectrogram-transformer",)
LAYERS = False
FRONT_ENDS = True
POOLS: tuple[Pool, ...] = ("mean", "cls", "pooler")

ARCHITECTURE = ("num_attention_heads", "hidden_act", "layer_norm_eps", "patch_size", "frequency_stride", "time_stride")

RESTORED = (
    "attention_probs_dropout_prob", "frequency_stride", "hidden_act", "hidden_dropout_prob", "hidden_size",
    "initializer_range", "intermediate_size", "layer_norm_eps", "max_length", "num_attention_heads",
    "num_hidden_layers", "num_mel_bins", "patch_size", "qkv_bias", "time_stride",
)  # fmt: skip
"""The keys that are read from the config.json of an export: other keys could name code or files."""


class ASTBackbone(TokenBackbone):
    """An AST whose position grid is fitted to one input length.

    Args:
        model: a transformer with its original position grid.
        frames: length of the inputs, spectrogram frames.
        frontend: gives the inputs; None where the caller has them already.
        pooling: how tokens become an embedding after the final norm: `mean` of all, the class token (`cls`), or the
            mean of the class and the distillation token as `pooler_output` of transformers (`pooler`). Token maps are
            offered with `mean` only: methods that change them, or drop tokens, pool what is left.
    """

    family = "ast"
    provides = frozenset({"embed", "tune", "tokens", "spectrogram"})
    special_tokens = 2  # class and distillation token

    def __init__(
        self, model: ASTModel, frames: int, frontend: WaveTransform | None = None, pooling: Pool | None = None
    ) -> None:
        super().__init__()
        self.pooling: Pool = pooling or "mean"
        if self.pooling != "mean":
            self.provides = self.provides - {"tokens"}
        self.digest = weights_digest(model, _architecture(model.config, self.pooling))
        self.ast = _fit_to(model, frames).eval()
        self.dim = model.config.hidden_size
        if frontend is not None:
            self.frontend = frontend

    @property
    def architecture(self) -> bytes:
        return _architecture(self.ast.config, self.pooling)

    @property
    def depth(self) -> int:
        return len(self.ast.layers)

    @property
    def norm(self) -> nn.Module:
        norm: nn.Module = self.ast.layernorm
        return norm

    def patches(self, inputs: Tensor) -> Tensor:
        embedded: Tensor = self.ast.embeddings(inputs)
        return embedded

    def pool(self, tokens: Tensor) -> Tensor:
        if self.pooling == "mean":
            return super().pool(tokens)
        normed = self.norm(tokens)
        pooled: Tensor = normed[:, 0] if self.pooling == "cls" else (normed[:, 0] + normed[:, 1]) / 2
        return pooled

    def block(self, index: int, hidden: Tensor, adapter: Adapter | None = None) -> Tensor:
        block = self.ast.layers[index]
        if adapter is None:
            output: Tensor = block(hidden, None)
            return output
        attended = block.attention(block.layernorm_before(hidden), None)[0] + hidden
        adapted: Tensor = block.mlp(block.layernorm_after(attended)) + attended + adapter(attended)
        return adapted

    def new_part(
        self, generator: torch.Generator | None = None, initialisation: Initialisation = "vit"
    ) -> SpecialisedPart:
        config = self.ast.config
        return SpecialisedPart(lambda: ASTLayer(config), self.dim, config.layer_norm_eps, generator, initialisation)

    def last_block_state(self) -> dict[str, Tensor]:
        return dict(self.ast.layers[-1].state_dict())

    def drop_last_block(self) -> None:
        del self.ast.layers[-1]
        self.ast.layernorm = nn.Identity()

    def save_config(self, folder: Path) -> None:
        self.ast.config.save_pretrained(folder)

    def saved_state(self) -> dict[str, Tensor]:
        return dict(self.ast.state_dict())


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> ASTBackbone:
    """Loads an AST with its front end.

    Raises:
        EarshotError: the file is not a checkpoint of an AST, or an option does not fit.
    """
    frontend = FrontEnd(spec.frontend, clips.sample_rate, clips.num_samples, device)
    return ASTBackbone(_model(source), frontend.frames, frontend, spec.pool)


def load_ast(name: str, frames: int) -> ASTBackbone:
    """An AST without front end, for inputs of `frames` frames; frozen.

    Raises:
        EarshotError: there is no such backbone, or it is no AST.
    """
    source = find_source(name)
    check_model_type(f"backbone '{name}'", AST, source.model_type or None)
    return ASTBackbone(_model(source), frames).requires_grad_(False)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> ASTBackbone:
    """An AST from the files of an export.

    Args:
        values: of its `config.json`.
        state: its weights.
        spec: front end and options.
        clips: that it is for.
        device: where the front end runs.
    """
    frontend = FrontEnd(spec.frontend, clips.sample_rate, clips.num_samples, device)
    check_model_type("backbone", AST, values.get("model_type"), ADVICE)
    check_depth(values, state)
    config = ASTConfig(**{key: values[key] for key in RESTORED})
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        model = ASTModel(config)
    load_parameters(model, state, "backbone", AST, assign=True, advice=ADVICE)
    return ASTBackbone(model, frontend.frames, frontend, spec.pool)


def _model(source: Source) -> ASTModel:
    if source.name in RANDOM:
        return _random(*RANDOM[source.name])
    if source.name.endswith(CHECKPOINTS):
        return _from_original(Path(source.name))
    model: ASTModel = pretrained(ASTModel, source, AST)
    return model


def _architecture(config: ASTConfig, pooling: Pool) -> bytes:
    values = repr([(key, getattr(config, key)) for key in ARCHITECTURE])
    return (values if pooling == "mean" else f"{values} {pooling}").encode()


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
