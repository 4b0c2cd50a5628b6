"""Harmonic instruments: sums of partials whose levels, tuning and decay determine the timbre."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from datasets.synthesis.take import Take, linear, rms, shaped_noise

_MAX_PARTIALS = 48  # limits the computing time of low notes; higher partials are weak


@dataclass(frozen=True)
class Instrument:
    """A pitched instrument.

    Partial k of a note of pitch f sounds at `f * r_k * sqrt(1 + B * r_k**2)` (stiff string: Fletcher, "Normal
    vibration frequencies of a stiff piano string", 1964) with `r_k` = k, or the listed ratios.

    Attributes:
        register: Lowest and highest pitch in Hz.
        tilt: Fall of the spectrum in dB per octave at middle effort.
        even: Linear gain of the even partials (a closed cylindrical pipe hardly has any).
        body: Fixed resonances as (centre in Hz, height in dB, width in octaves); they don't move with the
            pitch.
        attack: Seconds to full level.
        decay: Time constant of the fundamental in seconds; None for a sound that is sustained.
        damping: How much faster the higher partials decay: rate_k = (1 + damping * (r_k - 1)) / decay. For a
            sustained sound: how much later they enter, in attacks per partial.
        stiffness: Inharmonicity B.
        ratios: Frequencies of the partials over the pitch, if they are not a harmonic series.
        pluck: Where a string is plucked, as a fraction of its length: partials with a node there are missing.
        vibrato: Rate in Hz, depth in cents.
        breath: Level of the blowing or bowing noise against the tone, in dB.
    """

    register: tuple[float, float]
    tilt: float
    even: float = 1.0
    body: tuple[tuple[float, float, float], ...] = ()
    attack: float = 0.03
    decay: float | None = None
    damping: float = 0.0
    stiffness: float = 0.0
    ratios: tuple[float, ...] = ()
    pluck: float | None = None
    vibrato: tuple[float, float] = (5.5, 0.0)
    breath: float = -60.0

    def play(self, take: Take) -> np.ndarray:
        """One note, float32 [samples]; the scale is arbitrary."""
        pitch = take.pitch(self.register, self.vibrato, 4.0)
        order = np.array(self.ratios) if self.ratios else np.arange(1.0, _MAX_PARTIALS + 1)
        ratios = order * np.sqrt(1.0 + self.stiffness * order**2)
        levels = self._levels(take, order, ratios * float(np.median(pitch)))
        tone = partials(take, pitch, ratios, levels, self._envelope(take, order))
        gate = take.gate(self.attack * take.rng.uniform(0.6, 1.6), 0.08)
        noise = shaped_noise(take.rng, _resonance(take.octaves, self.body), take.num_samples)
        noise *= np.float32(rms(tone) * 10 ** (self.breath / 20))
        return take.spread(gate) * (tone + noise)

    def _levels(self, take: Take, order: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Linear level of each partial in this take, [partials]."""
        # 4 dB per octave between the softest and the loudest note; 1.5 dB per partial of uncontrolled variation.
        tilt = self.tilt + 4.0 * (0.5 - take.effort)
        decibels = -tilt * np.log2(order / order.min()) + take.rng.normal(0.0, 1.5, len(order))
        levels = linear(decibels) * _resonance(np.log2(hertz / 1000.0), self.body)
        if not self.ratios:
            levels[1::2] *= self.even
        if self.pluck is not None:
            levels *= np.abs(np.sin(np.pi * order * self.pluck * take.rng.uniform(0.8, 1.25)))
        return levels

    def _envelope(self, take: Take, order: np.ndarray) -> Callable[[int], np.ndarray] | None:
        """Envelope of each partial by its index in `order`, a curve; None if all of them are flat."""
        excess = order / order.min() - 1.0
        elapsed = np.clip(take.times, 0.0, None)
        if self.decay is not None:
            rates = (1.0 + self.damping * excess) / (self.decay * take.rng.uniform(0.7, 1.4))
            return lambda index: np.exp(-rates[index] * elapsed)
        if self.damping:
            ready = max(self.attack, 1e-3) * (1.0 + self.damping * excess)
            return lambda index: np.minimum(elapsed / ready[index], 1.0)
        return None


def partials(
    take: Take,
    pitch: np.ndarray,
    ratios: np.ndarray,
    levels: np.ndarray,
    envelope: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray:
    """Sum of sinusoids that follow a common pitch curve, without aliasing.

    `y[n] = sum_k levels[k] * envelope(k)[n] * sin(2 pi (ratios[k] * phase[n] + offset_k))`, with `phase` that
    of the pitch and a random `offset_k`. A partial that would come within 5 % of the Nyquist frequency anywhere in the
    clip is omitted entirely, as is one that is 60 dB below the strongest.

    Args:
        take: Provides the sample rate and draws the phases.
        pitch: Hz, a curve.
        ratios: Frequency of each partial over the pitch, [partials].
        levels: Linear amplitude, [partials].
        envelope: Returns the envelope of the partial at an index of `ratios`, a curve.

    Returns:
        float32 [samples].
    """
    # Drawn for all partials, so that later draws do not depend on the sample rate.
    offsets = take.rng.uniform(size=len(ratios))
    phase = take.phase(pitch)
    total = np.zeros(take.num_samples, np.float32)
    audible = (ratios * pitch.max() < 0.95 * take.sample_rate / 2) & (levels > 1e-3 * levels.max())
    # One partial at a time: its arrays fit in the cache, while [partials, samples] is limited by memory bandwidth.
    for index in np.flatnonzero(audible):
        turns = ratios[index] * phase
        turns += offsets[index]
        # Whole turns are removed in double precision; the sine is computed in single precision, which is much faster
        # and has an error 130 dB below the tone.
        turns -= np.rint(turns)
        wave = turns.astype(np.float32)
        wave *= np.float32(2 * np.pi)
        np.sin(wave, out=wave)
        if envelope is None:
            wave *= np.float32(levels[index])
        else:
            wave *= take.spread(levels[index] * envelope(int(index)))
        total += wave
    return total


def _resonance(octaves: np.ndarray, body: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    """Linear gain of the body at frequencies in octaves re 1 kHz: the sum in dB of bell curves."""
    decibels = np.zeros_like(octaves)
    for centre, height, width in body:
        distance = octaves - float(np.log2(centre / 1000.0))
        decibels += height * np.exp(-0.5 * (distance / width) ** 2)
    return linear(decibels)
