"""Recording: the room, the microphone, the background and the level between a source and its clip."""

import numpy as np

from datasets.synthesis.take import bins, shaped_noise

SNR = (15.0, 35.0)  # dB: quietest and loudest background
PEAK = (-20.0, -1.0)  # dB re full scale: quietest and loudest clip


def record(dry: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Record a source: colour it, add background noise, set the level.

    - Colour: a tilt of up to 1.5 dB per octave and one broad dip or peak of up to 5 dB, as another microphone or place
      would give.
    - Background: noise with a power spectrum 1/f**a, a between 0.5 and 1.5 (1 is pink), at a signal-to-noise ratio
      drawn from `SNR`.
    - Level: the peak of the clip is drawn from `PEAK`, so no clip can be over full scale.

    Args:
        dry: The source, [samples], of any scale.
        sample_rate: Hz.
        rng: The clip's private generator.

    Returns:
        float64 [samples] within +-1.
    """
    hertz = bins(sample_rate, len(dry))
    octaves = np.log2(hertz / 1000.0)
    tilt, height = rng.uniform(-1.5, 1.5), rng.uniform(-5.0, 5.0)
    centre, width = rng.uniform(-2.5, 2.5), rng.uniform(0.4, 1.2)
    decibels = tilt * octaves + height * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
    wet = np.fft.irfft(np.fft.rfft(dry) * 10 ** (decibels / 20), len(dry))
    background = shaped_noise(rng, (hertz / 1000.0) ** (-0.5 * rng.uniform(0.5, 1.5)), len(dry))
    loudness = float(np.sqrt(np.mean(wet**2)))
    mixed = wet + loudness * 10 ** (-rng.uniform(*SNR) / 20) * background
    return mixed * (10 ** (rng.uniform(*PEAK) / 20) / np.abs(mixed).max())
