"""Source-filter synthesis of procedural sounds, for many clips at a time.

An excitation (pulses, impulses, any waveform) and white noise are each filtered in the short-time spectrum, with a
filter that changes from frame to frame. All operations are on tensors: a GPU generates thousands of clips per second.
"""

import math

import torch
from torch import Tensor

from trainables.pretraining.generator.draws import Draws, stretch

RATE = 16_000  # Hz
WINDOW = 512  # samples
HOP = 256  # samples: 62.5 frames per second
BINS = WINDOW // 2 + 1
FRAMES_PER_SECOND = RATE / HOP


def frames_of(samples: int) -> int:
    """Number of frames of a clip."""
    return samples // HOP + 1


def hertz(device: torch.device) -> Tensor:
    """Centre frequencies of the bins, Hz, float32 `[BINS]`."""
    return torch.arange(BINS, device=device) * (RATE / WINDOW)


def octaves(device: torch.device) -> Tensor:
    """Octaves above 1 kHz of the bins, clamped at 40 Hz, float32 `[BINS]`."""
    return (hertz(device).clamp(min=40.0) / 1000).log2()


def filtered(excitation: Tensor, gain: Tensor, noise_gain: Tensor, draws: Draws) -> Tensor:
    """Sum of the filtered excitation and of filtered white noise, float32 `[clips, samples]`.

    Args:
        excitation: `[clips, samples]`.
        gain: of the excitation, linear, `[clips, frames, BINS]`.
        noise_gain: of the noise, linear, `[clips, frames, BINS]`; the noise has an RMS of about 1 for a gain of 1.
        draws: draws the noise.
    """
    window = torch.hann_window(WINDOW, device=excitation.device)
    spectrum = torch.stft(excitation, WINDOW, HOP, window=window, return_complex=True).transpose(1, 2)
    noise = draws.noise(*noise_gain.shape) * (noise_gain * math.sqrt(WINDOW * 3 / 8))
    mixed = (spectrum * gain + noise).transpose(1, 2)
    return torch.istft(mixed, WINDOW, HOP, window=window, length=excitation.shape[1])


def phase(pitch: Tensor, samples: int) -> Tensor:
    """Phase of pitch curves in Hz `[clips, frames]`, in turns, float64 `[clips, samples]`."""
    return stretch(pitch, samples).double().div_(RATE).cumsum(1)


def pulses(turns: Tensor, harmonics: Tensor) -> Tensor:
    """Pulse trains with a given number of harmonics of equal level, RMS about 1, float32 `[clips, samples]`.

    `sin((2N + 1) pi phase) / sin(pi phase) - 1` (Winham and Steiglitz 1970): one sine per sample instead of N.

    Args:
        turns: phase, `[clips, samples]`.
        harmonics: N of each clip, `[clips]`.
    """
    angle = ((turns - turns.round()) * math.pi).float()
    denominator = angle.sin()
    peak = denominator.abs() < 1e-5
    order = 2 * harmonics[:, None] + 1
    quotient = (angle * order).sin() / torch.where(peak, 1.0, denominator)
    return (torch.where(peak, order, quotient) - 1) / (2 * harmonics[:, None]).sqrt()


def harmonics_below(pitch: Tensor, limit: float = 0.95 * RATE / 2) -> Tensor:
    """Number of harmonics of a pitch curve `[clips, frames]` that stay below `limit` Hz, float32 `[clips]`."""
    return (limit / pitch.amax(1)).floor().clamp(min=1.0)


def segments(draws: Draws, rate: Tensor, frames: int, elapsed: Tensor) -> tuple[Tensor, Tensor]:
    """Random segments in time: the segment of each frame, and the position in it.

    Args:
        draws: draws their lengths (each 0.5 to 1.5 of the mean).
        rate: segments per second, `[clips]`.
        frames: of a clip.
        elapsed: fraction of the first segment before the clip starts, `[clips]`.

    Returns:
        Index `[clips, frames]` (int64, from 0) and position in the segment, 0 to 1, `[clips, frames]`.
    """
    most = math.ceil(float(rate.max()) * frames / FRAMES_PER_SECOND * 2) + 2
    lengths = draws.uniform(0.5, 1.5, len(rate), most) * (FRAMES_PER_SECOND / rate)[:, None]
    ends = lengths.cumsum(1) - lengths[:, :1] * elapsed[:, None]
    now = torch.arange(frames, device=rate.device, dtype=torch.float32).expand(len(rate), -1).contiguous()
    index = torch.searchsorted(ends, now, right=True).clamp(max=most - 1)
    end, length = ends.gather(1, index), lengths.gather(1, index)
    return index, (1 - (end - now) / length).clamp(0, 1)


def resonances(centres: Tensor, widths: Tensor, grid: Tensor) -> Tensor:
    """Linear gain of a cascade of two-pole resonators with gain 1 at 0 Hz (Fant 1960).

    Args:
        centres: Hz, `[..., poles]`.
        widths: bandwidths, Hz, `[..., poles]`.
        grid: Hz, `[BINS]`.

    Returns:
        `[..., BINS]`.
    """
    power = torch.ones((), device=grid.device)
    for centre, width in zip(centres.unbind(-1), widths.unbind(-1), strict=True):
        centre, half = centre[..., None], (width[..., None] / 2) ** 2
        at_zero = centre**2 + half
        power = power * (((grid - centre) ** 2 + half) * ((grid + centre) ** 2 + half) / at_zero**2).clamp(min=1e-8)
    return power.rsqrt()


def linear(decibels: Tensor) -> Tensor:
    """Amplitude ratio for a level in dB."""
    return (decibels * (math.log(10) / 20)).exp()


def unit(waves: Tensor) -> Tensor:
    """Waves `[clips, samples]` scaled to an RMS of 1; silence is unchanged."""
    return waves / waves.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
