"""Recordings in formats that ffmpeg writes and libsndfile does not read."""

import subprocess
from pathlib import Path

import pytest
import soundfile

from datasets.audio.ffmpeg import find_ffmpeg


def encode(samples: object, rate: int, path: Path, *options: str) -> Path:
    """Writes samples ([samples] or [samples, channels]) with ffmpeg; skips the test where there is none.

    Args:
        samples: full scale 1.0; stored with 16 bits before they are encoded.
        rate: in Hz.
        path: its suffix is the format.
        options: of ffmpeg, for the output.
    """
    program = find_ffmpeg()
    if program is None:
        pytest.skip("needs ffmpeg: pip install 'earshot[ffmpeg]'")
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = path.parent / f".{path.name}.wav"
    soundfile.write(wave, samples, rate, subtype="PCM_16")
    command = [program, "-nostdin", "-loglevel", "error", "-y", "-i", f"file:{wave}", *options, f"file:{path}"]
    subprocess.run(command, check=True, timeout=60)
    wave.unlink()
    return path
