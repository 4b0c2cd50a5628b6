"""What loudness normalisation costs, beside what it did before: pyloudnorm and four times oversampling of everything.

    python -m benchmarks.loudness [--repeats 5] [--shared FOLDER]

measures both in one process, in turn, on 10 minutes of synthetic speech and, where the shared material is there, on a
quarter of ravdess-16k; prints CPU seconds per hour of audio (median of the repeats) and the largest difference in gain.
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
class Way:
    """One way of finding the gain.

    Attributes:
        weigh: K-weighting alone, of `(samples, rate)`.
        loudness: K-weighting and gating, of `(samples, rate)`; in LUFS.
        peak: of `(samples, floor)`; exact where it is above the floor.
    """

    weigh: Callable[[np.ndarray, int], object]
    loudness: Callable[[np.ndarray, int], float]
    peak: Callable[[np.ndarray, float], float]


def weigh_before(samples: np.ndarray, rate: int) -> np.ndarray:
    """The filters of pyloudnorm, as its meter applies them: one after another, each rounded to float32."""
    weighted = samples.copy()
    for stage in pyloudnorm.Meter(rate)._filters.values():
        weighted[:] = stage.apply_filter(weighted)
    return weighted


def loudness_before(samples: np.ndarray, rate: int) -> float:
    """pyloudnorm."""
    with np.errstate(divide="ignore"):
        return float(pyloudnorm.Meter(rate).integrated_loudness(samples))


def peak_before(samples: np.ndarray, floor: float) -> float:
    """Oversamples everything, whatever the floor."""
    oversampled = resample_poly(samples.astype(np.float64), 4, 1)
    return float(max(np.abs(oversampled).max(), np.abs(samples).max()))


BEFORE = Way(weigh_before, loudness_before, peak_before)
OURS = Way(lambda samples, rate: sosfilt(k_weighting(rate), samples), integrated_loudness, peak_above)


def measure(way: Way, recordings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Finds all gains.

    Returns:
        CPU seconds of each of `STAGES` `[4]`, gating by difference; the gain of each recording `[recordings]`, in dB.
    """
    weighing = loudness = peak = 0.0
    gains = np.zeros(len(recordings))
    for number, samples in enumerate(recordings):
        moments = [time.process_time()]
        way.weigh(samples, RATE)
        moments.append(time.process_time())
        level = way.loudness(samples, RATE)
        moments.append(time.process_time())
        if level > SILENCE:
            wanted = TARGET_LUFS - level
            found = way.peak(samples, 10 ** ((MAX_TRUE_PEAK_DB - wanted) / 20))
            gains[number] = min(wanted, MAX_TRUE_PEAK_DB - 20 * np.log10(found))
        moments.append(time.process_time())
        weighing, loudness, peak = np.add((weighing, loudness, peak), np.diff(moments))
    return np.array([weighing, loudness - weighing, peak, loudness + peak]), gains


def compare(title: str, recordings: Sequence[np.ndarray], repeats: int) -> Table:
    """Both ways, in turn."""
    hours = sum(map(len, recordings)) / RATE / 3600
    for way in (BEFORE, OURS):
        measure(way, recordings[:1])  # imports and caches
    before, ours = (np.empty((repeats, len(STAGES))) for _ in range(2))
    for repeat in range(repeats):
        before[repeat], gains_before = measure(BEFORE, recordings)
        ours[repeat], gains = measure(OURS, recordings)
    table = Table(
        "CPU seconds per hour of audio",
        "before",
        "ours",
        "times faster",
        title=f"{title}: {len(recordings)} recordings, {60 * hours:.1f} min",
        caption=f"largest difference in gain: {np.abs(gains - gains_before).max():.1e} dB",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for stage, slow, fast in zip(STAGES, *(np.median(times, axis=0) / hours for times in (before, ours)), strict=True):
        table.add_row(stage, f"{slow:.3f}", f"{fast:.3f}", f"{slow / fast:.1f}")
    return table


def speech(seed: int, seconds: float) -> np.ndarray:
    """Damped pulses in syllables, four a second, with pauses, in the noise of a room: float32 [samples]."""
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
