"""Compares the cost of loudness normalisation with pyloudnorm and four times oversampling of the whole signal.

    python -m benchmarks.loudness [--repeats 5] [--shared FOLDER]

measures both alternately in one process, on 10 minutes of synthetic speech and, if the shared material is available, on
a quarter of ravdess-16k. Prints CPU seconds per hour of audio (median of the repeats) and the largest difference in
gain.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyloudnorm
from rich.console import Console
from rich.table import Table
from scipy.signal import resample_poly, sosfilt

from datasets.audio.loudness import MAX_TRUE_PEAK_DB, TARGET_LUFS, integrated_loudness, k_weighting, peak_above
from datasets.audio.recordings import read_recording

RATE = 16_000
STAGES = ("K-weighting", "gating", "true peak", "all")
SILENCE = -np.inf


@dataclass(frozen=True)
class Implementation:
    """Functions that compute the gain.

    Attributes:
        weigh: K-weighting only, of `(samples, rate)`.
        loudness: K-weighting and gating, of `(samples, rate)`; in LUFS.
        peak: true peak, of `(samples, floor)`; exact if above the floor.
    """

    weigh: Callable[[np.ndarray, int], object]
    loudness: Callable[[np.ndarray, int], float]
    peak: Callable[[np.ndarray, float], float]


def weigh_reference(samples: np.ndarray, rate: int) -> np.ndarray:
    """The filters of pyloudnorm as its meter applies them: in sequence, each result rounded to float32."""
    weighted = samples.copy()
    for stage in pyloudnorm.Meter(rate)._filters.values():
        weighted[:] = stage.apply_filter(weighted)
    return weighted


def loudness_reference(samples: np.ndarray, rate: int) -> float:
    """Loudness by pyloudnorm."""
    with np.errstate(divide="ignore"):
        return float(pyloudnorm.Meter(rate).integrated_loudness(samples))


def peak_reference(samples: np.ndarray, floor: float) -> float:
    """True peak by oversampling the whole signal; ignores the floor."""
    oversampled = resample_poly(samples.astype(np.float64), 4, 1)
    return float(max(np.abs(oversampled).max(), np.abs(samples).max()))


REFERENCE = Implementation(weigh_reference, loudness_reference, peak_reference)
EARSHOT = Implementation(lambda samples, rate: sosfilt(k_weighting(rate), samples), integrated_loudness, peak_above)


def measure(implementation: Implementation, recordings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Computes the gains of all recordings.

    Returns:
        CPU seconds of each of `STAGES` [4], gating by difference; gain of each recording [recordings], in dB.
    """
    weighing = loudness = peak = 0.0
    gains = np.zeros(len(recordings))
    for number, samples in enumerate(recordings):
        moments = [time.process_time()]
        implementation.weigh(samples, RATE)
        moments.append(time.process_time())
        level = implementation.loudness(samples, RATE)
        moments.append(time.process_time())
        if level > SILENCE:
            gain = TARGET_LUFS - level
            true_peak = implementation.peak(samples, 10 ** ((MAX_TRUE_PEAK_DB - gain) / 20))
            gains[number] = min(gain, MAX_TRUE_PEAK_DB - 20 * np.log10(true_peak))
        moments.append(time.process_time())
        weighing, loudness, peak = np.add((weighing, loudness, peak), np.diff(moments))
    return np.array([weighing, loudness - weighing, peak, loudness + peak]), gains


def compare(title: str, recordings: Sequence[np.ndarray], repeats: int) -> Table:
    """Measures both implementations alternately."""
    hours = sum(map(len, recordings)) / RATE / 3600
    for implementation in (REFERENCE, EARSHOT):
        measure(implementation, recordings[:1])  # imports and caches
    reference, earshot = (np.empty((repeats, len(STAGES))) for _ in range(2))
    for repeat in range(repeats):
        reference[repeat], reference_gains = measure(REFERENCE, recordings)
        earshot[repeat], gains = measure(EARSHOT, recordings)
    table = Table(
        "CPU seconds per hour of audio",
        "pyloudnorm",
        "Earshot",
        "speed-up",
        title=f"{title}: {len(recordings)} recordings, {60 * hours:.1f} min",
        caption=f"largest difference in gain: {np.abs(gains - reference_gains).max():.1e} dB",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for stage, slow, fast in zip(
        STAGES, *(np.median(times, axis=0) / hours for times in (reference, earshot)), strict=True
    ):
        table.add_row(stage, f"{slow:.3f}", f"{fast:.3f}", f"{slow / fast:.1f}")
    return table


def speech(seed: int, seconds: float) -> np.ndarray:
    """Damped pulses in four syllables a second, with pauses and room noise: float32 [samples]."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE)
    moments = np.arange(count) / RATE
    pitch = random.uniform(90, 230) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * moments))
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0.0)
    ringing = moments[: RATE // 50]
    voice = sum(np.exp(-90 * k * ringing) * np.sin(2 * np.pi * 550 * k * ringing) / k for k in (1, 3, 5))
    stress = random.uniform(0.3, 1, int(4 * seconds) + 1) * (random.random(int(4 * seconds) + 1) > 0.2)
    envelope = np.sin(4 * np.pi * moments) ** 2 * stress[(4 * moments).astype(int)]
    sound = np.convolve(pulses, voice)[:count] * envelope
    return (random.uniform(0.05, 0.4) * sound + random.normal(0, 5e-4, count)).astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.loudness`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loudness", description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("EARSHOT_SHARED", "../shared")))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    console = Console()
    console.print(compare("synthetic speech", [speech(seed, 12) for seed in range(50)], options.repeats))
    files = sorted((options.shared / "corpora" / "ravdess-16k").glob("*/*/*.flac"))[::4]
    if files:
        console.print(compare("ravdess-16k", [read_recording(file)[0] for file in files], options.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
