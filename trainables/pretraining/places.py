"""Places: the room, microphone, background, level and channel between a source and its clip."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.pretraining.draws import Draws, stretch
from trainables.pretraining.rows import Rows
from trainables.pretraining.synthesis import RATE, linear, unit

_KNOTS = 8  # of a microphone's colour, evenly over the frequencies


@dataclass(frozen=True)
class Places(Rows):
    """Where clips are recorded, one a row.

    Attributes:
        tilt: of the microphone, dB per octave.
        bent: its broad colour, dB, `[places, 8]` evenly over the frequencies.
        top: where the codec ends, octaves above 1 kHz; a microphone alone ends above the highest frequency.
        bottom: where it begins.
        decay: time constant of the room's echo, seconds.
        echo: its level against the direct sound, dB; half of the places have none.
        noise: tilt of the background, dB per octave.
        ratio: of the source to the background, dB.
        coarse: whether the codec companded to 8 bits.
    """

    tilt: Tensor
    bent: Tensor
    top: Tensor
    bottom: Tensor
    decay: Tensor
    echo: Tensor
    noise: Tensor
    ratio: Tensor
    coarse: Tensor

    @classmethod
    def draw(cls, draws: Draws, count: int) -> "Places":
        """Draws `count` places."""
        return cls(
            tilt=draws.uniform(-2, 2, count),
            bent=draws.normal(1.0, count, _KNOTS) * draws.uniform(0, 3, count, 1),
            top=torch.where(draws.chance(0.15, count), draws.uniform(1.75, 2.8, count), 3.5),
            bottom=torch.where(draws.chance(0.15, count), draws.uniform(-3.5, -1.7, count), -5.0),
            decay=draws.log_uniform(0.08, 0.9, count) / math.log(1000),
            echo=torch.where(draws.chance(0.5, count), draws.uniform(-20, 2, count), -80.0),
            noise=draws.uniform(-6, 0, count),
            ratio=draws.uniform(8, 50, count),
            coarse=draws.chance(0.1, count),
        )

    def record(self, waves: Tensor, draws: Draws) -> Tensor:
        """Each clip in its row's place, float32 `[clips, samples]` within +-1.

        Every clip has a level of its own; some are clipped, or begin or end in silence.

        Args:
            waves: the sources, `[clips, samples]`, any scale.
            draws: draws what differs from clip to clip.
        """
        clips, samples = waves.shape
        size = samples + RATE // 2
        bins = size // 2 + 1
        pitch = (torch.linspace(0, RATE / 2, bins, device=waves.device).clamp(min=40.0) / 1000).log2()
        bent = stretch(self.bent, bins)
        beyond = (pitch - self.top[:, None]).clamp(min=0) + (self.bottom[:, None] - pitch).clamp(min=0)
        colour = linear(self.tilt[:, None] * pitch + bent - 60 * beyond)
        spectrum = torch.fft.rfft(unit(waves), size) * colour * torch.fft.rfft(self._rooms(draws), size)
        wet = unit(torch.fft.irfft(spectrum, size)[:, :samples])
        background = draws.noise(clips, bins) * linear(self.noise[:, None] * pitch + bent)
        noise = torch.fft.irfft(background, size)[:, :samples]
        ratio = self.ratio + draws.normal(2, clips)
        mixed = wet + unit(noise) * linear(-ratio)[:, None]
        mixed = _edges(mixed, draws)
        peak = mixed.abs().amax(1, keepdim=True).clamp(min=1e-6)
        hard = torch.where(draws.chance(0.06, clips), draws.uniform(0.3, 0.8, clips), 1.0)[:, None]
        clipped = (mixed / peak).clamp(-hard, hard) / hard
        coded = torch.where(self.coarse[:, None], _companded(clipped), clipped)
        return coded * linear(draws.uniform(-36, -0.5, clips))[:, None]

    def _rooms(self, draws: Draws) -> Tensor:
        """Impulse responses of half a second: the direct sound and an exponential tail, `[clips, samples]`.

        The reflections differ from clip to clip: people move.
        """
        length = RATE // 2
        time = torch.arange(length, device=draws.device) / RATE
        tail = draws.normal(1.0, len(self.decay), length) * (-time / self.decay[:, None]).exp() * (time > 0.002)
        tail = tail / tail.square().sum(1, keepdim=True).sqrt()
        room = tail * linear(self.echo)[:, None]
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
