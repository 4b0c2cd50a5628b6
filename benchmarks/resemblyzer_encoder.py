"""The speaker encoder of Resemblyzer 0.1.4 (Apache-2.0) as a network of the user's own: weights from real speech.

    pip install --no-deps resemblyzer==0.1.4
    python -m benchmarks.backbone --out FOLDER --backbone benchmarks/resemblyzer_encoder.py:encoder

Three LSTM layers on 40 mel bands at 16 kHz, trained by its authors on LibriSpeech-other and VoxCeleb with the loss of
Wan et al. 2018 (arXiv 1710.10467); the embedding has 256 values. Only its file `pretrained.pt` is used, not its code,
which needs an old librosa and webrtcvad. As there, clips below -30 dBFS are raised to it, and the embedding is the mean
over windows of 1.6 s every 0.77 s; different from there, pauses are not removed.
"""

import importlib.util
import math
from pathlib import Path

import torch
import torchaudio
from torch import Tensor, nn

RATE = 16_000
WINDOW, HOP, MEL_BINS = 400, 160, 40  # samples, samples, bands
FRAMES = 160  # of a window that is embedded
STEP = round(RATE / 1.3 / HOP)  # frames from one to the next
COVERAGE = 0.75  # of the last one that must be in the clip
HIDDEN, LAYERS = 256, 3
QUIETEST = 10 ** (-30 / 20)  # RMS
LOSS = ("similarity_weight", "similarity_bias")  # parameters that only its training used


class SpeakerEncoder(nn.Module):
    """Waveforms to speaker embeddings, which have no negative values and length 1."""

    sample_rate = RATE
    dim = HIDDEN

    def __init__(self) -> None:
        super().__init__()
        self.mel = torchaudio.transforms.MelSpectrogram(
            RATE, WINDOW, hop_length=HOP, n_mels=MEL_BINS, norm="slaney", mel_scale="slaney", pad_mode="constant"
        )
        self.lstm = nn.LSTM(MEL_BINS, HIDDEN, LAYERS, batch_first=True)
        self.linear = nn.Linear(HIDDEN, HIDDEN)

    def embed(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` to `[clips, 256]`."""
        starts = window_starts(waves.shape[1])
        waves = waves * (QUIETEST / waves.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-9)).clamp_min(1)
        missing = (starts[-1] + FRAMES) * HOP - waves.shape[1]
        mels = self.mel(nn.functional.pad(waves, (0, max(0, missing)))).transpose(1, 2)
        windows = torch.stack([mels[:, start : start + FRAMES] for start in starts], dim=1)
        last = self.lstm(windows.flatten(0, 1))[1][0][-1]  # of the last layer, after the last frame
        embedded = nn.functional.normalize(self.linear(last).relu(), dim=1).unflatten(0, (-1, len(starts)))
        return nn.functional.normalize(embedded.mean(dim=1), dim=1)


def window_starts(samples: int) -> list[int]:
    """First frames of the windows that are embedded, as Resemblyzer's `compute_partial_slices`."""
    frames = math.ceil((samples + 1) / HOP)
    starts = list(range(0, max(1, frames - FRAMES + STEP + 1), STEP))
    covered = (samples - starts[-1] * HOP) / (FRAMES * HOP)
    return starts[:-1] if covered < COVERAGE and len(starts) > 1 else starts


def encoder() -> SpeakerEncoder:
    """The encoder with its authors' weights.

    Raises:
        ModuleNotFoundError: Resemblyzer is not installed.
    """
    package = importlib.util.find_spec("resemblyzer")  # without importing it
    if package is None or package.origin is None:
        raise ModuleNotFoundError("resemblyzer is not installed; pip install --no-deps resemblyzer==0.1.4")
    saved = torch.load(Path(package.origin).with_name("pretrained.pt"), map_location="cpu", weights_only=True)
    network = SpeakerEncoder()
    weights = {name: value for name, value in saved["model_state"].items() if name not in LOSS}
    fixed = {f"mel.{name}": value for name, value in network.mel.state_dict().items()}
    network.load_state_dict({**fixed, **weights})
    return network
