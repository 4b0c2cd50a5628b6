"""Recording: the room, the microphone, the background and the level between a source and its clip."""

import numpy as np

from datasets.synthesis.take import linear, octaves, rms, shaped_noise

SNR = (15.0, 35.0)  # dB: quietest and loudest background
PEAK = (-20.0, -1.0)  # dB re full scale: quietest and loudest clip


def record(dry: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Record a source: colour it, add background noise, set the level.

    - Colour: a tilt of up to 1.5 dB per octave and one broad dip or peak of up to 5 dB, as another microphone
      or place would give.
    - Background: noise with a power spectrum 1/f**a, a between 0.5 and 1.5 (1 is pink), at a signal-to-noise
      ratio drawn from `SNR`.
    - Level: the peak of the clip is drawn from `PEAK`, so no clip can be over full scale.

    Args:
        dry: The source, float32 [samples], of any scale.
        sample_rate: Hz.
        rng: The clip's private generator.

    Returns:
        float32 [samples] within +-1.
    """
    from scipy import fft  # see `Voice.play`

    place = octaves(sample_rate, len(dry))
    tilt, height = rng.uniform(-1.5, 1.5), rng.uniform(-5.0, 5.0)
    centre, width = rng.uniform(-2.5, 2.5), rng.uniform(0.4, 1.2)
    colour = linear(tilt * place + height * np.exp(-0.5 * ((place - centre) / width) ** 2))
    wet = fft.irfft(fft.rfft(dry) * colour, len(dry))
    # A power of 1/f**a falls by 3a dB per octave.
    background = shaped_noise(rng, linear(-3.0 * rng.uniform(0.5, 1.5) * place), len(dry))
    wet += np.float32(rms(wet) * 10 ** (-rng.uniform(*SNR) / 20)) * background
    return wet * np.float32(10 ** (rng.uniform(*PEAK) / 20) / np.abs(wet).max())
