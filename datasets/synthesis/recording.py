"""Simulates a recording of a source: room, microphone, background noise and level."""

import numpy as np

from datasets.synthesis.take import linear, octaves, rms, shaped_noise

SNR = (15.0, 35.0)  # dB, lowest and highest signal-to-noise ratio
PEAK = (-20.0, -1.0)  # dB re full scale, of the quietest and the loudest clip


def record(dry: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Colours a source, adds background noise and sets the level.

    - Colour: a tilt of up to 1.5 dB per octave and one broad dip or peak of up to 5 dB, as from another microphone or
      room.
    - Background: noise with a power spectrum 1/f**a, a between 0.5 and 1.5 (1 is pink), at a signal-to-noise ratio
      drawn from `SNR`.
    - Level: the peak of the clip is drawn from `PEAK`, so no clip exceeds full scale.

    Args:
        dry: The source, float32 [samples], of any scale.
        sample_rate: Hz.
        rng: Random generator of the clip.

    Returns:
        float32 [samples] within +-1.
    """
    from scipy import fft  # see `Voice.play`

    frequencies = octaves(sample_rate, len(dry))
    tilt, height = rng.uniform(-1.5, 1.5), rng.uniform(-5.0, 5.0)
    centre, width = rng.uniform(-2.5, 2.5), rng.uniform(0.4, 1.2)
    colour = linear(tilt * frequencies + height * np.exp(-0.5 * ((frequencies - centre) / width) ** 2))
    wet = fft.irfft(fft.rfft(dry) * colour, len(dry))
    # A power of 1/f**a falls by 3a dB per octave.
    background = shaped_noise(rng, linear(-3.0 * rng.uniform(0.5, 1.5) * frequencies), len(dry))
    wet += np.float32(rms(wet) * 10 ** (-rng.uniform(*SNR) / 20)) * background
    return wet * np.float32(10 ** (rng.uniform(*PEAK) / 20) / np.abs(wet).max())
