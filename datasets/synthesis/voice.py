"""Voices: a pulse train at the pitch of the vocal folds, filtered by the formants of a sequence of vowels."""

from dataclasses import dataclass

import numpy as np

from datasets.synthesis.take import Take, rms

# First four formants in Hz of an average male speaker (rounded from Peterson and Barney, "Control methods
# used in a study of the vowels", 1952; they measured three, the fourth is a typical value).
VOWELS: dict[str, tuple[float, float, float, float]] = {
    "a": (730.0, 1090.0, 2440.0, 3400.0),
    "e": (530.0, 1840.0, 2480.0, 3500.0),
    "i": (270.0, 2290.0, 3010.0, 3600.0),
    "o": (570.0, 840.0, 2410.0, 3300.0),
    "u": (300.0, 870.0, 2240.0, 3300.0),
}
_BANDWIDTHS = (70.0, 90.0, 130.0, 180.0)  # Hz, of those formants in a tense voice


@dataclass(frozen=True)
class Voice:
    """A singer or speaker; each take has its own vowels.

    Attributes:
        register: Lowest and highest pitch in Hz.
        tract: Formant frequencies over those of an average man; larger for a shorter vocal tract.
        tilt: Cut-off in Hz of the glottal low-pass; lower for a softer voice.
        looseness: Formant bandwidths over those of a tense voice.
        breath: Level of the aspiration noise against the pulses, in dB.
        vibrato: Rate in Hz, depth in cents.
    """

    register: tuple[float, float]
    tract: float
    tilt: float
    looseness: float = 1.0
    breath: float = -30.0
    vibrato: tuple[float, float] = (5.5, 25.0)

    def play(self, take: Take) -> np.ndarray:
        """Two to five syllables, float32 [samples]; the scale is arbitrary."""
        from scipy.signal import lfilter, sosfilt  # half a second, which commands must not spend at start-up

        rng = take.rng
        pitch = take.pitch(self.register, self.vibrato, 40.0)
        pulses = pulse_train(take, pitch)
        pulses /= np.float32(rms(pulses))
        # Air flows while the folds are open, so the noise is modulated by the pulses.
        noise = rng.standard_normal(take.num_samples, dtype=np.float32) * (0.5 + np.clip(pulses, 0.0, 2.0))
        cutoff = self.tilt * 2.0 ** (take.effort - 0.5)
        pole = np.exp(-2 * np.pi * cutoff / take.sample_rate)
        source = lfilter([1.0 - pole], [1.0, -pole], pulses + np.float32(10 ** (self.breath / 20)) * noise)
        tract = self.tract * 2.0 ** rng.normal(0.0, 0.025)  # lips and larynx move, for the same speaker
        names = rng.choice(list(VOWELS), size=rng.integers(2, 6))
        weights = take.spread(_syllables(take, len(names)) * take.gate(0.03, 0.04))
        voiced = np.zeros(take.num_samples, np.float32)
        for name, weight in zip(names, weights, strict=True):
            # Coarticulation: the formants of a vowel vary with its neighbours.
            formants = np.array(VOWELS[str(name)]) * tract * 2.0 ** rng.normal(0.0, 0.04, 4)
            voiced += weight * sosfilt(self._formants(formants, take.sample_rate), source)
        return voiced

    def _formants(self, hertz: np.ndarray, sample_rate: int) -> np.ndarray:
        """Cascade of two-pole resonators of gain 1 at 0 Hz (Klatt 1980), as [formants, 6] for `sosfilt`."""
        widths = np.array(_BANDWIDTHS) * self.looseness
        low = hertz < 0.45 * sample_rate
        radius = np.exp(-np.pi * widths[low] / sample_rate)
        first = -2.0 * radius * np.cos(2 * np.pi * hertz[low] / sample_rate)
        second = radius**2
        zeros, ones = np.zeros_like(first), np.ones_like(first)
        return np.stack([1.0 + first + second, zeros, zeros, ones, first, second], axis=1)


def pulse_train(take: Take, pitch: np.ndarray) -> np.ndarray:
    """Band-limited impulses with all harmonics of the pitch below the Nyquist frequency, float32 [samples].

    The closed form of `1 + 2 sum_{k<=N} cos(2 pi k phase)`, which is `sin((2N + 1) pi phase) / sin(pi phase)`
    (Winham and Steiglitz, "Input generators for digital sound synthesis", 1970), without its constant: one sine per
    sample instead of N.

    Args:
        take: Provides the sample rate and draws the phase.
        pitch: Hz, a curve.
    """
    harmonics = max(int(0.95 * take.sample_rate / 2 / pitch.max()), 1)
    turns = take.phase(pitch) + take.rng.uniform()
    turns -= np.rint(turns)  # within half a turn of a peak, where the quotient is best conditioned
    phase = (np.pi * turns).astype(np.float32)
    below = np.sin(phase)
    peak = np.abs(below) < 1e-6
    quotient = np.sin(np.float32(2 * harmonics + 1) * phase) / np.where(peak, np.float32(1), below)
    return (np.where(peak, np.float32(2 * harmonics + 1), quotient) - np.float32(1)) / np.float32(harmonics)


def _syllables(take: Take, count: int) -> np.ndarray:
    """Amplitude of each vowel over time, curves [vowels, points]: one after another, with dips in between."""
    position = np.clip(take.times / take.held, 0.0, 1.0) * count - 0.5
    distance = np.abs(position[None, :] - np.arange(count)[:, None])
    distance[0, position < 0] = 0.0
    distance[-1, position > count - 1] = 0.0
    stress = 10 ** (take.rng.uniform(-8.0, 0.0, count) / 20)
    return stress[:, None] * np.cos(np.pi / 2 * np.clip(distance, 0.0, 1.0)) ** 2
