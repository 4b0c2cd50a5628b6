"""The front end of CLAP: log-mel spectrograms of 10 s, as `transformers.ClapFeatureExtractor` makes them.

A shorter clip is repeated up to 10 s; what is left is zeros (`repeatpad`). Of a longer clip the first 10 s are used.
The extractor takes a random part of it instead, and marks a random clip of a batch as long where the network fuses
several parts; nothing here is random, and no clip is marked.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

from datasets.utils.validation import validated
from trainables.networks.specs import ClipFormat
from trainables.networks.waves import WaveFrontEnd, WaveSpec

FLOOR = 1e-10  # of a power: -100 dB


class ClapSpec(BaseModel):
    """Settings of `ClapFrontEnd`, as the extractor calls them."""

    model_config = ConfigDict(frozen=True)

    sampling_rate: int = Field(ge=1000, le=192_000, description="of the network, Hz")
    max_length_s: int = Field(ge=1, le=60, description="length of a spectrogram, seconds")
    fft_window_size: int = Field(ge=2, le=65_536, description="of a window, samples")
    hop_length: int = Field(ge=1, description="step between windows, samples")
    feature_size: int = Field(ge=1, le=1024, description="number of mel bands")
    frequency_min: float = Field(ge=0, description="lowest frequency of a band, Hz")
    frequency_max: float = Field(gt=0, description="highest frequency of a band, Hz")
    padding: Literal["repeatpad", "repeat", "pad"] = Field(description="how shorter clips are filled up")
    slaney: bool = Field(description="bands of librosa: Slaney's scale, equal areas; else HTK's scale, equal peaks")

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, fusion: bool) -> "ClapSpec":
        """The settings of an extractor, or of an export, which are untrusted.

        Args:
            settings: `preprocessor_config.json`; other keys are ignored.
            fusion: whether the network fuses several parts of a clip; the extractors of those that do have HTK's bands.

        Raises:
            EarshotError: a value is missing or out of range.
        """
        slaney = not (fusion and settings.get("truncation", "fusion") == "fusion")
        known = {key: value for key, value in settings.items() if key in cls.model_fields}
        return validated(cls, {**known, "slaney": slaney}, "backbone: front end of a CLAP")

    @model_validator(mode="after")
    def _check_band(self) -> "ClapSpec":
        if not self.frequency_min < self.frequency_max <= self.sampling_rate / 2:
            raise ValueError("frequency_min and frequency_max must lie between 0 and half the sampling_rate")
        return self

    @property
    def num_samples(self) -> int:
        """Length of what a spectrogram is made of."""
        return self.max_length_s * self.sampling_rate

    @property
    def frames(self) -> int:
        """Length of a spectrogram."""
        return self.num_samples // self.hop_length + 1

    def __str__(self) -> str:
        bands = (
            f"{self.feature_size} {'slaney' if self.slaney else 'htk'} {self.frequency_min:g}-{self.frequency_max:g}"
        )
        window = f"{self.fft_window_size}/{self.hop_length}"
        return f"clap {self.sampling_rate} {self.max_length_s}s {self.padding} {window} {bands}"


class ClapFrontEnd:
    """Log-mel spectrograms in dB.

    Args:
        spec: its settings.
        clips: what it reads.
        device: where it runs.

    Raises:
        EarshotError: the clips cannot be resampled to the rate.
    """

    def __init__(self, spec: ClapSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.sample_rate = clips.sample_rate
        self.device = torch.device(device)
        self._waves = WaveFrontEnd(WaveSpec(spec.sampling_rate), clips, device)
        self._window = torch.hann_window(spec.fft_window_size, dtype=torch.float64).to(self.device)
        filters = mel_filter_bank(
            num_frequency_bins=spec.fft_window_size // 2 + 1,
            num_mel_filters=spec.feature_size,
            min_frequency=spec.frequency_min,
            max_frequency=spec.frequency_max,
            sampling_rate=spec.sampling_rate,
            norm="slaney" if spec.slaney else None,
            mel_scale="slaney" if spec.slaney else "htk",
        )
        self._filters = torch.from_numpy(filters).double().to(self.device)

    def __call__(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` in [-1, 1] to `[clips, frames, bands]`, float32.

        In float64, one clip at a time: as exact as the extractor, and the spectra of a batch need not fit into memory.
        """
        return torch.stack([self._log_mel(wave) for wave in self._filled(self._waves(waves))])

    def _filled(self, waves: Tensor) -> Tensor:
        """Clips of any length to `[clips, num_samples]`."""
        length = self.spec.num_samples
        waves = waves[:, :length]
        if self.spec.padding != "pad":
            waves = waves.repeat(1, length // waves.shape[1] + (self.spec.padding == "repeat"))[:, :length]
        return torch.nn.functional.pad(waves, (0, length - waves.shape[1]))

    def _log_mel(self, wave: Tensor) -> Tensor:
        spectrum = torch.stft(
            wave.double(),
            self.spec.fft_window_size,
            self.spec.hop_length,
            window=self._window,
            pad_mode="reflect",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        mel = power.T @ self._filters
        return 10 * mel.clamp_min(FLOOR).log10().float()
