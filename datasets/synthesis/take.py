"""A take: the random variation of a source in one clip.

Slow modulations (envelopes, pitch, swells) are *curves*: float64 [points], one value every 16 samples and one at the
end. `Take.spread` interpolates them linearly to [samples]. This saves most of the time of rendering a clip.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_STEP = 16  # samples between the points of a curve: 1 ms at 16 kHz
_EDGE = 1e-3  # seconds; shortest attack and release: shorter ones would click in every class
_RAMP = (np.arange(_STEP) / _STEP).astype(np.float32)


@dataclass(frozen=True)
class Take:
    """The clip-to-clip variation that all families of sources have in common.

    Attributes:
        rng: Random generator of the clip; all its random values are drawn from it, in a fixed order.
        sample_rate: Hz.
        num_samples: Length of the clip in samples.
        onset: Start of the source, in seconds from the start of the clip.
        held: Duration until the release, in seconds.
        effort: Effort of playing or speaking, 0 (soft) to 1 (hard): the harder, the brighter.
    """

    rng: np.random.Generator
    sample_rate: int
    num_samples: int
    onset: float
    held: float
    effort: float

    @classmethod
    def draw(cls, rng: np.random.Generator, sample_rate: int, num_samples: int) -> "Take":
        """Draws a take; the source is held for 65-95 % of the clip after its onset."""
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
        """Interpolates curves [..., points] to float32 [..., samples]."""
        values = curve.astype(np.float32)
        lines = values[..., :-1, None] + (values[..., 1:] - values[..., :-1])[..., None] * _RAMP
        return lines.reshape(*curve.shape[:-1], -1)[..., : self.num_samples]

    def gate(self, attack: float, release: float) -> np.ndarray:
        """Envelope of a held sound, a curve in [0, 1].

        A smooth rise over `attack` seconds from the onset, and an exponential fall with a time constant of `release`
        seconds at the end.
        """
        times = self.times
        rise = np.clip(times / max(attack, _EDGE), 0.0, 1.0)
        fall = np.exp(-np.clip(times - self.held, 0.0, None) / max(release, _EDGE))
        return rise * rise * (3.0 - 2.0 * rise) * fall

    def wander(self, rate: float) -> np.ndarray:
        """A slow random curve with a standard deviation of about 1 and about `rate` changes per second."""
        seconds = self.num_samples / self.sample_rate
        knots = self.rng.standard_normal(max(int(np.ceil(seconds * rate)), 1) + 2)
        position = np.linspace(0.0, len(knots) - 1, len(self.times))
        left = np.minimum(position.astype(int), len(knots) - 2)
        # Smoothstep, as the corners of linear interpolation would be audible.
        blend = position - left
        blend *= blend * (3.0 - 2.0 * blend)
        return knots[left] + (knots[left + 1] - knots[left]) * blend

    def pitch(self, hertz: tuple[float, float], vibrato: tuple[float, float], unsteadiness: float) -> np.ndarray:
        """Draws a pitch curve in Hz.

        Args:
            hertz: Register, from which the pitch is drawn uniformly on the logarithmic scale.
            vibrato: Rate in Hz and depth in cents; varied by up to 15 % in rate and to 0-130 % in depth.
            unsteadiness: Standard deviation of slow random changes of the pitch, in cents.
        """
        low, high = np.log2(hertz)
        centre = self.rng.uniform(low, high)
        rate = vibrato[0] * self.rng.uniform(0.85, 1.15)
        depth = vibrato[1] * self.rng.uniform(0.0, 1.3)
        # Players start without vibrato and let it grow.
        growth = np.clip(self.times / 0.3, 0.0, 1.0)
        cents = depth * growth * np.sin(2 * np.pi * (rate * self.times + self.rng.uniform()))
        return 2.0 ** (centre + (cents + unsteadiness * self.wander(6.0)) / 1200.0)

    def phase(self, hertz: np.ndarray) -> np.ndarray:
        """Phase of a frequency curve in Hz, in turns, float64 [samples]."""
        return np.cumsum(self.spread(hertz), dtype=np.float64) / self.sample_rate

    @property
    def octaves(self) -> np.ndarray:
        """Frequencies of the clip's spectrum in octaves re 1 kHz, float32 [num_samples // 2 + 1]."""
        return octaves(self.sample_rate, self.num_samples)


def linear(decibels: np.ndarray) -> np.ndarray:
    """Converts a level in dB to an amplitude ratio of the same floating-point type."""
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
    """`Take.octaves`; frequencies below 20 Hz count as 20 Hz, so that they have a logarithm. Read-only."""
    hertz = np.maximum(np.fft.rfftfreq(num_samples, 1.0 / sample_rate), 20.0)
    values = np.log2(hertz / 1000.0).astype(np.float32)
    values.setflags(write=False)
    return values
