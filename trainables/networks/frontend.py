"""Waveform to normalised log-mel spectrogram.

`reference` is the front end of the released EDE: a Slaney mel filter bank in dB (10 log10), with normalisation
constants that were measured on natural-log features. `kaldi` is the filter bank that AST was pretrained with
(Gong et al. 2021, arXiv 2104.01778).
"""

import torch
import torchaudio
from torch import Tensor

from datasets.utils.errors import EarshotError
from trainables.networks import kaldi_filter_bank
from trainables.networks.kaldi_filter_bank import KaldiFilterBank
from trainables.networks.specs import FrontEndSpec

MEL_BINS = 128


class FrontEnd:
    """Log-mel spectrograms of clips of one length and rate.

    Args:
        spec: the front end; see `FrontEndSpec.resolved` for its defaults.
        sample_rate: of the clips, Hz.
        num_samples: length of the clips.
        device: where the transform runs.

    Raises:
        EarshotError: the clips are shorter than a window.
    """

    def __init__(
        self, spec: FrontEndSpec, sample_rate: int, num_samples: int, device: torch.device | str = "cpu"
    ) -> None:
        self.spec = spec.resolved(sample_rate, num_samples)
        self.sample_rate = sample_rate
        self.device = torch.device(device)
        if self.spec.kind == "reference":
            assert self.spec.window and self.spec.hop
            self._mel = torchaudio.transforms.MelSpectrogram(
                sample_rate,
                n_fft=self.spec.window,
                win_length=self.spec.window,
                hop_length=self.spec.hop,
                n_mels=MEL_BINS,
                f_min=0.0,
                f_max=sample_rate / 2,
                norm="slaney",
                mel_scale="slaney",
            ).to(self.device)
            self._db = torchaudio.transforms.AmplitudeToDB("power", top_db=None)
            self._mean, self._scale = -4.26, 9.14
        else:
            self._fbank = KaldiFilterBank(MEL_BINS, self.device)
            self._mean, self._scale = -4.2677393, 2 * 4.5689974
        self._check_length(num_samples)
        silence = torch.zeros(1, num_samples, device=self.device)
        self.frames = int(self.logmel(silence).shape[1])

    def logmel(self, waves: Tensor) -> Tensor:
        """Log-mel before normalisation: `[clips, samples]` in [-1, 1] to `[clips, frames, 128]`.

        `reference`: 10 log10(max(power, 1e-10)), dB. `kaldi`: natural log of the filter bank energies.
        """
        waves = waves.to(self.device)
        if self.spec.kind == "reference":
            spectrogram: Tensor = self._db(self._mel(waves))
            return spectrogram.transpose(1, 2)
        if self.sample_rate != kaldi_filter_bank.RATE:
            waves = torchaudio.functional.resample(waves, self.sample_rate, kaldi_filter_bank.RATE)
        return self._fbank(waves)

    def __call__(self, waves: Tensor) -> Tensor:
        """Normalised log-mel, the input of the backbone: `[clips, samples]` to `[clips, frames, 128]`."""
        return (self.logmel(waves) - self._mean) / self._scale

    def _check_length(self, samples: int) -> None:
        if self.spec.kind == "reference":
            assert self.spec.window
            least = self.spec.window // 2 + 1  # half a window is reflected at each end
        else:
            least = (kaldi_filter_bank.WINDOW - 1) * self.sample_rate // kaldi_filter_bank.RATE + 1
        if samples < least:
            raise EarshotError(
                f"front end {self.spec}: expected clips of at least {least} samples at {self.sample_rate} Hz, found "
                f"{samples}; use longer clips, or a shorter window with the front end 'reference'"
            )
