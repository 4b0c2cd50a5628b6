import numpy as np
import pytest

from datasets.loudness import integrated_loudness, normalise, true_peak


def sine(hertz: float, rate: int, seconds: float, amplitude: float = 1.0, phase: float = 0.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate + phase)).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_the_reference_tone_of_the_standard(rate: int) -> None:
    """BS.1770-4: a 997 Hz sine of full scale in one front channel reads -3.01 LKFS (EBU Tech 3341: +-0.1)."""
    assert integrated_loudness(sine(997, rate, 5), rate) == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize("level", [-23.0, -33.0, -60.0])
def test_it_is_linear_in_decibels(level: float) -> None:
    samples = sine(997, 48000, 5, 10 ** ((level + 3.01) / 20))
    assert integrated_loudness(samples, 48000) == pytest.approx(level, abs=0.05)


@pytest.mark.parametrize("seconds", [0.03, 0.2, 0.39, 0.4, 0.41, 2.0])
def test_short_recordings_are_measured_too(seconds: float) -> None:
    samples = sine(1000, 16000, seconds, 0.01)
    assert integrated_loudness(normalise(samples, 16000), 16000) == pytest.approx(-23, abs=0.3)


def test_speech_like_dynamics_reach_the_target() -> None:
    noise = np.random.default_rng(0).standard_normal(80000).astype(np.float32) * 0.001
    noise[20000:60000] *= 10
    normalised = normalise(noise, 16000)
    assert integrated_loudness(normalised, 16000) == pytest.approx(-23, abs=0.05)
    assert np.corrcoef(noise, normalised)[0, 1] == pytest.approx(1)  # one linear gain


def test_the_true_peak_bounds_the_gain() -> None:
    click = sine(1000, 16000, 2, 1e-4)
    click[100] = 0.5
    normalised = normalise(click, 16000)
    assert true_peak(normalised) == pytest.approx(10 ** (-2 / 20), rel=1e-4)
    assert integrated_loudness(normalised, 16000) < -23


def test_the_true_peak_lies_between_the_samples() -> None:
    """A quarter-rate sine sampled at 45 degrees: samples reach 0.707, the signal 1."""
    samples = sine(4000, 16000, 1, phase=np.pi / 4)
    assert np.abs(samples).max() == pytest.approx(np.sqrt(0.5), rel=1e-3)
    assert true_peak(samples[:]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("samples", [np.zeros(16000, np.float32), np.zeros(10, np.float32), sine(997, 16000, 1, 1e-5)])
def test_silence_gets_no_gain(samples: np.ndarray) -> None:
    assert np.array_equal(normalise(samples, 16000), samples)
