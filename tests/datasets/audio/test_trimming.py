"""Silence at the ends of recordings."""

import numpy as np
import pytest

from datasets.audio.samples import Samples
from datasets.audio.trimming import sounding_part

RATE = 1000  # a frame is 20 samples


@pytest.mark.parametrize(
    ("levels", "below_db", "part"),
    [
        ([0, 0, 1, 1, 0], 40, (40, 80)),
        ([0, 1, 0, 0, 1, 0], 40, (20, 100)),  # silence between sounds is kept
        ([0.001, 1, 0.001], 40, (20, 40)),  # -60 dB
        ([0.001, 1, 0.001], 80, (0, 60)),
        ([0.02, 2, 0.02], 39, (20, 40)),  # relative to the loudest frame: exactly 40 dB below it
        ([0.02, 2, 0.02], 41, (0, 60)),
        ([0, 0, 0], 40, (0, 60)),
        ([1], 40, (0, 20)),
    ],
)
def test_the_part_between_the_silences(levels: list[float], below_db: float, part: tuple[int, int]) -> None:
    wave = np.repeat(np.array(levels, np.float32), 20)
    assert sounding_part(wave, RATE, below_db) == part


def test_a_last_frame_that_is_shorter_and_a_long_recording_in_a_file() -> None:
    wave = np.zeros(3_000_007, np.float32)
    wave[-3:] = 0.5
    assert sounding_part(wave, RATE, 60) == (3_000_000, 3_000_007)
    wave[100] = 0.5
    with Samples() as samples:
        samples.append(wave)
        assert sounding_part(samples, RATE, 60) == (100, 3_000_007)
    assert sounding_part(np.zeros(0, np.float32), RATE, 60) == (0, 0)
