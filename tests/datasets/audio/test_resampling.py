"""Resampling at any ratio, whole and in blocks."""

import numpy as np
import pytest
import torch
import torchaudio.functional

from datasets.audio import resampling
from datasets.audio.resampling import resample, resample_blocks

NOISE = (np.random.default_rng(0).standard_normal(60_000) * 0.1).astype(np.float32)
ODD_RATES = (44_101, 22_254, 22_257, 11_127, 16_393, 8_012, 767_999)


def tone(rate: int, samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * 440 * np.arange(samples) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", [44_100, *ODD_RATES])
def test_a_tone_and_its_length_are_preserved(rate: int) -> None:
    resampled = resample(tone(rate, rate), rate, 16_000)
    assert resampled.shape == (16_000,) and resampled.dtype == np.float32
    assert np.abs(resampled - tone(16_000, 16_000))[100:-100].max() < 1e-3


@pytest.mark.parametrize(("rate", "target"), [(44_101, 16_000), (96_001, 16_000), (44_101, 8_012)])
def test_what_the_lower_rate_cannot_hold_is_removed(rate: int, target: int) -> None:
    high = np.sin(2 * np.pi * 0.75 * target * np.arange(rate) / rate).astype(np.float32)
    assert np.abs(resample(high, rate, target))[100:-100].max() < 0.01


def test_equal_rates_change_nothing() -> None:
    assert resample(NOISE, 44_100, 44_100) is NOISE


@pytest.mark.parametrize(("rate", "target"), [(48_000, 16_000), (3, 7), (7, 3), (44_100, 16_000), (16_000, 44_100)])
def test_the_sparse_filter_is_that_of_torchaudio(rate: int, target: int) -> None:
    """torchaudio computes its filter in float32: the more phases it has, the less exact it is."""
    expected = torchaudio.functional.resample(torch.from_numpy(NOISE), rate, target).numpy()
    result = resampling._resample_sparse(NOISE, *resampling._ratio(rate, target))
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() < 1e-5


def test_the_sparse_filter_equals_its_formula() -> None:
    """One output sample after another, in float64."""
    rate, target = 44_101, 16_000
    result = resample(NOISE[:300], rate, target)
    bandwidth = 0.99 * target
    for number, value in enumerate(result):
        time = bandwidth * (np.arange(300) / rate - number / target)
        weights = np.where(abs(time) < 6, np.sinc(time) * np.cos(np.pi * time / 12) ** 2, 0) * bandwidth / rate
        assert value == pytest.approx(weights @ NOISE[:300].astype(np.float64), abs=1e-7)


@pytest.mark.parametrize(
    ("rate", "target"), [(44_100, 16_000), (44_101, 16_000), (8_000, 16_000), (1_000, 192_000), (22_257, 16_000)]
)
def test_blocks_give_the_same_bytes(rate: int, target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.resize(NOISE, 200_000 if rate > 5_000 else 5_000)
    whole = resample(samples, rate, target)
    monkeypatch.setattr(resampling, "_VALUES_AT_A_TIME", 1 << 16)
    for size in (7_000, 70_000):
        blocks = [(samples[first : first + size], rate) for first in range(0, len(samples), size)]
        parts = list(resample_blocks(blocks, target))
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
