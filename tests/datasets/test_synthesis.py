"""Parametric sources: properties of clips, and the acoustics that the docstrings state."""

import numpy as np
import pytest
from scipy.signal import sosfreqz

from datasets.synthesis import SOURCES, render
from datasets.synthesis.harmonic import Instrument, partials
from datasets.synthesis.noise import Texture, strew
from datasets.synthesis.recording import PEAK, SNR, record
from datasets.synthesis.take import Take, linear, octaves, rms, shaped_noise
from datasets.synthesis.voice import Voice, pulse_train

RATE = 16000


def a_take(seed: int = 0, num_samples: int = RATE, sample_rate: int = RATE) -> Take:
    """A take that sounds from 0.1 to 0.8 of a second."""
    return Take(np.random.default_rng(seed), sample_rate, num_samples, onset=0.1, held=0.7, effort=0.5)


def spectrum(samples: np.ndarray) -> np.ndarray:
    """Amplitude at every Hz of one second of sound at 16 kHz; the window leaks less than -90 dB past 4 Hz."""
    window = np.blackman(len(samples)) ** 2
    return np.abs(np.fft.rfft(samples * window)) / window.sum() * 2


@pytest.mark.parametrize("name", SOURCES)
def test_clips_of_every_source_are_audible_and_within_full_scale(name: str) -> None:
    for clip in range(6):
        samples = render(name, clip)
        assert samples.dtype == np.int16 and samples.shape == (RATE,)
        peak = 20 * np.log10(np.abs(samples.astype(float)).max() / 32767)
        assert PEAK[0] - 0.01 <= peak <= PEAK[1] + 0.01
        assert rms(samples / 32768.0) > 10 ** (-60 / 20)


@pytest.mark.parametrize("name", SOURCES)
def test_a_clip_depends_on_its_name_number_and_seed_only(name: str) -> None:
    first = render(name, 3)
    others = [render(name, 4), render(name, 3, seed=1), render("bell" if name != "bell" else "flute", 3)]
    assert np.array_equal(first, render(name, 3))  # independent of clips rendered in between
    assert not any(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clarinet", [16630, 18556, -483, -22898, -8276]),
        ("voice_tenor", [363, -578, -9, -3154, -182]),
        ("stream", [-6006, 256, -540, -854, 740]),
    ],
)
def test_clips_equal_those_of_version_1(name: str, expected: list[int]) -> None:
    """Golden samples: if they change, increase `Demo.version` (tolerance: the sine of other processors)."""
    assert render(name, 0)[4000:12001:2000] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize(("seconds", "sample_rate"), [(0.25, 8000), (0.3333, 11025), (1.7, 44100)])
@pytest.mark.parametrize("name", ["bell", "voice_child", "stream"])
def test_length_and_rate_can_be_chosen(name: str, seconds: float, sample_rate: int) -> None:
    samples = render(name, 0, seconds=seconds, sample_rate=sample_rate)
    assert len(samples) == round(seconds * sample_rate)
    assert 0 < np.abs(samples.astype(int)).max() <= 32767


def test_there_are_25_different_sources() -> None:
    assert len(SOURCES) == len(set(SOURCES.values())) == 25
    families = [type(source) for source in SOURCES.values()]
    assert [families.count(family) for family in (Instrument, Voice, Texture)] == [10, 8, 7]


@pytest.mark.parametrize("number", [6, 10, 15, 20])
def test_the_first_sources_are_of_all_families(number: int) -> None:
    families = [type(source) for source in list(SOURCES.values())[:number]]
    for family, size in ((Instrument, 10), (Voice, 8), (Texture, 7)):
        assert abs(families.count(family) - number * size / 25) <= 1


def test_a_curve_is_interpolated_linearly() -> None:
    take = a_take(num_samples=40)
    line = 3.0 * take.times - 1.0
    expected = 3.0 * (np.arange(40) / RATE - take.onset) - 1.0
    assert take.spread(line) == pytest.approx(expected, abs=1e-6)
    assert take.spread(np.stack([line, -line])).shape == (2, 40)


def test_gate_rises_at_the_onset_and_falls_with_the_release() -> None:
    take = a_take()
    gate = take.spread(take.gate(attack=0.05, release=0.04))

    def at(seconds: float) -> float:
        return float(gate[round(seconds * RATE)])

    assert at(0.05) == 0.0
    assert at(0.125) == pytest.approx(0.5, abs=0.02)
    assert at(0.2) == pytest.approx(1.0) and at(0.79) == pytest.approx(1.0)
    assert at(0.84) == pytest.approx(np.exp(-1), abs=0.01)


def test_pitches_are_within_the_register_and_cover_it() -> None:
    centres = [float(np.median(a_take(seed).pitch((200.0, 400.0), (5.0, 0.0), 0.0))) for seed in range(1500)]
    assert 200.0 <= min(centres) < 205.0 and 390.0 < max(centres) <= 400.0
    assert np.median(centres) == pytest.approx(200 * 2**0.5, rel=0.05)  # even on the logarithmic scale


def test_vibrato_has_the_given_depth() -> None:
    depths = []
    for seed in range(200):
        pitch = a_take(seed).pitch((300.0, 300.0), (5.0, 50.0), 0.0)
        depths.append(1200 * np.log2(pitch / 300.0))
    assert 62.0 < np.abs(depths).max() <= 65.0  # 130 % of 50 cents


def test_partials_are_at_their_frequencies_only() -> None:
    take = a_take()
    pitch = np.full_like(take.times, 700.0)
    levels = np.full(48, 0.1)
    amplitudes = spectrum(partials(take, pitch, np.arange(1.0, 49.0), levels))
    expected = np.zeros(len(amplitudes), bool)
    for k in range(1, 11):  # 11 * 700 Hz is above 95 % of 8 kHz
        assert amplitudes[700 * k] == pytest.approx(0.1, rel=0.01)
        expected[700 * k - 5 : 700 * k + 6] = True
    assert amplitudes[~expected].max() < 0.1 * 10 ** (-90 / 20)


def test_a_partial_that_would_reach_the_nyquist_frequency_is_omitted() -> None:
    take = a_take()
    rising = np.linspace(1000.0, 4100.0, len(take.times))
    tone = partials(take, rising, np.array([1.0, 2.0]), np.array([0.1, 0.1]))
    alone = partials(a_take(), rising, np.array([1.0]), np.array([0.1]))
    assert np.array_equal(tone, alone)  # the second partial would end at 8.2 kHz


def test_stiff_strings_are_sharp() -> None:
    piano = Instrument((200.0, 200.0), 0.0, stiffness=1e-3, breath=-100)
    amplitudes = spectrum(piano.play(a_take()))
    hertz = 200 * 10 * (1 + 1e-3 * 10**2) ** 0.5  # Fletcher 1964: 2098 Hz instead of 2000
    near = np.arange(round(hertz) - 60, round(hertz) + 61)
    assert near[amplitudes[near].argmax()] == pytest.approx(hertz, rel=0.005)


def test_closed_pipes_lack_even_partials_and_decaying_sounds_decay() -> None:
    clarinet = Instrument((200.0, 200.0), 0.0, even=0.05, breath=-100)
    amplitudes = spectrum(clarinet.play(a_take()))
    peaks = [amplitudes[200 * k - 3 : 200 * k + 4].max() for k in range(1, 9)]
    assert max(peaks[1::2]) < 0.2 * min(peaks[0::2])
    plucked = Instrument((200.0, 200.0), 6.0, attack=0.003, decay=0.1, breath=-100).play(a_take())
    early, late = plucked[2400:4000], plucked[5600:7200]
    assert rms(late) == pytest.approx(rms(early) * np.exp(-0.2 / 0.1), rel=0.5)


def test_a_pulse_train_has_equal_harmonics_up_to_the_nyquist_frequency() -> None:
    take = a_take()
    amplitudes = spectrum(pulse_train(take, np.full_like(take.times, 250.0)))
    harmonics = amplitudes[np.arange(1, 31) * 250]  # 31 * 250 Hz is above 95 % of 8 kHz
    assert harmonics == pytest.approx(np.full(30, harmonics[0]), rel=0.01)
    expected = np.zeros(len(amplitudes), bool)
    for k in range(31):
        expected[max(250 * k - 5, 0) : 250 * k + 6] = True
    assert amplitudes[~expected].max() < harmonics[0] * 10 ** (-70 / 20)


def test_formants_are_at_their_frequencies() -> None:
    formants = np.array([700.0, 1600.0, 2700.0, 3500.0])
    hertz, response = sosfreqz(Voice((100, 100), 1.0, 1000)._formants(formants, RATE), 8000, fs=RATE)
    gain = np.abs(response)
    peaks = hertz[1:-1][(gain[1:-1] > gain[:-2]) & (gain[1:-1] > gain[2:])]
    assert peaks == pytest.approx(formants, rel=0.02)
    assert gain[0] == pytest.approx(1.0)
    assert len(Voice((100, 100), 1.0, 1000)._formants(formants * 1.4, 8000)) == 2  # the other two are too high


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0.0), (20.0, 20.0)])
def test_grains_have_the_given_rate(rate: float, expected: float) -> None:
    counts = []
    for seed in range(100):
        sound = strew(a_take(seed), rate, (3000.0, 3000.0), fade=2e-4)
        loud = np.flatnonzero(np.abs(sound) > 1e-2)
        counts.append(int((np.diff(loud) > 8).sum()) + (len(loud) > 0))
    assert np.mean(counts) == pytest.approx(expected, rel=0.15)  # 1 in 30 overlaps


def test_noise_has_the_given_spectrum_and_level() -> None:
    noise = shaped_noise(np.random.default_rng(0), linear(-6.0 * octaves(RATE, 64000)), 64000)
    assert rms(noise) == pytest.approx(1.0, rel=1e-4)
    power = np.abs(np.fft.rfft(noise)) ** 2
    low, high = power[1800:2200].mean(), power[7200:8800].mean()  # bins of 0.25 Hz: 500 and 2000 Hz
    assert 10 * np.log10(low / high) == pytest.approx(12.0, abs=1.5)


def test_noise_and_level_of_recordings_are_within_their_ranges() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    ratios, peaks = [], []
    for seed in range(200):
        wet = record(tone, RATE, np.random.default_rng(seed))
        power = np.abs(np.fft.rfft(wet)) ** 2
        ratios.append(10 * np.log10(power[1000] / (power.sum() - power[1000])))
        peaks.append(20 * np.log10(np.abs(wet).max()))
    assert SNR[0] - 1 < min(ratios) < SNR[0] + 2 and SNR[1] - 2 < max(ratios) < SNR[1] + 1
    assert PEAK[0] - 0.01 < min(peaks) < PEAK[0] + 1 and PEAK[1] - 1 < max(peaks) < PEAK[1] + 0.01
