"""A take: what happens once, when a source is played or recorded for one clip."""

from dataclasses import dataclass

import numpy as np

_DUCK = 1e-3  # seconds; the shortest edge of any sound: a vertical edge would be a click in every class


@dataclass(frozen=True)
class Take:
    """The clip-to-clip variation that every family of sources shares.

    Attributes:
        rng: The clip's private generator; everything random about the clip is drawn from it, in a fixed order.
        sample_rate: Hz.
        num_samples: Length of the clip in samples.
        onset: When the source begins, in seconds from the start of the clip.
        held: How long the source is held, in seconds; its release may ring on after that.
        effort: How hard it is played or spoken, 0 (softly) to 1 (hard): harder is brighter.
    """

    rng: np.random.Generator
    sample_rate: int
    num_samples: int
    onset: float
    held: float
    effort: float

    @classmethod
    def draw(cls, rng: np.random.Generator, sample_rate: int, num_samples: int) -> "Take":
        """Draw a take; the source sounds for 65-95 % of what is left of the clip after its onset."""
        seconds = num_samples / sample_rate
        onset = float(rng.uniform(0.0, 0.15)) * seconds
        held = float(rng.uniform(0.65, 0.95)) * (seconds - onset)
        return cls(rng, sample_rate, num_samples, onset, held, float(rng.uniform()))

    @property
    def times(self) -> np.ndarray:
        """Seconds since the onset, float64 [samples]; negative before it."""
        return np.arange(self.num_samples) / self.sample_rate - self.onset

    def gate(self, attack: float, release: float) -> np.ndarray:
        """Envelope of a held sound, float64 [samples] in [0, 1].

        A smooth rise over `attack` seconds from the onset, then an exponential fall with a time constant of
        `release` seconds once the source is let go.
        """
        times = self.times
        rise = np.clip(times / max(attack, _DUCK), 0.0, 1.0)
        fall = np.exp(-np.clip(times - self.held, 0.0, None) / max(release, _DUCK))
        return rise * rise * (3.0 - 2.0 * rise) * fall

    def wander(self, rate: float) -> np.ndarray:
        """A slow random curve, float64 [samples], standard deviation about 1, changing about `rate` times a second."""
        seconds = self.num_samples / self.sample_rate
        knots = self.rng.standard_normal(max(int(np.ceil(seconds * rate)), 1) + 2)
        place = np.arange(self.num_samples) / self.num_samples * (len(knots) - 1)
        left = np.minimum(place.astype(int), len(knots) - 2)
        # Smoothstep instead of straight lines, whose corners at the knots would be audible.
        blend = place - left
        blend *= blend * (3.0 - 2.0 * blend)
        return knots[left] + (knots[left + 1] - knots[left]) * blend

    def pitch(self, hertz: tuple[float, float], vibrato: tuple[float, float], unsteadiness: float) -> np.ndarray:
        """Draw a pitch curve in Hz, float64 [samples].

        Args:
            hertz: Register; the take's pitch is drawn from it evenly on the logarithmic scale.
            vibrato: Rate in Hz and depth in cents; each take plays it 15 % faster or slower and 0-130 % as deep.
            unsteadiness: Standard deviation of the pitch's slow wandering, in cents.
        """
        low, high = np.log2(hertz)
        centre = self.rng.uniform(low, high)
        rate = vibrato[0] * self.rng.uniform(0.85, 1.15)
        depth = vibrato[1] * self.rng.uniform(0.0, 1.3)
        # Players begin straight and let the vibrato grow.
        growth = np.clip(self.times / 0.3, 0.0, 1.0)
        cents = depth * growth * np.sin(2 * np.pi * (rate * self.times + self.rng.uniform()))
        return 2.0 ** (centre + (cents + unsteadiness * self.wander(6.0)) / 1200.0)


def shaped_noise(rng: np.random.Generator, gain: np.ndarray, num_samples: int) -> np.ndarray:
    """Gaussian noise with a given magnitude spectrum, float64 [samples], scaled to an RMS of 1.

    Args:
        rng: Source of the noise.
        gain: Linear magnitude at each bin of `numpy.fft.rfft`, [num_samples // 2 + 1].
        num_samples: Length in samples.
    """
    spectrum = rng.standard_normal(len(gain)) + 1j * rng.standard_normal(len(gain))
    noise = np.fft.irfft(spectrum * gain, num_samples)
    return noise / max(float(np.sqrt(np.mean(noise**2))), 1e-12)


def bins(sample_rate: int, num_samples: int) -> np.ndarray:
    """Frequencies in Hz of the bins of `numpy.fft.rfft`, the lowest raised to 20 Hz so that logarithms exist."""
    return np.maximum(np.fft.rfftfreq(num_samples, 1.0 / sample_rate), 20.0)
