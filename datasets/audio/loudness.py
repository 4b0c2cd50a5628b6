"""Loudness normalisation (EBU R128): one linear gain per recording.

The gain brings the integrated loudness (ITU-R BS.1770-4, K-weighted, gated) to -23 LUFS, unless the true peak
(BS.1770-4 Annex 2, four times oversampled) would exceed -2 dBTP. Dynamics are unchanged.

K-weighting and gating blocks are those of pyloudnorm, with which the tests compare; the true peak equals that of
`scipy.signal.resample_poly(samples, 4, 1)` bit for bit. `python -m benchmarks.loudness` measures the cost.
"""

from functools import cache

import numpy as np

from datasets.audio.samples import Signal
from datasets.utils.errors import EarshotError

TARGET_LUFS = -23.0
MAX_TRUE_PEAK_DB = -2.0
ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
FULL_SCALE_LUFS = -0.691
"""Loudness of a K-weighted mean square of 1 (BS.1770-4, equation 2)."""

BLOCK_SECONDS = 0.4
HOPS_PER_BLOCK = 4
HOPS_PER_SECOND = 10
SHELF_HZ, SHELF_DB, SHELF_Q = 1500.0, 4.0, 0.5**0.5
HIGH_PASS_HZ, HIGH_PASS_Q = 38.0, 0.5
OVERSAMPLING = 4

_HOPS_AT_A_TIME = 128  # 12.8 s; limits the float64 copies of long recordings
_REACH = 10  # samples on either side on which an interpolated value depends
_CHUNK = 128  # samples; smaller chunks interpolate less around a loud sample, but overlap more
_CHUNKS_AT_A_TIME = 1024
_SAMPLES_AT_A_TIME = 1 << 22  # limits the copies of long recordings


def integrated_loudness(samples: Signal, rate: int) -> float:
    """Integrated loudness of one channel, in LUFS; -inf for silence.

    A recording shorter than one gating block (0.4 s) is repeated to fill one.

    Args:
        samples: [samples] float32, full scale 1.0.
        rate: in Hz.

    Raises:
        EarshotError: K-weighting is undefined at this rate.
    """
    block = int(np.ceil(BLOCK_SECONDS * rate))
    if len(samples) < block:
        samples = np.resize(samples[:], block)
    return gated_loudness(block_energies(samples, rate))


def block_energies(samples: Signal, rate: int) -> np.ndarray:
    """K-weighted mean squares of the gating blocks: 0.4 s, one every 0.1 s.

    As in pyloudnorm, a last block that is up to half a hop too short counts, as if silence followed.

    Args:
        samples: [samples] float32, at least one block.
        rate: in Hz.

    Returns:
        [blocks] float64.

    Raises:
        EarshotError: K-weighting is undefined at this rate.
    """
    from scipy.signal import sosfilt  # takes most of a second; not needed without loudness normalisation

    sections = k_weighting(rate)
    hops = round((len(samples) / rate - BLOCK_SECONDS) * HOPS_PER_SECOND) + HOPS_PER_BLOCK
    edges = np.minimum(np.arange(hops + 1) * rate // HOPS_PER_SECOND, len(samples))
    energies = np.empty(hops)
    state = np.zeros((len(sections), 2))
    for first in range(0, hops, _HOPS_AT_A_TIME):
        part = edges[first : first + _HOPS_AT_A_TIME + 1]
        weighted, state = sosfilt(sections, samples[part[0] : part[-1]], zi=state)
        energies[first : first + len(part) - 1] = np.add.reduceat(np.square(weighted), part[:-1] - part[0])
    return np.lib.stride_tricks.sliding_window_view(energies, HOPS_PER_BLOCK).sum(axis=1) / (BLOCK_SECONDS * rate)


def k_weighting(rate: int) -> np.ndarray:
    """K-weighting as second-order sections `[2, 6]`: a high shelf (the head), then a high pass (RLB).

    pyloudnorm's definition: filters of the Audio EQ Cookbook (R. Bristow-Johnson), designed at the file's own rate. At
    48 kHz their response is that of the coefficients in BS.1770-4 within 0.05 dB.

    Raises:
        EarshotError: the Nyquist frequency is not above the shelf frequency.
    """
    if rate <= 2 * SHELF_HZ:
        raise EarshotError(
            f"loudness (EBU R128): expected a sample rate above {2 * SHELF_HZ:g} Hz, found {rate} Hz; "
            "use a higher rate or skip the normalisation with --no-loudness"
        )
    amplitude = 10 ** (SHELF_DB / 40)
    cosine, sine = np.cos(2 * np.pi * SHELF_HZ / rate), np.sin(2 * np.pi * SHELF_HZ / rate)
    more, less = amplitude + 1, amplitude - 1
    slope = np.sqrt(amplitude) * sine / SHELF_Q
    shelf = [
        amplitude * (more + less * cosine + slope),
        -2 * amplitude * (less + more * cosine),
        amplitude * (more + less * cosine - slope),
        more - less * cosine + slope,
        2 * (less - more * cosine),
        more - less * cosine - slope,
    ]
    cosine, sine = np.cos(2 * np.pi * HIGH_PASS_HZ / rate), np.sin(2 * np.pi * HIGH_PASS_HZ / rate)
    width = sine / (2 * HIGH_PASS_Q)
    high_pass = [(1 + cosine) / 2, -(1 + cosine), (1 + cosine) / 2, 1 + width, -2 * cosine, 1 - width]
    return np.array([np.divide(section, section[3]) for section in (shelf, high_pass)])


def gated_loudness(energies: np.ndarray) -> float:
    """Loudness of the blocks that pass both gates (BS.1770-4, equations 5 to 7), in LUFS.

    Args:
        energies: [blocks], K-weighted mean squares.

    Returns:
        -inf where every block is below the absolute gate.
    """
    loud = energies[energies > 10 ** ((ABSOLUTE_GATE_LUFS - FULL_SCALE_LUFS) / 10)]
    if not len(loud):
        return -np.inf
    loud = loud[loud > loud.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return float(FULL_SCALE_LUFS + 10 * np.log10(loud.mean()))


def true_peak(samples: Signal) -> float:
    """Largest absolute value of the signal after four times oversampling (not in dB)."""
    return peak_above(samples, 0.0)


def peak_above(samples: Signal, floor: float) -> float:
    """The true peak if it exceeds `floor`, otherwise any value up to `floor`.

    An interpolated value is a weighted sum of about 20 samples. It can exceed a limit only if one of them exceeds that
    limit divided by the sum of the absolute weights (at most 2.24). The limit is the larger of sample peak and `floor`,
    and the signal is interpolated only around samples above it: a few percent of speech.

    Args:
        samples: [samples] float32.
        floor: absolute value up to which the true peak need not be exact.
    """

    parts = range(0, len(samples), _SAMPLES_AT_A_TIME)
    peak = max((float(np.abs(samples[first : first + _SAMPLES_AT_A_TIME]).max()) for first in parts), default=0.0)
    limit = max(peak, floor) / _interpolator()[1]
    # After the last sample the filter rings on; a part begins at a chunk.
    for first in range(0, len(samples) + _REACH + 1, _SAMPLES_AT_A_TIME):
        peak = max(
            peak, _peak_between(samples, first, min(first + _SAMPLES_AT_A_TIME, len(samples) + _REACH + 1), limit)
        )
    return peak


def _peak_between(samples: Signal, first: int, last: int, limit: float) -> float:
    """Largest interpolated value from `first` to before `last` in the chunks near samples above `limit`; 0 if none."""
    from scipy.signal import upfirdn

    taps, _ = _interpolator()
    before = min(_REACH, first)
    near = samples[first - before : last + _CHUNK + _REACH]
    chunks = np.zeros(-(-(last - first) // _CHUNK), bool)
    loud = np.flatnonzero(np.abs(near[: last - first + before + _REACH]) > limit) - before
    for edge in (-_REACH, _REACH):
        touched = (loud + edge) // _CHUNK
        chunks[touched[(touched >= 0) & (touched < len(chunks))]] = True
    starts = np.flatnonzero(chunks) * _CHUNK
    peak = 0.0
    for start in range(0, len(starts), _CHUNKS_AT_A_TIME):
        positions = starts[start : start + _CHUNKS_AT_A_TIME, None] + np.arange(-_REACH, _CHUNK + _REACH) + before
        inside = (positions >= 0) & (positions < len(near))
        windows = np.where(inside, near.take(positions, mode="clip"), 0)
        # One call for all windows, concatenated: leakage between neighbours stays within the margins.
        # After the last sample the filter rings, at less than half the level of the loudest sample.
        oversampled = upfirdn(taps, windows.ravel(), OVERSAMPLING)[len(taps) // 2 :][: OVERSAMPLING * windows.size]
        between = oversampled.reshape(len(windows), -1, OVERSAMPLING)[:, _REACH:-_REACH]
        peak = max(peak, float(np.abs(between).max()))
    return peak


@cache
def _interpolator() -> tuple[np.ndarray, float]:
    """The filter of `scipy.signal.resample_poly` `[81]`, and a bound of interpolated values for a sample peak of 1."""
    from scipy.signal import firwin

    taps = OVERSAMPLING * firwin(2 * _REACH * OVERSAMPLING + 1, 1 / OVERSAMPLING, window=("kaiser", 5.0))
    growth = max(float(np.abs(taps[phase::OVERSAMPLING]).sum()) for phase in range(OVERSAMPLING))
    return taps, growth * (1 + 1e-6)  # margin for rounding of sums and of float32 limits


def normalising_gain(
    samples: Signal, rate: int, target: float = TARGET_LUFS, max_true_peak_db: float = MAX_TRUE_PEAK_DB
) -> float:
    """The gain that brings a recording to the target loudness as far as its true peak allows; 1 for silence.

        gain = min( 10^((target - L) / 20),  10^(max_true_peak_db / 20) / true_peak )

    Args:
        samples: [samples] float32; may be in a file, and larger than memory.
        rate: in Hz.
        target: integrated loudness, in LUFS.
        max_true_peak_db: in dBTP.

    Raises:
        EarshotError: K-weighting is undefined at this rate.
    """
    loudness = integrated_loudness(samples, rate)
    if not np.isfinite(loudness):
        return 1.0
    gain, ceiling = 10 ** ((target - loudness) / 20), 10 ** (max_true_peak_db / 20)
    return float(min(gain, ceiling / peak_above(samples, ceiling / gain)))


def normalise(
    samples: np.ndarray, rate: int, target: float = TARGET_LUFS, max_true_peak_db: float = MAX_TRUE_PEAK_DB
) -> np.ndarray:
    """Scales a recording by its `normalising_gain`.

    Args:
        samples: [samples] float32.
        rate: in Hz.
        target: integrated loudness, in LUFS.
        max_true_peak_db: in dBTP.

    Returns:
        [samples] float32; silence and recordings below the absolute gate of -70 LUFS are returned unchanged.

    Raises:
        EarshotError: K-weighting is undefined at this rate.
    """
    return scaled(samples, normalising_gain(samples, rate, target, max_true_peak_db))


def scaled(samples: np.ndarray, gain: float) -> np.ndarray:
    """Samples times gain, as float32; the same array if the gain is 1."""
    return samples if gain == 1 else (samples * gain).astype(np.float32, copy=False)
