"""Fingerprints of the spectra of clips: they find copies at another level, encoded again, or slightly shifted.

A fingerprint is how the level of each frequency band changes over the clip: the magnitudes of the lowest frequencies of
the level over time. They change little if the clip starts a little earlier or later. The mean spectrum is left out: it
is about the same for all steady sounds of a kind, such as rain. Bands lie in the lower half of the spectrum, as lossy
encoders remove the upper half. `docs/audit.md` says how the threshold was measured.
"""

import numpy as np

BANDS = 24
"""Frequency bands, logarithmically spaced."""
CHANGES = 12
"""Frequencies of the level of a band: 1, 2, ... periods in a clip."""
FLOOR_DB = -40.0
"""Levels are limited to this, relative to the highest of the clip: noise of an encoder below it does not count."""
WINDOW = 1024
"""Length of the windows of the spectra, in samples; shorter for clips of less than 1 s at 16 kHz."""
SHORTEST = 512
"""Clips with fewer samples have no fingerprint."""
BLOCK = 2048
"""Clips of each side that are compared at a time: a block of similarities takes 16 MB."""


def fingerprints(audio: np.ndarray) -> np.ndarray:
    """Computes the fingerprints of clips.

    Args:
        audio: float32 [clips, samples].

    Returns:
        float16 [clips, dimensions], about 0.5 kB a clip, of length 1; zeros for a clip of digital silence or of a
        constant level. There are no dimensions if the clips are too short.
    """
    samples = audio.shape[1]
    if samples < SHORTEST:
        return np.zeros((len(audio), 0), np.float16)
    window = min(WINDOW, 1 << (samples // 16).bit_length() - 1)
    edges = np.unique(np.geomspace(min(4, window // 16), window // 4, BANDS + 1).astype(int))
    taper = np.hanning(window).astype(np.float32)
    result = np.zeros((len(audio), CHANGES * (len(edges) - 1)), np.float16)
    for row, clip in zip(result, audio, strict=True):
        row[:] = _fingerprint(clip, window, edges, taper)
    return result


def nearest(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most similar of the first clips for each of the second ones, by matrix products of blocks.

    Args:
        first: fingerprints [clips, dimensions], at least one.
        second: fingerprints [others, dimensions].

    Returns:
        Its row in `first`, int64 [others], and the similarity (cosine, at most about 1), float32 [others].
    """
    rows, similarity = np.zeros(len(second), np.int64), np.full(len(second), -1, np.float32)
    for start in range(0, len(second), BLOCK):
        block = slice(start, start + BLOCK)
        queries = second[block].astype(np.float32)
        for begin in range(0, len(first), BLOCK):
            products = queries @ first[begin : begin + BLOCK].astype(np.float32).T
            best = products.argmax(axis=1)
            values = products[np.arange(len(best)), best]
            better = values > similarity[block]
            rows[block][better] = begin + best[better]
            similarity[block][better] = values[better]
    return rows, similarity


def _fingerprint(clip: np.ndarray, window: int, edges: np.ndarray, taper: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(clip, window)[:: window // 2] * taper
    spectra = np.fft.rfft(frames)
    power = np.add.reduceat(np.square(np.abs(spectra[:, : edges[-1]])), edges[:-1], axis=1) / np.diff(edges)
    peak = float(power.max())
    if peak <= 0:
        return np.zeros(CHANGES * (len(edges) - 1))
    levels = 10 * np.log10(np.maximum(power / peak, 10 ** (FLOOR_DB / 10)))
    changes = np.abs(np.fft.rfft(levels, axis=0))[1 : CHANGES + 1].ravel()
    length = float(np.linalg.norm(changes))
    return changes / length if length > 1e-6 else np.zeros_like(changes)
