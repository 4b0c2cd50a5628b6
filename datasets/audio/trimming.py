"""Finds the part of a recording between the silence at its ends."""

import numpy as np

from datasets.audio.samples import Signal

FRAME_SECONDS = 0.02
_FRAMES_AT_A_TIME = 1024


def sounding_part(samples: Signal, rate: int, below_db: float) -> tuple[int, int]:
    """The part from the first to the last frame that is not silent; a frame is 20 ms, the last may be shorter.

    A frame is silent if its mean square is more than `below_db` under that of the loudest frame. Silence between
    sounds is kept.

    Args:
        samples: [samples] float32; they may be in a file.
        rate: in Hz.
        below_db: in dB, positive.

    Returns:
        The first sample, and the one after the last; all samples of a recording of zeros.
    """
    frame = max(1, round(FRAME_SECONDS * rate))
    parts = [np.zeros(0)]
    for first in range(0, len(samples), frame * _FRAMES_AT_A_TIME):
        squares = np.square(samples[first : first + frame * _FRAMES_AT_A_TIME], dtype=np.float64)
        starts = np.arange(0, len(squares), frame)
        parts.append(np.add.reduceat(squares, starts) / np.minimum(frame, len(squares) - starts))
    energies = np.concatenate(parts)
    peak = energies.max(initial=0.0)
    if peak <= 0:
        return 0, len(samples)
    sounding = np.flatnonzero(energies >= peak * 10 ** (-below_db / 10))
    return int(sounding[0]) * frame, min((int(sounding[-1]) + 1) * frame, len(samples))
