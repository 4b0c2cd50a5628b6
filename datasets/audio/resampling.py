"""Changes the sample rate with a windowed sinc, at any ratio, for recordings of any length.

The filter is that of `torchaudio.functional.resample` with its defaults: with b = 0.99 min(rate, target), output sample
n is the sum over input samples i of

    x[i] h(b (i / rate - n / target)) b / rate,     h(t) = sinc(t) cos^2(pi t / 12) for |t| < 6, otherwise 0

torchaudio stores the whole filter bank, whose size grows with the product of the reduced rates (44101 to 16000 Hz: 2.8
GB in float32, with almost only zeros). For such ratios only the taps that are not zero are stored here: at most 16
times the higher rate. torchaudio computes its bank in float32, which costs up to 1e-4 at ratios of large numbers; the
taps here are rounded once.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from math import ceil, gcd

import numpy as np

ZERO_CROSSINGS = 6
ROLLOFF = 0.99

_REACH = 7  # maximum half-width of the filter, in periods of the lower rate
_LARGEST_BANK = 20_000_000  # product of the reduced rates up to which torchaudio's filter bank takes little memory
_VALUES_AT_A_TIME = 1 << 22  # limits temporary arrays: 16 MiB in float32


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Changes the sample rate.

    Args:
        samples: [samples] float32.
        rate: sample rate of the samples, in Hz.
        target: sample rate of the result, in Hz.

    Returns:
        [ceil(samples * target / rate)] float32.
    """
    if rate == target:
        return samples
    step, new = _ratio(rate, target)
    if step * new > _LARGEST_BANK:
        return _resample_sparse(samples, step, new)
    import torch  # 2-3 s in every worker; not needed by corpora that keep their rate (LibriSpeech)
    import torchaudio.functional

    if not samples.flags.writeable:
        samples = samples.copy()  # PyTorch warns about memory that it must not write to
    return torchaudio.functional.resample(torch.from_numpy(samples), rate, target).numpy()


def resample_blocks(blocks: Iterable[tuple[np.ndarray, int]], target: int) -> Iterator[np.ndarray]:
    """Resamples a recording block by block, with the same result as `resample` of the joined blocks.

    Each block is resampled together with as much of its neighbours as the filter covers, and cut at a position at which
    both rates have a sample.

    Args:
        blocks: pairs of samples [samples] float32 and their rate in Hz, which is the same for all.
        target: sample rate of the result, in Hz.
    """
    pending: np.ndarray = np.zeros(0, np.float32)
    done = 0  # samples at the start of `pending` that are already resampled
    source = target
    for block, source in _limit_output(blocks, target):
        if source == target:
            yield block
            continue
        step, new = _ratio(source, target)
        margin = step * (1 + ceil(_REACH / min(step, new)))
        previous, pending = len(pending), np.concatenate([pending, block])
        # Not beyond the samples before this block: a recording of one block is resampled whole, as by `resample`.
        end = min(previous, len(pending) - margin) // step * step
        if end - done >= margin:
            yield resample(pending[: end + margin], source, target)[done * new // step : end * new // step]
            pending, done = pending[end - margin :], margin
    if source != target:
        yield resample(pending, source, target)[done * target // source :]


def _limit_output(blocks: Iterable[tuple[np.ndarray, int]], target: int) -> Iterator[tuple[np.ndarray, int]]:
    """Divides blocks that become very long at the target rate (1 kHz to 192 kHz: 192 times)."""
    for block, rate in blocks:
        size = max(rate, _VALUES_AT_A_TIME * rate // target)
        for first in range(0, max(1, len(block)), size):
            yield block[first : first + size], rate


def _ratio(rate: int, target: int) -> tuple[int, int]:
    """The two rates, divided by their greatest common divisor."""
    divisor = gcd(rate, target)
    return rate // divisor, target // divisor


def _resample_sparse(samples: np.ndarray, step: int, new: int) -> np.ndarray:
    """As torchaudio, with only those taps of each phase that are not zero."""
    taps = _taps(step, new)
    width = taps.shape[1] // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (width, width)), taps.shape[1])
    result: np.ndarray = np.empty(ceil(new * len(samples) / step), np.float32)
    size = max(1, _VALUES_AT_A_TIME // taps.shape[1])
    for first in range(0, len(result), size):
        number = np.arange(first, min(first + size, len(result)))
        result[first : first + size] = np.einsum("nk,nk->n", windows[number * step // new], taps[number % new])
    return result


@lru_cache(maxsize=2)
def _taps(step: int, new: int) -> np.ndarray:
    """The filter of each phase around its position among the input samples: float32 [new, 2 width]."""
    bandwidth = min(step, new) * ROLLOFF
    width = ceil(ZERO_CROSSINGS * step / bandwidth) + 1
    offsets = np.arange(-width, width)
    taps: np.ndarray = np.empty((new, len(offsets)), np.float32)
    size = max(1, _VALUES_AT_A_TIME // (4 * len(offsets)))
    for first in range(0, new, size):
        phase = np.arange(first, min(first + size, new))
        time = ((phase * step // new)[:, None] + offsets) / step - phase[:, None] / new
        time = (time * bandwidth).clip(-ZERO_CROSSINGS, ZERO_CROSSINGS)
        taps[first : first + size] = np.sinc(time) * np.cos(time * np.pi / ZERO_CROSSINGS / 2) ** 2 * bandwidth / step
    return taps
