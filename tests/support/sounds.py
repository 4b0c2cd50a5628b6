"""Small recordings of made-up sounds, one folder per class."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
CLASSES = ("bark", "chirp", "meow", "rain")


def write_sounds(folder: Path, files: int = 12, seconds: float = 0.5) -> None:
    """Writes FOLDER/recordings/CLASS/NUMBER.wav, and FOLDER/meow.wav, which is one more of its class."""
    for label, name in enumerate(CLASSES):
        (folder / "recordings" / name).mkdir(parents=True)
        for number in range(files):
            soundfile.write(folder / "recordings" / name / f"{number}.wav", sound(label, number, seconds), RATE)
    soundfile.write(folder / "meow.wav", sound(CLASSES.index("meow"), files, seconds), RATE)


def sound(label: int, number: int, seconds: float) -> np.ndarray:
    """Harmonics of a random pitch in noise, [samples]; the spectrum depends on the class."""
    random = np.random.default_rng([label, number])
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = random.uniform(150, 400)
    partials = [np.sin(2 * np.pi * pitch * k * time) / k ** (0.4 + 0.5 * label) for k in range(1, 12)]
    wave: np.ndarray = 0.1 * np.sum(partials, axis=0) + 0.01 * random.standard_normal(len(time))
    return wave
