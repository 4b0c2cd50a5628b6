import subprocess
import sys
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import firwin, resample_poly, sosfreqz

import datasets.audio.loudness
from datasets.audio.loudness import gated_loudness, integrated_loudness, k_weighting, normalise, peak_above, true_peak
from datasets.audio.recordings import read_recording
from datasets.audio.samples import Samples
from datasets.utils.errors import EarshotError

MONO_DB = 3.0103  # the test signals of the standard have two equal channels; a single one must be louder by this


def sine(hertz: float, rate: int, seconds: float, amplitude: float = 1.0, phase: float = 0.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate + phase)).astype(np.float32)


def noise(seed: int, samples: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def oversampled_peak(samples: np.ndarray) -> float:
    """The definition: the whole signal, four times oversampled."""
    everywhere = resample_poly(samples.astype(np.float64), 4, 1)
    return max(np.abs(everywhere).max(initial=0.0), np.abs(samples).max(initial=0.0))


# --- loudness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_the_reference_tone_has_the_loudness_of_the_standard(rate: int) -> None:
    """BS.1770-4: a 997 Hz sine of full scale in one front channel reads -3.01 LKFS (EBU Tech 3341: +-0.1)."""
    assert integrated_loudness(sine(997, rate, 5), rate) == pytest.approx(-3.01, abs=0.1)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(-23, 20)], -23),
        ([(-33, 20)], -33),
        ([(-36, 10), (-23, 60), (-36, 10)], -23),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
def test_the_test_signals_of_ebu_tech_3341_have_their_loudness(
    parts: list[tuple[float, float]], expected: float
) -> None:
    """Cases 1 to 5 of table 1, 1 kHz sines of (dBFS, seconds) one after another: +-0.1 LU."""
    samples = np.concatenate([sine(1000, 48000, seconds, 10 ** ((level + MONO_DB) / 20)) for level, seconds in parts])
    assert integrated_loudness(samples, 48000) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("level", [-23.0, -33.0, -60.0])
def test_loudness_is_linear_in_decibels(level: float) -> None:
    samples = sine(997, 48000, 5, 10 ** ((level + 3.01) / 20))
    assert integrated_loudness(samples, 48000) == pytest.approx(level, abs=0.05)


def test_k_weighting_has_the_frequency_response_of_the_standard() -> None:
    """BS.1770-4, tables 1 and 2: coefficients at 48 kHz."""
    standard = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585],
        [1, -2, 1, 1, -1.99004745483398, 0.99007225036621],
    ]
    hertz = np.geomspace(20, 20000, 200)
    ours, theirs = (np.abs(sosfreqz(sos, hertz, fs=48000)[1]) for sos in (k_weighting(48000), standard))
    assert np.abs(20 * np.log10(ours / theirs)).max() < 0.05


@pytest.mark.parametrize(
    ("loudness", "expected"),
    [
        ([-20, -20, -20], -20),
        ([-20, -71], -20),  # absolute gate
        ([-20, -20, -32], -20),  # relative gate: the mean of all is -21.6
        ([-20, -20, -32, -90, -90], -20),  # blocks below the absolute gate do not lower the relative gate
        ([-20, -31], 10 * np.log10((10**-2 + 10**-3.1) / 2)),  # the mean is -22.7: both are above -32.7
        ([-71, -90], -np.inf),
        ([-np.inf], -np.inf),
    ],
)
def test_absolute_and_relative_gate(loudness: list[float], expected: float) -> None:
    assert gated_loudness(10 ** ((np.array(loudness) + 0.691) / 10)) == pytest.approx(expected, abs=1e-9)


def reference_loudness(samples: np.ndarray, rate: int) -> float:
    """The loudness by pyloudnorm; a recording shorter than a block is repeated."""
    samples = np.resize(samples, max(len(samples), int(0.4 * rate)))
    with np.errstate(divide="ignore"):
        return pyloudnorm.Meter(rate).integrated_loudness(samples)


@pytest.mark.parametrize(
    ("pattern", "rate"),
    [("ravdess-16k/*/*/*.flac", 16000), ("philharmonia/*/*.mp3", 44100)],
)
def test_loudness_of_real_recordings_equals_that_of_pyloudnorm(shared: Path, pattern: str, rate: int) -> None:
    paths = sorted((shared / "corpora").glob(pattern))
    for path in paths[:: len(paths) // 15]:
        samples, actual_rate = read_recording(path)
        assert actual_rate == rate
        assert integrated_loudness(samples, rate) == pytest.approx(reference_loudness(samples, rate), abs=1e-4), path
        assert true_peak(samples) == oversampled_peak(samples), path


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
@pytest.mark.parametrize("seconds", [0.4, 0.41, 0.449, 0.451, 0.5, 1.234, 30])
def test_loudness_at_any_length_and_rate_equals_that_of_pyloudnorm(rate: int, seconds: float) -> None:
    count = round(rate * seconds)
    samples = noise(0, count) * np.linspace(0.2, 0.01, count, dtype=np.float32)
    assert integrated_loudness(samples, rate) == pytest.approx(reference_loudness(samples, rate), abs=1e-3)


def test_filtering_in_parts_does_not_change_the_loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(0, 50_000) * 0.1
    whole = integrated_loudness(samples, 11025)
    monkeypatch.setattr(datasets.audio.loudness, "_HOPS_AT_A_TIME", 3)
    assert integrated_loudness(samples, 11025) == whole


@pytest.mark.parametrize("rate", [1000, 3000])
def test_rates_without_k_weighting_are_rejected(rate: int) -> None:
    with pytest.raises(EarshotError, match=f"above 3000 Hz, found {rate} Hz"):
        integrated_loudness(noise(0, 5000), rate)
    assert np.isfinite(integrated_loudness(noise(0, 5000), 3001))


# --- true peak --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("divisor", "degrees", "amplitude", "expected"),
    [(4, 0, 0.5, -6), (4, 45, 0.5, -6), (6, 60, 0.5, -6), (8, 67.5, 0.5, -6), (4, 45, 1.41, 3)],
)
def test_the_test_signals_of_ebu_tech_3341_have_their_true_peaks(
    divisor: int, degrees: float, amplitude: float, expected: float
) -> None:
    """Cases 15 to 19 of table 1, sines of rate / divisor: +0.2 / -0.4 dB."""
    samples = sine(48000 / divisor, 48000, 1, amplitude, np.radians(degrees))
    samples *= np.minimum(1, np.minimum(np.arange(48000), np.arange(48000)[::-1]) / 1000)  # no clicks at the ends
    assert -0.4 < 20 * np.log10(true_peak(samples)) - expected < 0.2


@st.composite
def recordings(draw: st.DrawFn) -> np.ndarray:
    """Noise, bursts in near silence, clipped or not, with impulses; of any length including zero."""
    count = draw(st.integers(0, 700))
    samples = noise(draw(st.integers(0, 2**32 - 1)), count) * np.float32(10 ** draw(st.floats(-6, 1)))
    for _ in range(draw(st.integers(0, 3))):
        first = draw(st.integers(0, 700))
        samples[first : first + draw(st.integers(0, 400))] *= np.float32(draw(st.sampled_from([0, 0.01, 0.5])))
    ceiling = draw(st.sampled_from([0.1, 1, 100]))
    samples = np.clip(samples, -ceiling, ceiling)
    for position in draw(st.lists(st.integers(0, max(count - 1, 0)), max_size=3 if count else 0)):
        samples[position] = draw(st.sampled_from([-1, 1]))
    return samples


@given(recordings())
def test_the_true_peak_equals_that_of_oversampling_the_whole_signal(samples: np.ndarray) -> None:
    assert true_peak(samples) == oversampled_peak(samples)


@given(recordings(), st.floats(0, 3))
def test_only_peaks_below_the_floor_may_be_inexact(samples: np.ndarray, floor: float) -> None:
    exact, peak = oversampled_peak(samples), peak_above(samples, floor)
    assert peak == exact or peak <= exact <= floor


@pytest.mark.parametrize("offset", [0, 1, 9, 10, 11, 107, 108, 109, 117, 118, 119, 127, 128, 200])
def test_the_peak_may_lie_between_samples_of_less_than_half_its_size(offset: int) -> None:
    """Twenty samples with the signs of the filter weights give 2.24 times their size between two of them."""
    weights = 4 * firwin(81, 0.25, window=("kaiser", 5.0))[2::4]
    samples = np.zeros(400, np.float32)
    samples[offset : offset + 20] = np.sign(weights) * 0.45
    samples[350] = 1
    assert true_peak(samples) == oversampled_peak(samples) == pytest.approx(0.45 * np.abs(weights).sum())


def test_loud_chunks_are_interpolated_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.clip(noise(0, 5000), -1, 1)
    monkeypatch.setattr(datasets.audio.loudness, "_CHUNKS_AT_A_TIME", 3)
    assert true_peak(samples) == oversampled_peak(samples)


@given(recordings())
def test_a_recording_in_a_file_is_measured_in_parts(samples: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch, Samples() as stored:
        stored.append(samples)
        patch.setattr(datasets.audio.loudness, "_SAMPLES_AT_A_TIME", 128)
        assert true_peak(stored) == oversampled_peak(samples)
        assert integrated_loudness(stored, 8000) == integrated_loudness(samples, 8000) or not len(samples)


# --- normalisation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.03, 0.2, 0.39, 0.4, 0.41, 2.0])
def test_short_recordings_are_normalised_too(seconds: float) -> None:
    samples = sine(1000, 16000, seconds, 0.01)
    assert integrated_loudness(normalise(samples, 16000), 16000) == pytest.approx(-23, abs=0.3)


def test_short_recordings_are_repeated_to_fill_a_block() -> None:
    samples = noise(0, 2000) * 0.1
    assert integrated_loudness(samples, 16000) == integrated_loudness(np.tile(samples, 4)[:6400], 16000)


def test_a_signal_with_the_dynamics_of_speech_reaches_the_target() -> None:
    samples = noise(0, 80000) * 0.001
    samples[20000:60000] *= 10
    normalised = normalise(samples, 16000)
    assert integrated_loudness(normalised, 16000) == pytest.approx(-23, abs=0.05)
    assert np.corrcoef(samples, normalised)[0, 1] == pytest.approx(1)  # one linear gain


def test_the_true_peak_limits_the_gain() -> None:
    click = sine(1000, 16000, 2, 1e-4)
    click[100] = 0.5
    normalised = normalise(click, 16000)
    assert true_peak(normalised) == pytest.approx(10 ** (-2 / 20), rel=1e-4)
    assert integrated_loudness(normalised, 16000) < -23


@given(recordings().filter(np.any), st.floats(-40, -5))
def test_the_gain_follows_the_formula(samples: np.ndarray, target: float) -> None:
    loudness = integrated_loudness(samples, 8000)
    gain = min(10 ** ((target - loudness) / 20), 10 ** (-2 / 20) / oversampled_peak(samples))
    expected = samples if loudness == -np.inf else samples * gain
    assert np.allclose(normalise(samples, 8000, target), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("samples", [np.zeros(16000, np.float32), np.zeros(10, np.float32), sine(997, 16000, 1, 1e-5)])
def test_silence_is_unchanged(samples: np.ndarray) -> None:
    assert np.array_equal(normalise(samples, 16000), samples)


def test_importing_the_module_does_not_import_scipy() -> None:
    program = (
        "import sys, datasets.audio.loudness; print([name for name in sys.modules if name in ('scipy', 'pyloudnorm')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
