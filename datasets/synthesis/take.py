"""A take: what happens once, when a source is played or recorded for one clip.

Everything that changes slowly (envelopes, pitch, swells) is a *curve*: float64 [points], a value every 16
samples and one at the end. `Take.spread` makes [samples] of it by straight lines. That takes most of the time
out of a clip.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_STEP = 16  # samples between the points of a curve: 1 ms at 16 kHz
_EDGE = 1e-3  # seconds; the shortest edge of any sound: a vertical edge would be a click in every class
_RAMP = (np.arange(_STEP) / _STEP).astype(np.float32)


@dataclass(frozen=True)
class Take:
    """The clip-to-clip variation that every family of sources shares.

    Attributes:
        rng: The clip's private generator; everything random about the clip is drawn from it, in a fixed
            order.
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
        """Seconds since the onset, a curve; negative before it."""
        points = -(-self.num_samples // _STEP) + 1
        return np.arange(points) * (_STEP / self.sample_rate) - self.onset

    def spread(self, curve: np.ndarray) -> np.ndarray:
        """Curves [..., points] at every sample, float32 [..., samples]."""
        values = curve.astype(np.float32)
        lines = values[..., :-1, None] + (values[..., 1:] - values[..., :-1])[..., None] * _RAMP
        return lines.reshape(*curve.shape[:-1], -1)[..., : self.num_samples]

    def gate(self, attack: float, release: float) -> np.ndarray:
        """Envelope of a held sound, a curve in [0, 1].

        A smooth rise over `attack` seconds from the onset, then an exponential fall with a time constant of
        `release` seconds once the source is let go.
        """
        times = self.times
        rise = np.clip(times / max(attack, _EDGE), 0.0, 1.0)
        fall = np.exp(-np.clip(times - self.held, 0.0, None) / max(release, _EDGE))
        return rise * rise * (3.0 - 2.0 * rise) * fall

    def wander(self, rate: float) -> np.ndarray:
        """A slow random curve, standard deviation about 1, changing about `rate` times a second."""
        seconds = self.num_samples / self.sample_rate
        knots = self.rng.standard_normal(max(int(np.ceil(seconds * rate)), 1) + 2)
        place = np.linspace(0.0, len(knots) - 1, len(self.times))
        left = np.minimum(place.astype(int), len(knots) - 2)
        # Smoothstep instead of straight lines, whose corners at the knots would be audible.
        blend = place - left
        blend *= blend * (3.0 - 2.0 * blend)
        return knots[left] + (knots[left + 1] - knots[left]) * blend

    def pitch(self, hertz: tuple[float, float], vibrato: tuple[float, float], unsteadiness: float) -> np.ndarray:
        """Draw a pitch curve in Hz.

        Args:
            hertz: Register; the take's pitch is drawn from it evenly on the logarithmic scale.
            vibrato: Rate in Hz and depth in cents; each take plays it 15 % faster or slower and 0-130 % as
                deep.
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

    def phase(self, hertz: np.ndarray) -> np.ndarray:
        """Running phase of a curve in Hz, in turns, float64 [samples]."""
        return np.cumsum(self.spread(hertz), dtype=np.float64) / self.sample_rate

    @property
    def octaves(self) -> np.ndarray:
        """Frequencies of the clip's spectrum in octaves re 1 kHz, float32 [num_samples // 2 + 1]."""
        return octaves(self.sample_rate, self.num_samples)


def linear(decibels: np.ndarray) -> np.ndarray:
    """Amplitude ratio of a level, in the same floating-point type."""
    return np.exp(decibels * decibels.dtype.type(np.log(10) / 20))


def shaped_noise(rng: np.random.Generator, gain: np.ndarray, num_samples: int) -> np.ndarray:
    """Gaussian noise with a given magnitude spectrum, float32 [samples], scaled to an RMS of 1.

    Args:
        rng: Source of the noise.
        gain: Linear magnitude at each bin of the spectrum, float32 [num_samples // 2 + 1].
        num_samples: Length in samples.
    """
    from scipy import fft  # see `Voice.play`

    spectrum = rng.standard_normal(2 * len(gain), dtype=np.float32).view(np.complex64)
    noise = fft.irfft(spectrum * gain, num_samples)
    return noise / np.float32(max(rms(noise), 1e-12))


def rms(samples: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.dot(samples, samples) / len(samples)))


@lru_cache(maxsize=4)
def octaves(sample_rate: int, num_samples: int) -> np.ndarray:
    """`Take.octaves`; what is below 20 Hz counts as 20 Hz, so that it has a logarithm. Read-only."""
    hertz = np.maximum(np.fft.rfftfreq(num_samples, 1.0 / sample_rate), 20.0)
    values = np.log2(hertz / 1000.0).astype(np.float32)
    values.setflags(write=False)
    return values
