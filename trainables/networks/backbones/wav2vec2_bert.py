"""w2v-BERT 2.0 (Barrault et al. 2023, arXiv 2312.05187): Conformer blocks on Kaldi's filter bank.

Its input is that of `SeamlessM4TFeatureExtractor`, of a batch at once: 80 mel bins, normalised per clip and bin, two
frames a token. The embedding is the mean over tokens, 20 ms each.

- Of an odd number of frames the last one is dropped: transformers masks the token that it would begin.
- Dropout, LayerDrop and SpecAugment, which the model applies while it is trained, are off.
- The blocks of w2v-BERT 2.0 know the positions themselves (`position_embeddings_type` relative_key). With other types
  they share positions, which a single block lacks: there are no tokens then.
- An adapter on top (`add_adapter`) is not used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertEncoderLayer

from datasets.utils.errors import EarshotError
from trainables.networks import kaldi_filter_bank
from trainables.networks.backbones.backbone import Adapter, SpecialisedPart
from trainables.networks.backbones.layered import LayeredBackbone
from trainables.networks.backbones.pretrained import extractor_settings, pretrained, restored, save_config
from trainables.networks.backbones.source import Source
from trainables.networks.kaldi_filter_bank import KaldiFilterBank
from trainables.networks.specs import BackboneSpec, ClipFormat
from trainables.networks.waves import WaveFrontEnd, WaveSpec
from trainables.networks.weights import Initialisation, weights_digest

EXAMPLE = "facebook/w2v-bert-2.0"
MODEL_TYPES = ("wav2vec2-bert",)
LAYERS = True
FRONT_ENDS = False

ARCHITECTURE = (
    "num_attention_heads", "hidden_act", "layer_norm_eps", "position_embeddings_type", "rotary_embedding_base",
    "left_max_position_embeddings", "right_max_position_embeddings",
)  # fmt: skip
"""What changes the output and not the shapes of the parameters."""
FULL_SCALE = 2.0**15  # Kaldi reads 16-bit integers
EPSILON = 1e-7  # added to the variance, as in the extractor


@dataclass(frozen=True)
class FilterBankSpec:
    """Settings of `FilterBankFrontEnd`.

    Attributes:
        bins: mel bins.
        stride: frames a token.
    """

    bins: int
    stride: int

    def __str__(self) -> str:
        return f"fbank {self.bins} x {self.stride}"


class FilterBankFrontEnd:
    """Kaldi's filter bank as `SeamlessM4TFeatureExtractor` gives it.

    Args:
        spec: its settings.
        clips: what it reads.
        device: where it runs.

    Raises:
        EarshotError: the clips are shorter than two tokens.
    """

    def __init__(self, spec: FilterBankSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.sample_rate = clips.sample_rate
        self._waves = WaveFrontEnd(WaveSpec(kaldi_filter_bank.RATE), clips, device)
        self._bank = KaldiFilterBank(spec.bins, self._waves.device, kaldi_filter_bank.POVEY)
        samples = self._waves.num_samples
        if KaldiFilterBank.frames(samples) < 2 * spec.stride:
            raise EarshotError(
                f"backbone: clips of {samples} samples at {kaldi_filter_bank.RATE} Hz are shorter than two tokens; "
                "use longer clips"
            )

    def __call__(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` in [-1, 1] to `[clips, tokens, stride x bins]`."""
        energies = self._bank(FULL_SCALE * self._waves(waves))
        centred = energies - energies.mean(dim=1, keepdim=True)
        normalised = centred / (energies.var(dim=1, keepdim=True) + EPSILON).sqrt()
        tokens = normalised.shape[1] // self.spec.stride
        return normalised[:, : tokens * self.spec.stride].reshape(len(waves), tokens, -1)


class Wav2Vec2BertBackbone(LayeredBackbone):
    """The encoder of w2v-BERT.

    Args:
        model: of `transformers`; its blocks above the layer are removed.
        spec: the layer.
        frontend: gives filter bank energies.

    Raises:
        EarshotError: there is no such layer.
    """

    family = "wav2vec2_bert"
    frontend: FilterBankFrontEnd

    def __init__(self, model: Any, spec: BackboneSpec, frontend: FilterBankFrontEnd) -> None:
        super().__init__(model, spec.layer)
        self.frontend = frontend
        self.sample_rate = kaldi_filter_bank.RATE
        self.dim = model.config.hidden_size
        if self.encoder.embed_positions is not None:
            self.provides = self.provides - {"tokens"}
        self.digest = weights_digest(self)

    @property
    def architecture(self) -> bytes:
        values = [(key, getattr(self.model.config, key)) for key in ARCHITECTURE]
        return repr((self.family, values, self.layer, str(self.frontend.spec))).encode()

    @property
    def final_norm(self) -> nn.Module:
        return nn.Identity()  # every block ends with a norm

    def patches(self, inputs: Tensor) -> Tensor:
        tokens: Tensor = self.model.feature_projection(inputs)[0]
        return tokens

    def block(self, index: int, hidden: Tensor, adapter: Adapter | None = None) -> Tensor:
        block = self.encoder.layers[index]
        positions = self.encoder.embed_positions
        shared = {} if positions is None else {"relative_position_embeddings": positions(hidden)}
        if adapter is None:
            output: Tensor = block(hidden, None, **shared)
            return output
        hidden = hidden + 0.5 * block.ffn1(block.ffn1_layer_norm(hidden))
        hidden = hidden + block.self_attn(block.self_attn_layer_norm(hidden), **shared)[0]
        hidden = hidden + block.conv_module(hidden)
        mlp = 0.5 * block.ffn2(block.ffn2_layer_norm(hidden))
        adapted: Tensor = block.final_layer_norm(hidden + mlp + adapter(hidden))
        return adapted

    def new_part(
        self, generator: torch.Generator | None = None, initialisation: Initialisation = "vit"
    ) -> SpecialisedPart:
        config = self.model.config
        eps = config.layer_norm_eps
        return SpecialisedPart(lambda: Wav2Vec2BertEncoderLayer(config), self.dim, eps, generator, initialisation)

    def save_config(self, folder: Path) -> None:
        spec = self.frontend.spec
        rate = kaldi_filter_bank.RATE
        save_config(self.model.config, folder, sampling_rate=rate, num_mel_bins=spec.bins, stride=spec.stride)


def load(
    source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu"
) -> Wav2Vec2BertBackbone:
    """Loads an encoder with its front end.

    Raises:
        EarshotError: the checkpoint is incomplete, or an option or the clips do not fit.
    """
    settings = extractor_settings(SeamlessM4TFeatureExtractor, source)
    return _backbone(pretrained(Wav2Vec2BertModel, source), settings, spec, clips, device)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> Wav2Vec2BertBackbone:
    """An encoder from the files of an export; see `ast.restore`."""
    return _backbone(restored(Wav2Vec2BertModel, MODEL_TYPES, values, state), values, spec, clips, device)


def _backbone(
    model: Any, settings: Mapping[str, Any], spec: BackboneSpec, clips: ClipFormat, device: Any
) -> Wav2Vec2BertBackbone:
    rate, bins, stride = (int(settings[key]) for key in ("sampling_rate", "num_mel_bins", "stride"))
    width = model.config.feature_projection_input_dim
    if rate != kaldi_filter_bank.RATE or bins * stride != width:
        raise EarshotError(
            f"backbone: preprocessor_config.json: expected {kaldi_filter_bank.RATE} Hz and num_mel_bins x stride = "
            f"{width}, found {rate} Hz and {bins} x {stride}; save the model with its own feature extractor"
        )
    return Wav2Vec2BertBackbone(model, spec, FilterBankFrontEnd(FilterBankSpec(bins, stride), clips, device))
