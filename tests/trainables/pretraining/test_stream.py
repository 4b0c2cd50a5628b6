"""Procedural sources: measured properties of their sounds, and reproducible batches."""

import dataclasses

import pytest
import torch

from trainables.pretraining.generator.draws import Draws
from trainables.pretraining.generator.notes import Notes
from trainables.pretraining.generator.places import Places
from trainables.pretraining.generator.source_filter import RATE, harmonics_below, phase, pulses, resonances
from trainables.pretraining.generator.textures import Textures
from trainables.pretraining.generator.voices import Voices
from trainables.pretraining.stream import FAMILIES, Synthetic


def new_draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed))


def test_a_batch_depends_on_its_number_and_the_seed():
    stream = Synthetic(seed=3, steps=5, sources=6, clips=2)
    first, again, other = stream[1], Synthetic(seed=3, steps=9, sources=6, clips=2)[1], stream[2]
    assert first.sources == 6
    assert first.inputs.shape[0] == 12 and first.inputs.shape[2] == 128
    assert torch.equal(first.inputs, again.inputs)
    assert first.inputs.shape != other.inputs.shape or not torch.equal(first.inputs, other.inputs)
    assert not torch.equal(Synthetic(seed=4, steps=5, sources=6, clips=2)[1].inputs[0, :50], first.inputs[0, :50])


def test_the_version_belongs_to_these_sounds():
    """The stream of earshot-tiny's last run; if this fails, raise the version and update these numbers."""
    inputs = Synthetic(seed=0, steps=1, sources=16, clips=2)[0].inputs
    assert (Synthetic.version, tuple(inputs.shape)) == (3, (32, 198, 128))
    assert float(inputs.mean()) == pytest.approx(-0.6497, abs=2e-3)
    assert float(inputs.std()) == pytest.approx(0.4522, abs=2e-3)


def test_held_out_sources_do_not_depend_on_the_stream():
    held = [Synthetic(seed, 10, 4, 2).held_out() for seed in (0, 1)]
    assert torch.equal(held[0][0], held[1][0]) and torch.equal(held[0][1], held[1][1])


@pytest.mark.parametrize("family", FAMILIES)
def test_takes_are_loud_finite_and_differ(family: type[Voices] | type[Notes] | type[Textures]):
    draws = new_draws()
    sources = family.draw(draws, 6)
    waves = sources.rows(torch.arange(6).repeat_interleave(2)).play(draws, RATE)
    assert waves.shape == (12, RATE)
    assert torch.isfinite(waves).all()
    assert torch.allclose(waves.square().mean(1), torch.ones(12), atol=0.01)
    for first, second in waves.unflatten(0, (6, 2)):
        assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_takes_of_a_source_are_more_similar_than_those_of_others(family: type[Voices] | type[Notes] | type[Textures]):
    """Judged by their mean spectra only."""
    draws = new_draws(1)
    sources = family.draw(draws, 12)
    waves = sources.rows(torch.arange(12).repeat_interleave(4)).play(draws, 2 * RATE)
    spectra = torch.stft(waves, 512, window=torch.hann_window(512), return_complex=True).abs().mean(2)
    spectra = (spectra + 0.01 * spectra.amax(1, keepdim=True)).log()
    distance = torch.cdist(spectra, spectra)
    same = torch.arange(12).repeat_interleave(4)[:, None] == torch.arange(12).repeat_interleave(4)
    other = ~same
    same.fill_diagonal_(False)
    assert distance[same].mean() < 0.9 * distance[other].mean()


def test_near_sources_share_their_pitch_or_register_or_band():
    def spread(values: torch.Tensor) -> float:
        return float(values.log2().std())

    draws = new_draws(3)
    assert spread(Voices.draw(draws, 64, near=True).pitch) < 0.25 < 0.45 < spread(Voices.draw(draws, 64).pitch)
    assert spread(Notes.draw(draws, 64, near=True).low) < 0.4 < 0.8 < spread(Notes.draw(draws, 64).low)
    near, far = (Textures.draw(draws, 64, near=near).spectrum for near in (True, False))
    assert near.std(0).mean() < far.std(0).mean()


def test_clips_of_one_place_share_its_colour():
    """White noise, judged by its mean spectrum only."""
    draws = new_draws(4)
    place = torch.arange(16).repeat_interleave(4)
    waves = torch.randn(64, 2 * RATE, generator=draws.generator)
    recorded = Places.draw(draws, 16).rows(place).record(waves, draws)
    spectra = (
        torch.stft(recorded, 512, window=torch.hann_window(512), return_complex=True).abs().mean(2).clamp(min=1e-5)
    )
    colour = spectra.log() - spectra.log().mean(1, keepdim=True)
    distance = torch.cdist(colour, colour).fill_diagonal_(torch.inf)
    assert (place[distance.argmin(1)] == place).float().mean() > 0.7  # chance: 0.05


def test_most_clips_contain_the_source_from_its_attack_for_a_part_of_the_time():
    """A source with a click at its start; the level is measured in hundredths of a clip."""
    draws = new_draws(5)
    waves = torch.zeros(200, RATE)
    waves[:, : RATE // 10] = 0.1 * torch.randn(200, RATE // 10, generator=draws.generator)
    waves[:, 0] = 50.0
    quiet = dataclasses.replace(Places.draw(draws, 200), echo=torch.full((200,), -80.0), ratio=torch.full((200,), 60.0))
    clips = quiet.record(waves, draws)
    begins = clips.abs().unflatten(1, (100, -1)).amax(2).argmax(1)
    assert 0.3 < (begins > 1).float().mean() < 0.6
    assert begins.max() > 60
    padded = (clips[:, -RATE // 20 :] == 0).all(1)
    assert 0.03 < padded.float().mean() < 0.3


def test_pulses_have_equal_harmonics_at_the_pitch():
    pitch = torch.full((1, 63), 200.0)
    wave = pulses(phase(pitch, RATE), harmonics_below(pitch))
    spectrum = torch.fft.rfft(wave[0]).abs()
    count = int(harmonics_below(pitch)[0])
    levels = spectrum[200 : 200 * (count + 1) : 200]
    assert levels.min() > 0.9 * levels.max()
    assert spectrum[100 : RATE // 2 : 200].max() < 0.02 * levels.max()
    assert wave.square().mean().sqrt() == pytest.approx(1, abs=0.05)


def test_a_resonance_peaks_at_its_centre_and_is_flat_below():
    grid = torch.linspace(0, 8000, 801)
    gain = resonances(torch.tensor([1000.0]), torch.tensor([50.0]), grid)
    assert gain[0] == pytest.approx(1, abs=1e-3)
    assert int(gain.argmax()) == 100
    assert gain[100] == pytest.approx(1000 / 50, rel=0.05)  # Q of a narrow resonance


def test_recordings_stay_below_full_scale():
    draws = new_draws(2)
    places = Places.draw(draws, 16).rows(torch.arange(64) // 4)
    clips = places.record(torch.randn(64, RATE, generator=draws.generator) * 100, draws)
    assert clips.abs().max() <= 1
    assert torch.isfinite(clips).all()
    levels = clips.abs().amax(1)
    assert levels.min() < 0.1 < 0.5 < levels.max()
