"""Textures: coloured noise with modulated bands and beats, and with drops, clicks and rattles.

A texture has a spectrum with bands that vary at different rates, a beat, and a stream of resonant grains. A take is an
excerpt of it at some distance.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.pretraining.generator.draws import Draws, stretch
from trainables.pretraining.generator.source_filter import (
    BINS,
    FRAMES_PER_SECOND,
    RATE,
    filtered,
    frames_of,
    linear,
    octaves,
    unit,
)
from trainables.pretraining.generator.table import TensorTable

BANDS = 2


@dataclass(frozen=True)
class Textures(TensorTable):
    """Textures, one per row.

    Attributes:
        spectrum: of the noise, dB, `[textures, BINS]`.
        centres: of the modulated bands, octaves above 1 kHz, `[textures, BANDS]`.
        widths: octaves, `[textures, BANDS]`.
        swells: depth of the modulation, dB, `[textures, BANDS]`.
        rates: changes per second, `[textures, BANDS]`.
        drift: shift of the bands' centres with the modulation, octaves, `[textures, BANDS]`.
        beat: Hz.
        depth: of the beat, 0 to 1.
        sharp: exponent of the beat's cosine.
        grains: per second.
        ring: centre of the grains' spectrum, octaves above 1 kHz.
        ring_width: octaves.
        scatter: standard deviation of the centre over time, octaves.
        fade: time constant of a grain, seconds.
        grain_level: dB.
    """

    spectrum: Tensor
    centres: Tensor
    widths: Tensor
    swells: Tensor
    rates: Tensor
    drift: Tensor
    beat: Tensor
    depth: Tensor
    sharp: Tensor
    grains: Tensor
    ring: Tensor
    ring_width: Tensor
    scatter: Tensor
    fade: Tensor
    grain_level: Tensor

    @classmethod
    def draw(cls, draws: Draws, count: int, *, near: bool = False) -> "Textures":
        """Draws `count` textures; `near` ones have the same frequency band."""
        place = octaves(draws.device)
        bands = 1 if near else count
        low, high = draws.uniform(-4.5, 2, bands, 1), draws.uniform(-2, 3.5, bands, 1)
        outside = (low - place).clamp(min=0) + (place - torch.maximum(high, low + 0.5)).clamp(min=0)
        wide = stretch(draws.normal(1.0, count, 6), BINS) * draws.uniform(0, 6, count, 1)
        narrow = stretch(draws.normal(1.0, count, 24), BINS) * draws.uniform(0, 4, count, 1)
        return cls(
            spectrum=draws.uniform(-6, 1, count, 1) * place - draws.uniform(6, 24, count, 1) * outside + wide + narrow,
            centres=draws.uniform(-3, 2.7, count, BANDS),
            widths=draws.log_uniform(0.1, 1.5, count, BANDS),
            swells=draws.uniform(0, 18, count, BANDS),
            rates=draws.log_uniform(0.8, 20, count, BANDS),
            drift=draws.uniform(-0.6, 0.6, count, BANDS),
            beat=draws.log_uniform(1.5, 35, count),
            depth=draws.uniform(0.3, 1, count) * draws.chance(0.35, count),
            sharp=draws.log_uniform(0.5, 6, count),
            grains=draws.log_uniform(2, 400, count),
            ring=draws.uniform(-2.5, 2.8, count),
            ring_width=draws.log_uniform(0.05, 1.2, count),
            scatter=draws.uniform(0, 0.8, count),
            fade=draws.log_uniform(0.0005, 0.02, count),
            grain_level=draws.uniform(-20, 22, count) - 60.0 * draws.chance(0.35, count),
        )

    def play(self, draws: Draws, samples: int) -> Tensor:
        """A take of each row, RMS 1, float32 `[clips, samples]`."""
        clips, frames, device = len(self.beat), frames_of(samples), self.beat.device
        seconds = samples / RATE
        place = octaves(device)
        time = torch.arange(frames, device=device) / FRAMES_PER_SECOND
        bed = linear(self.spectrum + draws.uniform(-1.5, 1.5, clips, 1) * place)[:, None, :]
        for band in range(BANDS):
            knots = draws.normal(1.0, clips, max(4, int(seconds * 20) + 2))
            # each row uses a number of knots that is proportional to its rate
            reach = (self.rates[:, band] * seconds * draws.log_uniform(0.7, 1.4, clips)).clamp(1, knots.shape[1] - 1)
            course = _interpolate(knots, reach[:, None] * (time / seconds))
            centre = self.centres[:, band, None] + self.drift[:, band, None] * course
            bell = (-(((place - centre[..., None]) / self.widths[:, band, None, None]) ** 2)).exp()
            bed = bed * linear((self.swells[:, band, None] * course)[..., None] * bell)
        beat = self.beat * draws.log_uniform(0.8, 1.25, clips)
        wobble = draws.curve(clips, max(3, int(seconds * 3)), frames, 0.3)
        cosine = 0.5 + 0.5 * (2 * math.pi * (beat[:, None] * time + wobble + draws.uniform(0, 1, clips, 1))).cos()
        loud = 1 - self.depth[:, None] * (1 - cosine.clamp(min=1e-4) ** self.sharp[:, None])
        density = self.grains * draws.log_uniform(0.6, 1.6, clips) / RATE
        hits = (draws.uniform(0, 1, clips, samples) < density[:, None]).float() * draws.normal(1.0, clips, samples)
        hits = hits / density[:, None].sqrt().clamp(min=0.01)
        tune = self.ring[:, None] + self.scatter[:, None] * draws.curve(clips, max(3, int(seconds * 12)), frames)
        ring = (-(((place - tune[..., None]) / self.ring_width[:, None, None]) ** 2)).exp()
        level = linear(self.grain_level + draws.normal(2, clips))[:, None, None]
        grains = _grains(hits, self.fade, draws)
        return unit(filtered(grains, ring * level * 0.1, bed * loud[..., None] * 0.1, draws))


def _interpolate(knots: Tensor, places: Tensor) -> Tensor:
    """Linear interpolation of knots `[clips, n]` at fractional indices `[clips, frames]`: `[clips, frames]`."""
    left = places.floor().long().clamp(max=knots.shape[1] - 2)
    part = places - left
    return knots.gather(1, left) * (1 - part) + knots.gather(1, left + 1) * part


def _grains(hits: Tensor, fade: Tensor, draws: Draws) -> Tensor:
    """Impulses replaced by bursts of exponentially decaying noise, `[clips, samples]`."""
    length = int(0.08 * RATE)
    times = torch.arange(length, device=hits.device) / RATE
    burst = (-times / fade[:, None]).exp() * draws.normal(1.0, len(hits), length)
    burst[:, 0] = 1.0
    size = hits.shape[1] + length
    spectrum = torch.fft.rfft(hits, size) * torch.fft.rfft(burst, size)
    return torch.fft.irfft(spectrum, size)[:, : hits.shape[1]]
