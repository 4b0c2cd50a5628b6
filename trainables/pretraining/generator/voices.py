"""Voices: vocal folds, breath and a time-varying vocal tract (source-filter model, Fant 1960).

A speaker has a vocal tract (length, proportions, losses, a fixed fine structure of the spectrum), vocal folds (pitch,
tilt, breath, roughness) and habits (rate, intonation, vowel space, fricatives). A take is a sequence of random phones
in one of many moods, from a murmur to a shout: with effort, pitch, first formant and high harmonics rise, and breath
decreases (Traunmueller and Eriksson 2000, "Acoustic effects of variation in vocal effort").
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.pretraining.generator.draws import Draws, stretch
from trainables.pretraining.generator.source_filter import (
    BINS,
    filtered,
    frames_of,
    harmonics_below,
    hertz,
    linear,
    octaves,
    phase,
    pulses,
    resonances,
    segments,
    unit,
)
from trainables.pretraining.generator.table import TensorTable

_FORMANTS = torch.tensor([500.0, 1500.0, 2500.0, 3500.0, 4500.0])  # of a tube of 17.5 cm
_WIDTHS = torch.tensor([70.0, 90.0, 130.0, 180.0, 250.0])  # Hz


@dataclass(frozen=True)
class Voices(TensorTable):
    """Speakers, one per row.

    Attributes:
        pitch: mean, Hz.
        range: standard deviation of the intonation, semitones.
        moods: standard deviation of a take's mean pitch at equal effort, semitones.
        reach: change of the pitch per standard deviation of effort, semitones.
        press: change of the tilt per standard deviation of effort, dB per octave.
        tract: ratios of the formants to those of a tube of 17.5 cm, `[speakers, 5]`.
        widths: ratio of the bandwidths to typical ones.
        vowels: size of the vowel space, close to open and back to front, `[speakers, 2]`.
        tilt: of the source, dB per octave.
        fundamental: gain of the lowest harmonic, dB.
        breath: level of aspiration, dB.
        rough: variation of the pitch from frame to frame, semitones.
        fine: fixed fine structure of the spectrum, dB, `[speakers, BINS]`.
        hiss: centre of the fricatives, octaves above 1 kHz, `[speakers, 2]`.
        hiss_level: dB.
        rate: phones per second.
        voicing: fraction of voiced phones.
    """

    pitch: Tensor
    range: Tensor
    moods: Tensor
    reach: Tensor
    press: Tensor
    tract: Tensor
    widths: Tensor
    vowels: Tensor
    tilt: Tensor
    fundamental: Tensor
    breath: Tensor
    rough: Tensor
    fine: Tensor
    hiss: Tensor
    hiss_level: Tensor
    rate: Tensor
    voicing: Tensor

    @classmethod
    def draw(cls, draws: Draws, count: int, *, near: bool = False) -> "Voices":
        """Draws `count` speakers; `near` ones have similar pitches."""
        pitch = draws.log_uniform(75, 310, count)
        if near:
            pitch = draws.log_uniform(90, 250, 1) * (draws.normal(2, count) / 12).exp2()
        length = (pitch / 150) ** 0.28 * draws.normal(0.07, count).exp()
        warped = stretch(draws.normal(1.0, count, 20), BINS)  # dips and peaks of side cavities, about 400 Hz wide
        return cls(
            pitch=pitch,
            range=draws.log_uniform(0.7, 4, count),
            moods=draws.log_uniform(0.8, 4.5, count),
            reach=draws.uniform(0.5, 4.5, count),
            press=draws.uniform(1, 4, count),
            tract=length[:, None] * draws.normal(0.045, count, 5).exp(),
            widths=draws.log_uniform(0.6, 2.0, count),
            vowels=draws.uniform(0.7, 1.15, count, 2),
            tilt=draws.uniform(-13, -3, count),
            fundamental=draws.uniform(-4, 9, count),
            breath=draws.uniform(-42, -14, count),
            rough=draws.log_uniform(0.03, 0.8, count),
            fine=warped * draws.uniform(1, 4, count, 1),
            hiss=torch.stack([draws.uniform(1.9, 2.9, count), draws.uniform(1.0, 2.0, count)], 1),
            hiss_level=draws.uniform(-26, -6, count),
            rate=draws.log_uniform(5, 13, count),
            voicing=draws.uniform(0.6, 0.95, count),
        )

    def play(self, draws: Draws, samples: int) -> Tensor:
        """A take of each row, RMS 1, float32 `[clips, samples]`."""
        clips, frames, device = len(self.pitch), frames_of(samples), self.pitch.device
        index, place = segments(
            draws, self.rate * draws.log_uniform(0.6, 1.6, clips), frames, draws.uniform(0, 1, clips)
        )
        phones = int(index.max()) + 2
        blend = _transition(place)

        def course(targets: Tensor) -> Tensor:
            """Interpolates from a target to the next within each segment: `[clips, phones]` to `[clips, frames]`."""
            return targets.gather(1, index) * (1 - blend) + targets.gather(1, index + 1) * blend

        kind = draws.uniform(0, 1, clips, phones)
        voiced = kind < self.voicing[:, None]
        hissing = (kind > self.voicing[:, None] + (1 - self.voicing[:, None]) * 0.4) & ~voiced
        closed = draws.chance(0.08, clips, phones)
        stress = linear(draws.uniform(-14, 0, clips, phones))
        loudness = course(torch.where(closed, 0.02, stress))
        voice = course(voiced.float()) * loudness
        hiss = course(hissing.float() * linear(draws.normal(4, clips, phones))) * loudness

        effort = draws.normal(1.0, clips).clamp(-2.5, 2.5)
        mood = draws.normal(1.0, clips) * self.moods + effort * self.reach
        lively = draws.log_uniform(0.5, 2, clips) * (0.3 * effort).exp()
        tune = draws.curve(clips, max(3, frames // 20), frames) * (self.range * lively)[:, None]
        tune = tune + torch.linspace(1, -1, frames, device=device) * draws.uniform(-1, 3, clips, 1)
        tune = tune + draws.normal(1.0, clips, frames) * (self.rough * draws.log_uniform(0.5, 2.5, clips))[:, None]
        pitch = (self.pitch[:, None] * 2 ** ((mood[:, None] + tune) / 12)).clamp(50, 900)
        folds = pulses(phase(pitch, samples) + draws.uniform(0, 1, clips, 1), harmonics_below(pitch))

        grid = hertz(device)
        octave = torch.log2(grid.clamp(min=30.0) / pitch[..., None]).clamp(min=0)  # above the fundamental
        slope = (self.tilt + self.press * effort).clamp(max=0.5)[:, None, None]
        first = (self.fundamental - 2 * effort)[:, None, None] * (-((octave / 0.6) ** 2)).exp()
        tract = self._tract(draws, course, phones, effort, mood, grid)
        shape = linear(self.fine)[:, None, :]
        gain = linear(slope * octave + first) * tract * shape * voice[..., None]
        aspired = self.breath - 3 * effort + draws.normal(2, clips)
        breath = linear(aspired)[:, None, None] * tract * shape * voice[..., None]
        which = draws.chance(0.5, clips, phones)
        centre = course(torch.where(which, self.hiss[:, :1], self.hiss[:, 1:]))
        bell = (-(((octaves(device) - centre[..., None]) / 0.5) ** 2)).exp()
        fricative = linear(self.hiss_level + draws.normal(2, clips))[:, None, None] * bell * hiss[..., None]
        return unit(filtered(folds, gain, breath * 12 + fricative * 5, draws))

    def _tract(
        self,
        draws: Draws,
        course: Callable[[Tensor], Tensor],
        phones: int,
        effort: Tensor,
        mood: Tensor,
        grid: Tensor,
    ) -> Tensor:
        """Gain of the vocal tract over time, linear `[clips, frames, BINS]`."""
        clips, device = len(self.pitch), self.pitch.device
        open_, front = draws.uniform(-1, 1, clips, phones), draws.uniform(-1, 1, clips, phones)
        front = front * (1 - 0.45 * (open_ + 1) / 2)  # an open mouth has less room for front and back
        size = self.vowels * draws.normal(0.12, clips, 1).exp()
        opening, fronting = open_ * size[:, :1], front * size[:, 1:]
        moves = [
            (0.52 * opening + 0.06 * effort[:, None]).exp(),  # a loud voice opens the mouth
            (0.48 * fronting).exp(),
            (0.10 * fronting).exp(),
            draws.normal(0.04, clips, phones).exp(),
            draws.normal(0.04, clips, phones).exp(),
        ]
        formants = torch.stack([course(move) for move in moves], -1)
        larynx = (mood / 12 * 0.05).exp2()  # rises with the pitch and shortens the tract
        formants = formants * (_FORMANTS.to(device) * self.tract * larynx[:, None])[:, None, :]
        loss = draws.normal(0.15, clips).exp() * self.widths
        return resonances(formants, (_WIDTHS.to(device) * loss[:, None])[:, None, :].expand_as(formants), grid)


def _transition(place: Tensor) -> Tensor:
    """Weight of the next target by position in a segment: 0 up to 0.4, then smoothly up to 1."""
    weight = ((place - 0.4) / 0.6).clamp(0, 1)
    return weight * weight * (3 - 2 * weight)
