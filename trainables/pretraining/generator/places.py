"""Recording conditions: the room, microphone, background, level, cut and channel between a source and its clip."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.pretraining.generator.draws import Draws, stretch
from trainables.pretraining.generator.source_filter import RATE, linear, unit
from trainables.pretraining.generator.table import TensorTable

_KNOTS = 8  # of a microphone's frequency response, evenly spaced
_RAMP = 0.01  # length of a fade, fraction of a clip


@dataclass(frozen=True)
class Places(TensorTable):
    """Recording conditions, one place per row.

    Attributes:
        tilt: of the microphone, dB per octave.
        bent: frequency response of the microphone, dB, `[places, 8]` at evenly spaced frequencies.
        top: upper limit of the codec, octaves above 1 kHz; without a codec above the highest frequency.
        bottom: lower limit of the codec.
        decay: time constant of the room's reverberation, seconds.
        echo: level of the reverberation relative to the direct sound, dB; half of the places have none.
        noise: tilt of the background, dB per octave.
        ratio: of the source to the background, dB.
        coarse: whether the codec compands to 8 bits.
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
            ratio=draws.uniform(8, 60, count),
            coarse=draws.chance(0.1, count),
        )

    def record(self, waves: Tensor, draws: Draws) -> Tensor:
        """Records each clip in its row's place, float32 `[clips, samples]` within +-1.

        Every clip has its own level; some are clipped; in most the source is audible for a part of the time only.

        Args:
            waves: the sources, `[clips, samples]`, any scale.
            draws: draws the conditions that differ between clips of a place.
        """
        clips, samples = waves.shape
        excerpt = _Excerpt.draw(draws, clips)
        waves = excerpt.place(waves)
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
        mixed = excerpt.mute_outside(mixed)
        peak = mixed.abs().amax(1, keepdim=True).clamp(min=1e-6)
        limit = torch.where(draws.chance(0.06, clips), draws.uniform(0.3, 0.8, clips), 1.0)[:, None]
        clipped = (mixed / peak).clamp(-limit, limit) / limit
        coded = torch.where(self.coarse[:, None], _companded(clipped), clipped)
        return coded * linear(draws.uniform(-36, -0.5, clips))[:, None]

    def _rooms(self, draws: Draws) -> Tensor:
        """Impulse responses of half a second: the direct sound and an exponential tail, `[clips, samples]`.

        The reflections differ between clips, because people move.
        """
        length = RATE // 2
        time = torch.arange(length, device=draws.device) / RATE
        tail = draws.normal(1.0, len(self.decay), length) * (-time / self.decay[:, None]).exp() * (time > 0.002)
        tail = tail / tail.square().sum(1, keepdim=True).sqrt()
        room = tail * linear(self.echo)[:, None]
        room[:, 0] = 1.0
        return room


@dataclass(frozen=True)
class _Excerpt:
    """When the source is audible: a clip is cut from a recording that starts before the sound and ends after it.

    Attributes:
        begin: start of the sound in each clip, fraction of the clip.
        end: end of the sound, fraction of the clip; above 1 if the sound continues to the end of the clip.
        silence: gain before and after the sound: 1 for the background, less after a noise gate, 0 for padding.
    """

    begin: Tensor
    end: Tensor
    silence: Tensor

    @classmethod
    def draw(cls, draws: Draws, clips: int) -> "_Excerpt":
        length = torch.where(draws.chance(0.65, clips), draws.uniform(0.2, 1, clips), 1.0)
        begin = (1 - length) * draws.uniform(-0.5, 1.5, clips).clamp(0, 1)
        kind, gate = draws.uniform(0, 1, clips), linear(draws.uniform(-50, -10, clips))
        end = torch.where(begin + length < 0.999, begin + length, 2.0)
        return cls(begin, end, torch.where(kind < 0.5, 1.0, torch.where(kind < 0.75, gate, 0.0)))

    def place(self, waves: Tensor) -> Tensor:
        """Moves waves to the start of the sound, and fades them out at its end."""
        samples = waves.shape[1]
        source = torch.arange(samples, device=waves.device) - (self.begin[:, None] * samples).long()
        return waves.gather(1, source.clamp(min=0)) * (source >= 0) * _ramp(self.end[:, None] - self._now(samples))

    def mute_outside(self, waves: Tensor) -> Tensor:
        """Attenuates waves before and after the sound."""
        now = self._now(waves.shape[1])
        inside = _ramp(now - self.begin[:, None] + _RAMP) * _ramp(self.end[:, None] - now + _RAMP)
        return waves * (inside + (1 - inside) * self.silence[:, None])

    def _now(self, samples: int) -> Tensor:
        return torch.arange(samples, device=self.begin.device) / samples


def _ramp(left: Tensor) -> Tensor:
    return (left / _RAMP).clamp(0, 1)


def _companded(waves: Tensor) -> Tensor:
    """Waves quantised to 8 bits by mu-law (the curve of ITU-T G.711)."""
    packed = waves.sign() * (1 + 255 * waves.abs()).log() / math.log(256)
    packed = (packed * 127).round() / 127
    return packed.sign() * ((packed.abs() * math.log(256)).exp() - 1) / 255
