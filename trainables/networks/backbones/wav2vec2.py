"""wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477) and its relatives in `transformers`: transformers on waveforms.

HuBERT, WavLM, data2vec-audio, SEW, UniSpeech and MMS have the same parts: a convolutional encoder of the waveform (a
token every 20 ms), convolutional positions, and transformer blocks. The embedding is the mean over tokens.

- All clips have the same length: there is no attention mask. Encoders with group norm must not get one.
- Dropout, LayerDrop and SpecAugment, which these models apply while they are trained, are off.
- WavLM's blocks share the position bias of the first; a specialised part has its own.
- SEW's blocks see every second token; its upsampling comes before the mean, as in transformers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, Wav2Vec2FeatureExtractor

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.backbone import Adapter, SpecialisedPart, run_block
from trainables.networks.backbones.layered import LayeredBackbone
from trainables.networks.backbones.pretrained import extractor_settings, pretrained, restored, save_config
from trainables.networks.backbones.source import Source
from trainables.networks.specs import BackboneSpec, ClipFormat, Layer
from trainables.networks.waves import WaveFrontEnd, WaveSpec
from trainables.networks.weights import Initialisation, weights_digest

EXAMPLE = "microsoft/wavlm-base-plus"
MODEL_TYPES = ("data2vec-audio", "hubert", "sew", "unispeech", "unispeech-sat", "wav2vec2", "wavlm")
LAYERS = True
FRONT_ENDS = False

ARCHITECTURE = (
    "model_type", "num_attention_heads", "hidden_act", "layer_norm_eps", "do_stable_layer_norm", "feat_extract_norm",
    "feat_extract_activation", "feat_proj_layer_norm", "conv_stride", "num_conv_pos_embedding_groups", "squeeze_factor",
    "num_buckets", "max_bucket_distance",
)  # fmt: skip
"""What changes the output and not the shapes of the parameters."""


class Wav2Vec2Backbone(LayeredBackbone):
    """An encoder of waveforms.

    Args:
        model: of `transformers`; its blocks above `layer` are removed.
        layer: whose output is the embedding.
        frontend: gives waveforms at the model's rate.

    Raises:
        EarshotError: there is no such layer, or the clips are shorter than a token.
    """

    family = "wav2vec2"
    frontend: WaveFrontEnd

    def __init__(self, model: Any, layer: Layer, frontend: WaveFrontEnd) -> None:
        super().__init__(model, layer)
        self.frontend = frontend
        self.sample_rate = frontend.spec.rate
        self.dim = model.config.hidden_size
        self._stable = bool(getattr(model.config, "do_stable_layer_norm", False))
        if int(model._get_feat_extract_output_lengths(frontend.num_samples)) < 1:
            raise EarshotError(
                f"backbone: clips of {frontend.num_samples} samples at {frontend.spec.rate} Hz are shorter than a "
                "token; use longer clips"
            )
        self.digest = weights_digest(self)

    @property
    def architecture(self) -> bytes:
        values = [(key, getattr(self.model.config, key, None)) for key in ARCHITECTURE]
        return repr((values, self.layer, str(self.frontend.spec))).encode()

    @property
    def final_norm(self) -> nn.Module:
        encoder = self.encoder
        if hasattr(encoder, "upsample"):
            upsample: nn.Module = encoder.upsample
            return upsample
        norm: nn.Module = encoder.layer_norm if self._stable else nn.Identity()
        return norm

    def patches(self, inputs: Tensor) -> Tensor:
        model, encoder = self.model, self.model.encoder
        features = model.feature_extractor(inputs).transpose(1, 2)
        if hasattr(encoder, "upsample"):
            return self._squeezed(features)
        projected = model.feature_projection(features)
        hidden: Tensor = projected[0] if isinstance(projected, tuple) else projected
        hidden = hidden + encoder.pos_conv_embed(hidden)
        return hidden if self._stable else encoder.layer_norm(hidden)

    def block(self, index: int, hidden: Tensor, adapter: Adapter | None = None) -> Tensor:
        layer = self.model.encoder.layers[index]
        bias = self._position_bias(index, hidden)
        if adapter is None:
            return run_block(layer, hidden, **bias)
        attended = layer.attention(layer.layer_norm(hidden) if self._stable else hidden, **bias)[0] + hidden
        if self._stable:
            output: Tensor = attended + layer.feed_forward(layer.final_layer_norm(attended)) + adapter(attended)
            own = getattr(layer, "adapter_layer", None)  # of MMS
            return output if own is None else output + own(output)
        attended = layer.layer_norm(attended)
        output = layer.final_layer_norm(attended + layer.feed_forward(attended) + adapter(attended))
        return output

    def new_part(
        self, generator: torch.Generator | None = None, initialisation: Initialisation = "vit"
    ) -> SpecialisedPart:
        config, block_class = self.model.config, self._block_class
        part = SpecialisedPart(lambda: block_class(config), self.dim, config.layer_norm_eps, generator, initialisation)
        if generator is not None and config.model_type == "wavlm":
            nn.init.ones_(part.block.attention.gru_rel_pos_const)  # type: ignore[union-attr, arg-type]
        return part

    def last_block_state(self) -> dict[str, Tensor]:
        state = super().last_block_state()
        if self.model.config.model_type == "wavlm":
            state["attention.rel_attn_embed.weight"] = self.encoder.layers[0].attention.rel_attn_embed.weight
        return state

    def save_config(self, folder: Path) -> None:
        spec = self.frontend.spec
        save_config(self.model.config, folder, sampling_rate=spec.rate, do_normalize=spec.normalise)

    def _squeezed(self, features: Tensor) -> Tensor:
        model, encoder = self.model, self.model.encoder
        hidden = model.layer_norm(features)
        hidden = (model.feature_projection(hidden) if model.project_features else hidden).transpose(1, 2)
        positions, pooled = encoder.pos_conv_embed(hidden), encoder.pool(hidden)
        length = min(positions.shape[-1], pooled.shape[-1])
        tokens: Tensor = encoder.layer_norm((pooled[..., :length] + positions[..., :length]).transpose(1, 2))
        return tokens

    def _position_bias(self, index: int, hidden: Tensor) -> dict[str, Tensor]:
        """The argument that only WavLM's blocks after the first need."""
        if index == 0 or self.model.config.model_type != "wavlm":
            return {}
        clips, tokens, _ = hidden.shape
        bias = self.model.encoder.layers[0].attention.compute_bias(tokens, tokens)
        return {"position_bias": bias.repeat(clips, 1, 1)}


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> Wav2Vec2Backbone:
    """Loads an encoder with its front end.

    Raises:
        EarshotError: the checkpoint is incomplete, or an option or the clips do not fit.
    """
    settings = extractor_settings(Wav2Vec2FeatureExtractor, source)
    model = pretrained(AutoModel, source)
    return _backbone(model, settings, spec, clips, device)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> Wav2Vec2Backbone:
    """An encoder from the files of an export; see `ast.restore`."""
    return _backbone(restored(AutoModel, MODEL_TYPES, values, state), values, spec, clips, device)


def _backbone(
    model: Any, settings: Mapping[str, Any], spec: BackboneSpec, clips: ClipFormat, device: Any
) -> Wav2Vec2Backbone:
    waves = WaveSpec(int(settings["sampling_rate"]), normalise=bool(settings["do_normalize"]))
    return Wav2Vec2Backbone(model, spec.layer, WaveFrontEnd(waves, clips, device))
