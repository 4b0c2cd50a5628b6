"""The encoder of Whisper (Radford et al. 2022, arXiv 2212.04356).

Its log-mel spectrogram is that of `WhisperFeatureExtractor`, of a batch at once. The decoder is neither needed nor
loaded. The embedding is the mean over tokens, 20 ms each, after the final norm.

`--padding` decides how a clip comes to the length that the encoder was trained with, 30 s:

- `model` (the default): silence follows the clip, as in transformers, which accepts nothing else. The encoder sees
  inputs like those of its training, and an embedding equals the mean of what a user of the hub computes. A clip of 2 s
  takes the time of 30 s, and 14 of 15 tokens of the mean are silence.
- `none`: the tokens of the clip alone, with the first positions. It takes a fifteenth of the time for clips of 2 s, but
  the encoder was not trained on such inputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder, WhisperEncoderLayer

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.backbone import Adapter, SpecialisedPart, run_block
from trainables.networks.backbones.layered import LayeredBackbone
from trainables.networks.backbones.pretrained import extractor_settings, pretrained, restored, save_config
from trainables.networks.backbones.source import Source
from trainables.networks.specs import BackboneSpec, ClipFormat, Padding
from trainables.networks.waves import WaveFrontEnd, WaveSpec
from trainables.networks.weights import Initialisation, weights_digest

EXAMPLE = "openai/whisper-small"
MODEL_TYPES = ("whisper",)
LAYERS = True
FRONT_ENDS = False
PADDINGS = True

ARCHITECTURE = ("encoder_attention_heads", "activation_function")
"""What changes the output and not the shapes of the parameters."""
DEPTH = "encoder_layers"
ENCODER = {r"^(model\.)?encoder\.": ""}
"""The names of the encoder's parameters, in a checkpoint of the whole model or of one with a head."""
HIGHEST = 8_000.0  # Hz, of the mel filter bank
FLOOR = 1e-10  # of a power
RANGE = 8.0  # log10 of the power range below a clip's maximum
LAYER_NORM_EPS = 1e-5


@dataclass(frozen=True)
class WhisperSpec:
    """Settings of `WhisperFrontEnd`.

    Attributes:
        rate: of the encoder, Hz.
        bins: mel bins.
        fft: window and FFT size, samples.
        hop: step between windows, samples.
        frames: that the encoder was trained with.
        padding: to this length, or none.
    """

    rate: int
    bins: int
    fft: int
    hop: int
    frames: int
    padding: Padding

    def __str__(self) -> str:
        return f"whisper {self.rate} {self.bins} {self.fft}/{self.hop} {self.frames} padding {self.padding}"


class WhisperFrontEnd:
    """Log-mel spectrograms as `WhisperFeatureExtractor` gives them, without its dithering.

    The frames of silence that follow a clip are all equal: only the first is kept, and repeated by `pad`.

    Args:
        spec: its settings.
        clips: what it reads.
        device: where it runs.

    Raises:
        EarshotError: the clips are longer than the encoder allows, or shorter than half a window.
    """

    def __init__(self, spec: WhisperSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.sample_rate = clips.sample_rate
        self._waves = WaveFrontEnd(WaveSpec(spec.rate), clips, device)
        samples = self._waves.num_samples
        if samples > spec.frames * spec.hop or samples <= spec.fft // 2:
            seconds = spec.frames * spec.hop / spec.rate
            raise EarshotError(
                f"backbone: clips of {samples / spec.rate:g} s; expected more than {spec.fft // 2} samples at "
                f"{spec.rate} Hz and at most {seconds:g} s, which Whisper was trained with; prepare other clips"
            )
        self._frames = 2 * -(-samples // (2 * spec.hop))  # whole tokens
        if spec.padding == "model":
            self._frames = min(spec.frames, -(-(samples + spec.fft // 2) // spec.hop) + 1)
        self._pad_samples = self._frames * spec.hop - samples
        self._window = torch.hann_window(spec.fft).to(self._waves.device)
        filters = mel_filter_bank(
            1 + spec.fft // 2, spec.bins, 0.0, HIGHEST, spec.rate, norm="slaney", mel_scale="slaney"
        )
        self._filters = torch.from_numpy(filters.T).float().to(self._waves.device)

    def __call__(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` in [-1, 1] to `[clips, bins, frames]`, without all but the first frame of padding."""
        padded = nn.functional.pad(self._waves(waves), (0, self._pad_samples))
        spectrum = torch.stft(padded, self.spec.fft, self.spec.hop, window=self._window, return_complex=True)
        power = spectrum[..., :-1].abs().square()
        logmel = (self._filters @ power).clamp_min(FLOOR).log10()
        logmel = torch.maximum(logmel, logmel.amax(dim=(1, 2), keepdim=True) - RANGE)
        return (logmel + 4.0) / 4.0

    def pad(self, logmel: Tensor) -> Tensor:
        """`[clips, bins, frames]` with all frames of padding."""
        if self.spec.padding == "none":
            return logmel
        return nn.functional.pad(logmel, (0, self.spec.frames - logmel.shape[2]), mode="replicate")


class WhisperBackbone(LayeredBackbone):
    """The encoder of Whisper.

    Args:
        model: the encoder; its blocks above the layer are removed.
        spec: the layer.
        frontend: gives log-mel spectrograms.

    Raises:
        EarshotError: there is no such layer.
    """

    family = "whisper"
    count_key = DEPTH
    frontend: WhisperFrontEnd

    def __init__(self, model: Any, spec: BackboneSpec, frontend: WhisperFrontEnd) -> None:
        super().__init__(model, spec.layer)
        self.frontend = frontend
        self.sample_rate = frontend.spec.rate
        self.dim = model.config.d_model
        self.digest = weights_digest(self)

    @property
    def architecture(self) -> bytes:
        values = [(key, getattr(self.model.config, key)) for key in ARCHITECTURE]
        return repr((self.family, values, self.layer, str(self.frontend.spec))).encode()

    @property
    def encoder(self) -> Any:
        return self.model

    @property
    def final_norm(self) -> nn.Module:
        norm: nn.Module = self.model.layer_norm
        return norm

    def patches(self, inputs: Tensor) -> Tensor:
        hidden = nn.functional.gelu(self.model.conv1(self.frontend.pad(inputs)))
        hidden = nn.functional.gelu(self.model.conv2(hidden)).transpose(1, 2)
        tokens: Tensor = hidden + self.model.embed_positions.weight[: hidden.shape[1]]
        return tokens

    def block(self, index: int, hidden: Tensor, adapter: Adapter | None = None) -> Tensor:
        block = self.model.layers[index]
        if adapter is None:
            return run_block(block, hidden)
        attended = block.self_attn(block.self_attn_layer_norm(hidden))[0] + hidden
        mlp = block.fc2(block.activation_fn(block.fc1(block.final_layer_norm(attended))))
        adapted: Tensor = attended + mlp + adapter(attended)
        return adapted

    def new_part(
        self, generator: torch.Generator | None = None, initialisation: Initialisation = "vit"
    ) -> SpecialisedPart:
        config = self.model.config
        return SpecialisedPart(lambda: WhisperEncoderLayer(config), self.dim, LAYER_NORM_EPS, generator, initialisation)

    def save_config(self, folder: Path) -> None:
        spec = self.frontend.spec
        save_config(self.model.config, folder, sampling_rate=spec.rate, n_fft=spec.fft, hop_length=spec.hop)


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> WhisperBackbone:
    """Loads an encoder with its front end.

    Raises:
        EarshotError: the checkpoint is incomplete, or an option or the clips do not fit.
    """
    settings = extractor_settings(WhisperFeatureExtractor, source)
    model = pretrained(WhisperEncoder, source, key_mapping=ENCODER)
    return _backbone(model, settings, spec, clips, device)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> WhisperBackbone:
    """An encoder from the files of an export; see `ast.restore`."""
    return _backbone(restored(WhisperEncoder, MODEL_TYPES, values, state, DEPTH), values, spec, clips, device)


def _backbone(
    model: Any, settings: Mapping[str, Any], spec: BackboneSpec, clips: ClipFormat, device: Any
) -> WhisperBackbone:
    rate, fft, hop = (int(settings[key]) for key in ("sampling_rate", "n_fft", "hop_length"))
    frames = 2 * model.config.max_source_positions  # conv2 halves them
    frontend = WhisperSpec(rate, model.config.num_mel_bins, fft, hop, frames, spec.padding)
    return WhisperBackbone(model, spec, WhisperFrontEnd(frontend, clips, device))
