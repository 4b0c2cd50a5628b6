"""Kaldi's log mel filter bank (compute-fbank-feats, Povey et al. 2011) of many clips at once."""

import torch
from torch import Tensor
from torchaudio.compliance import kaldi

RATE = 16_000  # Hz, the rate that AST was pretrained at
WINDOW = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms
FFT = 512  # samples: the window, padded to a power of two
LOWEST = 20.0  # Hz
PREEMPHASIS = 0.97
POVEY = 0.85  # the exponent that makes Kaldi's default window of a Hann window
FLOOR = torch.finfo(torch.float32).eps  # of an energy
FRAMES = {
    "cpu": 1024,
    "cuda": 1 << 16,
}  # a pass: on a CPU they fit its cache (docs/performance.md), on a GPU its memory


class KaldiFilterBank:
    """`torchaudio.compliance.kaldi.fbank` without its loop over clips.

    A window of 25 ms every 10 ms, complete windows only, no dither. On a CPU the result has the same bits as
    torchaudio's (`tests/trainables/networks/test_kaldi_filter_bank.py`), so clips that are stored stay valid.

    Args:
        bins: number of mel bins.
        device: where it is computed.
        exponent: of the Hann window: 1, or `POVEY`.
    """

    def __init__(self, bins: int, device: torch.device, exponent: float = 1.0) -> None:
        no_warping = {"vtln_low": 100.0, "vtln_high": -500.0, "vtln_warp_factor": 1.0}
        bank, _ = kaldi.get_mel_banks(bins, FFT, float(RATE), LOWEST, 0.0, **no_warping)
        self._bank = torch.nn.functional.pad(bank, (0, 1)).T.to(device)  # [FFT / 2 + 1, bins]; nothing at 8 kHz
        self._window = torch.hann_window(WINDOW, periodic=False).pow(exponent).to(device)
        self._frames_a_pass = FRAMES[device.type]

    @staticmethod
    def frames(samples: int) -> int:
        """Number of frames of a clip of so many samples."""
        return 1 + (samples - WINDOW) // HOP

    def __call__(self, waves: Tensor) -> Tensor:
        """Natural log of the energies: `[clips, samples]` at 16 kHz, at least 400, to `[clips, frames, bins]`."""
        clips_a_pass = max(1, self._frames_a_pass // self.frames(waves.shape[1]))
        return torch.cat([self._energies(part) for part in waves.split(clips_a_pass)])

    def _energies(self, waves: Tensor) -> Tensor:
        windows = waves.unfold(1, WINDOW, HOP)
        windows = windows - windows.mean(dim=2, keepdim=True)
        first = PREEMPHASIS * windows[..., :1]
        windows[..., 1:] -= PREEMPHASIS * windows[..., :-1]
        windows[..., :1] -= first
        windows *= self._window
        power = torch.fft.rfft(windows, n=FFT).abs().pow_(2.0)
        # on a CPU a product per clip: the last bits of a single product would depend on the number of clips
        clips = len(power) if power.is_cuda else 1
        energies = torch.cat([part @ self._bank for part in power.split(clips)])
        return energies.clamp_min_(FLOOR).log_()
