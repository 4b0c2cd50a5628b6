"""A seeded synthesiser: 25 parametric sound sources, to try methods without downloading a corpus.

A class is a *source*: an instrument with its spectrum, envelope and inharmonicity, a voice with its register and
formants, or a noise texture. A clip is one rendition of the source, with its own pitch, loudness, phase, onset,
duration, vibrato, microphone and background noise. Sources of the same family are similar and can be confused.

    SOURCES[name].play(Take) -> dry sound -> record() -> clip

`render` computes each clip independently: its random generator is seeded by (seed, class name, clip), so neither the
order nor the number of clips or classes changes it.
"""

import zlib

import numpy as np

from datasets.synthesis.recording import record
from datasets.synthesis.sources import SOURCES
from datasets.synthesis.take import Take

__all__ = ["SOURCES", "render"]


def render(name: str, clip: int, *, seed: int = 0, seconds: float = 1.0, sample_rate: int = 16000) -> np.ndarray:
    """Render one clip.

    Args:
        name: Class, a key of `SOURCES`.
        clip: Number of the clip within the class, 0 or more.
        seed: Seed of the whole benchmark, 0 or more.
        seconds: Length of the clip.
        sample_rate: Hz; instruments and voices have no partials above half of it.

    Returns:
        int16 [samples], `round(seconds * sample_rate)` of them, with a peak between -20 and -1 dB re full scale. The
        same arguments give the same samples with the same NumPy and SciPy on the same kind of processor; on others the
        vectorised sine may differ in its last bit, which can change a sample by one step of 16 bits.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), clip])
    take = Take.draw(rng, sample_rate, round(seconds * sample_rate))
    sound = record(SOURCES[name].play(take), sample_rate, rng)
    return np.rint(sound * 32767).astype(np.int16)
