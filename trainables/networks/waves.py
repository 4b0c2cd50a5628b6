"""The front end of encoders that read waveforms: resampling to their rate, and normalisation per clip."""

import math
from dataclasses import dataclass

import torch
import torchaudio
from torch import Tensor

from datasets.utils.errors import EarshotError
from trainables.networks.specs import ClipFormat

LARGEST_RATIO = 4096  # of a resampling, in lowest terms: its filter bank has so many filters
EPSILON = 1e-7  # added to the variance, as in transformers' Wav2Vec2FeatureExtractor


@dataclass(frozen=True)
class WaveSpec:
    """Settings of `WaveFrontEnd`.

    Attributes:
        rate: of the encoder, Hz.
        normalise: whether each clip is brought to mean 0 and variance 1.
    """

    rate: int
    normalise: bool = False

    def __str__(self) -> str:
        return f"wave {self.rate}" + (" normalised" if self.normalise else "")


class WaveFrontEnd:
    """Waveforms at the rate of an encoder.

    Args:
        spec: its settings.
        clips: what it reads.
        device: where it runs.

    Attributes:
        num_samples: length of its outputs.

    Raises:
        EarshotError: the clips cannot be resampled to the rate.
    """

    def __init__(self, spec: WaveSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.sample_rate = clips.sample_rate
        self.device = torch.device(device)
        if max(clips.sample_rate, spec.rate) // math.gcd(clips.sample_rate, spec.rate) > LARGEST_RATIO:
            raise EarshotError(
                f"backbone: expects {spec.rate} Hz, to which clips at {clips.sample_rate} Hz cannot be resampled; "
                f"prepare the benchmark with --sample-rate {spec.rate}"
            )
        self.num_samples = math.ceil(clips.num_samples * spec.rate / clips.sample_rate)

    def __call__(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` to `[clips, num_samples]`."""
        waves = waves.to(self.device)
        if self.sample_rate != self.spec.rate:
            waves = torchaudio.functional.resample(waves, self.sample_rate, self.spec.rate)
        if self.spec.normalise:
            centred = waves - waves.mean(dim=1, keepdim=True)
            waves = centred / (centred.square().mean(dim=1, keepdim=True) + EPSILON).sqrt()
        return waves
