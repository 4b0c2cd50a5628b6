"""Places: the room, microphone, background, level and channel between a source and its clip."""

import math

import torch
from torch import Tensor

from trainables.pretraining.draws import Draws, stretch
from trainables.pretraining.synthesis import RATE, linear, unit


def record(waves: Tensor, draws: Draws, clips_per_place: int = 1) -> Tensor:
    """Each clip in a place of its own, float32 `[clips, samples]` within +-1.

    Half of the clips get a room; all get a microphone (tilt and broad colour), a background and a level; some get a
    codec (band limit and coarse companding), clipping, or silence at an end.

    Args:
        waves: the sources, `[clips, samples]`, any scale.
        draws: draws the places.
        clips_per_place: this many consecutive clips share room, microphone and background's colour, as the clips of
            a session would.
    """
    clips, samples = waves.shape
    places = -(-clips // clips_per_place)

    def of_place(values: Tensor) -> Tensor:
        return values.repeat_interleave(clips_per_place, 0)[:clips]

    size = samples + RATE // 2
    bins = size // 2 + 1
    place = (torch.linspace(0, RATE / 2, bins, device=waves.device).clamp(min=40.0) / 1000).log2()
    bent = stretch(draws.normal(1.0, places, 8), bins) * draws.uniform(0, 3, places, 1)
    colour = of_place(draws.uniform(-2, 2, places, 1) * place + bent)
    top = torch.where(draws.chance(0.15, places), draws.uniform(1.75, 2.8, places), 3.5)  # octaves above 1 kHz
    bottom = torch.where(draws.chance(0.15, places), draws.uniform(-3.5, -1.7, places), -5.0)
    beyond = (place - top[:, None]).clamp(min=0) + (bottom[:, None] - place).clamp(min=0)
    colour = linear(colour - of_place(60 * beyond))
    spectrum = torch.fft.rfft(unit(waves), size) * colour * torch.fft.rfft(of_place(_rooms(draws, places)), size)
    wet = unit(torch.fft.irfft(spectrum, size)[:, :samples])
    noise = torch.fft.irfft(
        draws.noise(clips, bins) * linear(of_place(draws.uniform(-6, 0, places, 1)) * place + of_place(bent)), size
    )[:, :samples]
    ratio = of_place(draws.uniform(8, 50, places)) + draws.normal(2, clips)
    mixed = wet + unit(noise) * linear(-ratio)[:, None]
    mixed = _edges(mixed, draws)
    peak = mixed.abs().amax(1, keepdim=True).clamp(min=1e-6)
    hard = torch.where(draws.chance(0.06, clips), draws.uniform(0.3, 0.8, clips), 1.0)[:, None]
    clipped = (mixed / peak).clamp(-hard, hard) / hard
    coarse = of_place(draws.chance(0.1, places))[:, None]
    coded = torch.where(coarse, _companded(clipped), clipped)
    return coded * linear(draws.uniform(-36, -0.5, clips))[:, None]


def _rooms(draws: Draws, places: int) -> Tensor:
    """Impulse responses of half a second: the direct sound and an exponential tail, `[places, samples]`."""
    length = RATE // 2
    time = torch.arange(length, device=draws.device) / RATE
    decay = draws.log_uniform(0.08, 0.9, places)[:, None] / math.log(1000)
    tail = draws.normal(1.0, places, length) * (-time / decay).exp() * (time > 0.002)
    tail = tail / tail.square().sum(1, keepdim=True).sqrt()
    level = torch.where(draws.chance(0.5, places), draws.uniform(-20, 2, places), -80.0)
    room = tail * linear(level)[:, None]
    room[:, 0] = 1.0
    return room


def _edges(waves: Tensor, draws: Draws) -> Tensor:
    """A fifth of the clips begin or end with (near) silence, as a short recording that was padded."""
    clips, samples = waves.shape
    now = torch.arange(samples, device=waves.device) / samples
    end = torch.where(draws.chance(0.2, clips), draws.uniform(0.35, 1, clips), 1.0)[:, None]
    start = torch.where(draws.chance(0.1, clips), draws.uniform(0, 0.3, clips), 0.0)[:, None]
    inside = ((now - start) * 100).clamp(0, 1) * ((end - now) * 100).clamp(0, 1)
    return waves * torch.where((start == 0) & (end == 1), 1.0, inside)


def _companded(waves: Tensor) -> Tensor:
    """Through mu-law with 8 bits and back (ITU-T G.711's curve)."""
    packed = waves.sign() * (1 + 255 * waves.abs()).log() / math.log(256)
    packed = (packed * 127).round() / 127
    return packed.sign() * ((packed.abs() * math.log(256)).exp() - 1) / 255
