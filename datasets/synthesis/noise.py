"""Noise textures: modulated coloured noise (the bed) with randomly placed grains (drops, bubbles, crackles)."""

from dataclasses import dataclass

import numpy as np

from datasets.synthesis.take import Take, linear, shaped_noise


@dataclass(frozen=True)
class Texture:
    """A noise texture.

    Attributes:
        band: Lowest and highest frequency of the bed in Hz; outside it falls by 18 dB per octave.
        slope: Fall of the bed within its band, in dB per octave.
        swell: Rate in Hz and depth in dB of the bed's slow random loudness.
        drift: How far the bed's band moves up with the swell, in octaves.
        pulse: Lowest and highest rate in Hz and depth (0 to 1) of a regular beat on the bed.
        grains: Grains per second.
        ring: Lowest and highest frequency of a grain in Hz.
        fade: Time constant of a grain in seconds.
        bend: How far a grain's frequency rises over its time constant, in octaves.
        grain_level: Level of the grains against the bed, in dB.
    """

    band: tuple[float, float]
    slope: float = 0.0
    swell: tuple[float, float] = (2.0, 2.0)
    drift: float = 0.0
    pulse: tuple[float, float, float] = (1.0, 1.0, 0.0)
    grains: float = 0.0
    ring: tuple[float, float] = (1000.0, 4000.0)
    fade: float = 0.005
    bend: float = 0.0
    grain_level: float = -100.0

    def play(self, take: Take) -> np.ndarray:
        """One clip of the texture, float32 [samples]; the scale is arbitrary."""
        rng = take.rng
        swell = take.wander(self.swell[0] * rng.uniform(0.7, 1.4))
        shift = rng.normal(0.0, 0.25)
        low, high, depth = self.pulse
        rate = low * (high / low) ** rng.uniform() * 2.0 ** (0.04 * take.wander(3.0))
        turns = np.cumsum(rate) * (take.times[1] - take.times[0]) + rng.uniform()
        beat = 0.5 + 0.5 * np.cos(2 * np.pi * turns)
        loudness = 10 ** (self.swell[1] * swell / 20) * (1.0 - depth + depth * beat**2)
        # Cross-fading two fixed bands sounds like gusts and needs no time-varying filter.
        blend = 1.0 / (1.0 + np.exp(-2.0 * swell)) if self.drift else np.zeros_like(swell)
        bed = take.spread(np.sqrt(1.0 - blend) * loudness) * self._bed(take, shift)
        if self.drift:
            bed += take.spread(np.sqrt(blend) * loudness) * self._bed(take, shift + self.drift)
        grains = strew(take, self.grains * 2.0 ** rng.uniform(-0.7, 0.7), self.ring, self.fade, self.bend)
        bed += np.float32(10 ** ((self.grain_level + rng.normal(0.0, 2.0)) / 20)) * grains
        return bed * take.spread(take.gate(0.05, 0.08))

    def _bed(self, take: Take, shift: float) -> np.ndarray:
        """Noise in the band, moved up by `shift` octaves; RMS 1, float32 [samples]."""
        octaves = take.octaves
        low, high = (float(np.log2(edge / 1000.0)) + shift for edge in self.band)
        slope = self.slope + 4.0 * (0.5 - take.effort)
        inside = np.clip(octaves, low, high)
        return shaped_noise(
            take.rng, linear(-slope * (inside - low) - 18.0 * np.abs(octaves - inside)), take.num_samples
        )


def strew(take: Take, rate: float, ring: tuple[float, float], fade: float, bend: float = 0.0) -> np.ndarray:
    """Decaying sinusoids at random times, float32 [samples].

    Args:
        take: Draws times, frequencies (uniform in log frequency) and levels (standard deviation 6 dB).
        rate: Grains per second; their number is Poisson-distributed, at least one if the rate is above 0.
        ring: Lowest and highest frequency in Hz; limited to 95 % of the Nyquist frequency.
        fade: Time constant in seconds.
        bend: Rise of the frequency over one time constant, in octaves.
    """
    if rate <= 0:
        return np.zeros(take.num_samples, np.float32)
    rng = take.rng
    count = max(int(rng.poisson(rate * take.num_samples / take.sample_rate)), 1)
    length = min(max(int(5 * fade * take.sample_rate), 8), take.num_samples)
    times = np.arange(length) / take.sample_rate
    starts = rng.integers(0, take.num_samples, count)
    hertz = ring[0] * (ring[1] / ring[0]) ** rng.uniform(size=(count, 1))
    ceiling = 0.95 * take.sample_rate / 2
    frequencies = np.minimum(hertz * 2.0 ** (bend * times / fade), ceiling)
    phase = np.cumsum(frequencies, axis=1) / take.sample_rate + rng.uniform(size=(count, 1))
    levels = 10 ** (rng.normal(0.0, 6.0, (count, 1)) / 20)
    rise = np.minimum(times / 5e-4, 1.0)  # half a millisecond, as a grain that starts at full level aliases
    shapes = levels * rise * np.exp(-times / fade) * np.sin(2 * np.pi * phase)
    positions = starts[:, None] + np.arange(length)
    inside = positions < take.num_samples
    return np.bincount(positions[inside], shapes[inside], minlength=take.num_samples).astype(np.float32)
