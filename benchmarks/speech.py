"""Writes a synthetic corpus with the layout, utterance lengths and compressibility of LibriSpeech, to measure with.

    FOLDER/1000/0/1000-0-0000.flac ...     a speaker of about 25 minutes: utterances of 2 to 24 s, 12 s on average
                                           (the last one is shortened to fit)

The sound resembles speech only to a codec: syllables of a pulse train or of noise, filtered by four formants, with
pauses and room noise. FLAC compresses it to 53 % of its size, and train-clean-100 to 55 %.
"""

import multiprocessing
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import lfilter

from datasets.utils.files import TEMPORARY_SUFFIX

RATE = 16_000
SPEAKER_HOURS = 25 / 60
MIN_SPEAKERS = 4  # so that a small corpus uses several cores, too
UTTERANCES_PER_CHAPTER = 25

_LEVEL = 2200.0  # RMS of a stressed syllable, in 16-bit steps
_ROOM = 14.0  # RMS of the room noise, in 16-bit steps


def write_speech(folder: Path, hours: float, seed: int = 0) -> None:
    """Writes the corpus on all cores, unless the folder exists.

    Args:
        folder: created atomically.
        hours: duration of the audio.
        seed: of all random values; the files do not depend on the number of cores.
    """
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}{TEMPORARY_SUFFIX}")
    shutil.rmtree(temporary, ignore_errors=True)
    speakers = max(MIN_SPEAKERS, round(hours / SPEAKER_HOURS))
    write = partial(_write_speaker, temporary, round(hours * 3600 * RATE / speakers), seed)
    with multiprocessing.Pool(os.cpu_count()) as pool:
        pool.map(write, range(speakers), chunksize=1)
    temporary.rename(folder)


def _write_speaker(root: Path, num_samples: int, seed: int, speaker: int) -> None:
    random = np.random.default_rng([seed, speaker])
    pitch = random.uniform(90, 230)
    utterance = written = 0
    while written < num_samples:
        length = min(round((2 + 22 * random.beta(2.5, 3)) * RATE), num_samples - written)
        chapter = utterance // UTTERANCES_PER_CHAPTER
        path = root / f"{1000 + speaker}/{chapter}/{1000 + speaker}-{chapter}-{utterance:04d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, _utterance(random, length, pitch), RATE, subtype="PCM_16")
        utterance += 1
        written += length


def _utterance(random: np.random.Generator, num_samples: int, pitch: float) -> np.ndarray:
    """int16 [num_samples]."""
    sound = lfilter([1.0], [1, -0.6], random.normal(0, _ROOM, num_samples))
    position = round(random.uniform(0.1, 0.5) * RATE)
    while True:
        length = round(random.uniform(0.08, 0.32) * RATE)
        if position + length > num_samples - RATE // 5:
            return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
        sound[position : position + length] += _LEVEL * _syllable(random, length, pitch)
        pause = random.exponential(0.035) if random.random() < 0.85 else random.uniform(0.15, 0.7)
        position += length + round(pause * RATE)


def _syllable(random: np.random.Generator, num_samples: int, pitch: float) -> np.ndarray:
    """float64 [num_samples] with an RMS of about 1, or 0.25 for a voiceless syllable."""
    voiced = random.random() < 0.75
    if voiced:
        start, end = random.normal(0, 0.12, 2)
        hertz = pitch * np.exp(np.linspace(start, end, num_samples))
        pulses = np.diff(np.floor(np.cumsum(hertz / RATE)), prepend=0.0)
        source = 6 * np.diff(lfilter([1.0], [1, -0.94], pulses), prepend=0.0) + random.normal(0, 0.02, num_samples)
        formants = random.uniform((250, 850, 1900, 3000), (850, 2300, 3000, 4000))
        widths = (70, 100, 150, 250)
    else:
        source = random.normal(0, 1, num_samples)
        formants = random.uniform((1500, 2500, 3500, 5000), (2500, 3500, 5000, 7000))
        widths = (400, 500, 600, 800)
    poles = np.array([1.0])
    for centre, width in zip(formants, widths, strict=True):
        radius = np.exp(-np.pi * width / RATE)
        poles = np.convolve(poles, [1, -2 * radius * np.cos(2 * np.pi * centre / RATE), radius**2])
    sound = lfilter([1.0], poles, source) * np.sqrt(np.sin(np.pi * np.linspace(0, 1, num_samples)))
    level = np.exp(random.normal(0, 0.5)) * (1.0 if voiced else 0.25)
    return sound * level / (np.sqrt(np.mean(sound**2)) + 1e-9)
