"""Loudness normalisation (EBU R128): one linear gain per recording.

The gain brings the integrated loudness (ITU-R BS.1770-4, K-weighted, gated) to -23 LUFS, but never the true
peak (BS.1770-4 Annex 2, four times oversampled) above -2 dBTP. Dynamics are left alone.
"""

import numpy as np

TARGET_LUFS = -23.0
MAX_TRUE_PEAK_DB = -2.0
BLOCK_SECONDS = 0.4
OVERSAMPLING = 4


def integrated_loudness(samples: np.ndarray, rate: int) -> float:
    """Integrated loudness of one channel, in LUFS; -inf for silence.

    A recording shorter than one gating block (0.4 s) is measured as if it were repeated to fill one.

    Args:
        samples: [samples] float32, full scale 1.0.
        rate: in Hz.
    """
    import pyloudnorm  # imports SciPy's signal package: half a second that not every worker needs

    if not np.any(samples):
        return -np.inf
    block = int(np.ceil(BLOCK_SECONDS * rate))
    if len(samples) < block:
        samples = np.resize(samples, block)
    with np.errstate(divide="ignore"):  # blocks of silence have a loudness of -inf, which is what is meant
        return float(pyloudnorm.Meter(rate, block_size=BLOCK_SECONDS).integrated_loudness(samples))


def true_peak(samples: np.ndarray) -> float:
    """Largest absolute value of the signal after four times oversampling (not in dB)."""
    from scipy.signal import resample_poly

    oversampled = resample_poly(samples.astype(np.float64), OVERSAMPLING, 1)
    # The interpolated maximum may fall just beside a sample: never below the sample peak.
    return float(max(np.abs(oversampled).max(initial=0.0), np.abs(samples).max(initial=0.0)))


def normalise(
    samples: np.ndarray, rate: int, target: float = TARGET_LUFS, max_true_peak_db: float = MAX_TRUE_PEAK_DB
) -> np.ndarray:
    """Scales a recording to the target loudness as far as its true peak allows.

        gain = min( 10^((target - L) / 20),  10^(max_true_peak_db / 20) / true_peak )

    Args:
        samples: [samples] float32.
        rate: in Hz.
        target: integrated loudness, in LUFS.
        max_true_peak_db: in dBTP.

    Returns:
        [samples] float32; silence (also recordings below the absolute gate of -70 LUFS) is returned
        unchanged.
    """
    loudness = integrated_loudness(samples, rate)
    if not np.isfinite(loudness):
        return samples
    gain = min(10 ** ((target - loudness) / 20), 10 ** (max_true_peak_db / 20) / true_peak(samples))
    return (samples * gain).astype(np.float32)
