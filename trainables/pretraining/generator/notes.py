"""Notes of blown, bowed, plucked and struck instruments with a wide register.

An instrument has a wave shape (levels of harmonics, independent of the pitch), a body (gain by frequency, independent
of the note), an envelope and a noise. A take is one or several notes anywhere in the register, soft or loud, long or
short.
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
    harmonics_below,
    hertz,
    linear,
    octaves,
    phase,
    pulses,
    segments,
    unit,
)
from trainables.pretraining.generator.table import TensorTable

COPIES = 3  # shifted copies of the pulse train, whose sum has the wave shape
MODES = 10  # partials of struck instruments


@dataclass(frozen=True)
class Notes(TensorTable):
    """Instruments, one per row.

    Attributes:
        low: lowest pitch, Hz.
        width: of the register, octaves.
        shifts: of the copies of the pulse train, turns, `[instruments, COPIES]`.
        weights: of the copies, `[instruments, COPIES]`.
        tilt: dB per octave above the fundamental.
        effort: change of the tilt for loud notes, dB per octave.
        register: change of the tilt at the top of the register, dB per octave.
        body: gain by frequency, dB, `[instruments, BINS]`.
        attack: seconds.
        decay: time constant of the fundamental, seconds; long for sustained instruments.
        damping: how much faster higher frequencies decay, per octave above the fundamental.
        vibrato: depth, semitones.
        tremolo: depth of the loudness modulation at the same rate, 0 to 1.
        breath: level of the noise, dB.
        breath_tilt: dB per octave.
        chiff: level of the noise in the attack, dB.
        struck: whether the sound is an inharmonic sum of modes instead.
        ratios: of the modes to the pitch, `[instruments, MODES]`.
        modes: levels of the modes, dB, `[instruments, MODES]`.
        bend: index of the phase modulation by a sine at the pitch, in turns.
        pace: notes per second.
    """

    low: Tensor
    width: Tensor
    shifts: Tensor
    weights: Tensor
    tilt: Tensor
    effort: Tensor
    register: Tensor
    body: Tensor
    attack: Tensor
    decay: Tensor
    damping: Tensor
    vibrato: Tensor
    tremolo: Tensor
    breath: Tensor
    breath_tilt: Tensor
    chiff: Tensor
    struck: Tensor
    ratios: Tensor
    modes: Tensor
    bend: Tensor
    pace: Tensor

    @classmethod
    def draw(cls, draws: Draws, count: int, *, near: bool = False) -> "Notes":
        """Draws `count` instruments; `near` ones share their register within a few semitones."""
        sustained = draws.chance(0.6, count)
        low, width = draws.log_uniform(40, 500, count), draws.uniform(0.8, 3.2, count)
        if near:
            low = draws.log_uniform(50, 300, 1) * draws.normal(0.3, count).exp2()
            width = draws.uniform(1.5, 3.2, count)
        wide = stretch(draws.normal(1.0, count, 7), BINS)
        narrow = stretch(draws.normal(1.0, count, 33), BINS)
        peak = draws.uniform(-2.5, 2.5, count, 1)
        bell = (-(((octaves(draws.device) - peak) / draws.uniform(0.25, 0.8, count, 1)) ** 2)).exp()
        weights = draws.uniform(-1, 1, count, COPIES) * draws.chance(0.6, count, COPIES)
        shifts = torch.where(draws.chance(0.3, count, COPIES), 0.5, draws.uniform(0.02, 0.5, count, COPIES))
        harmonic = torch.arange(1, MODES + 1, device=draws.device) * draws.normal(0.004, count, MODES).exp()
        wild = (draws.uniform(0.1, 0.9, count, MODES).cumsum(1) + 1) * draws.uniform(0.8, 1.3, count, 1)
        return cls(
            low=low,
            width=width,
            shifts=shifts,
            weights=weights,
            tilt=draws.uniform(-16, -1, count),
            effort=draws.uniform(0.5, 4, count),
            register=draws.normal(3, count),
            body=wide * draws.uniform(0, 6, count, 1)
            + narrow * draws.uniform(0, 4, count, 1)
            + bell * draws.uniform(0, 14, count, 1),
            attack=torch.where(sustained, draws.log_uniform(0.01, 0.15, count), draws.log_uniform(0.002, 0.015, count)),
            decay=torch.where(sustained, draws.log_uniform(1.5, 20, count), draws.log_uniform(0.06, 1.2, count)),
            damping=torch.where(sustained, 0.0, draws.uniform(0, 1.2, count)),
            vibrato=draws.log_uniform(0.01, 0.7, count) * draws.chance(0.6, count),
            tremolo=draws.uniform(0, 0.6, count),
            breath=draws.uniform(-55, -16, count),
            breath_tilt=draws.uniform(-9, 2, count),
            chiff=draws.uniform(-45, -6, count),
            struck=draws.chance(0.25, count) & ~sustained,
            ratios=torch.where(draws.chance(0.4, count, 1), harmonic, wild),
            modes=draws.normal(6, count, MODES),
            bend=draws.uniform(0, 0.35, count) * draws.chance(0.25, count),
            pace=draws.log_uniform(0.4, 4, count),
        )

    def play(self, draws: Draws, samples: int) -> Tensor:
        """A take of each row, RMS 1, float32 `[clips, samples]`."""
        clips, frames, device = len(self.low), frames_of(samples), self.low.device
        pace = torch.where(draws.chance(0.5, clips), self.pace * draws.log_uniform(0.5, 2, clips), 0.2)
        elapsed = draws.uniform(0, 1, clips) * draws.chance(0.4, clips)
        index, place = segments(draws, pace, frames, elapsed)
        notes = int(index.max()) + 1
        since, until = _note_times(index, place, pace)
        height = draws.uniform(0, 1, clips, 1) + draws.normal(0.15, clips, notes)
        written = self.low[:, None] * 2 ** (self.width[:, None] * height.clamp(0, 1))
        time = torch.arange(frames, device=device) / FRAMES_PER_SECOND
        swing = (2 * math.pi * (draws.uniform(4.5, 7, clips, 1) * time + draws.uniform(0, 1, clips, 1))).sin()
        depth = self.vibrato[:, None] * draws.uniform(0, 1.3, clips, 1)
        wander = draws.curve(clips, max(3, frames // 12), frames, 0.05)
        pitch = (written.gather(1, index) * 2 ** ((depth * swing + wander) / 12)).clamp(30, 4000)

        effort = draws.normal(1.1, clips)
        octave = torch.log2(hertz(device).clamp(min=30.0) / pitch[..., None]).clamp(min=0)
        high = height.mean(1) - 0.5
        slope = (self.tilt + self.effort * effort + self.register * high)[:, None, None]
        attack = self.attack * draws.log_uniform(0.4, 2.5, clips)
        decay = self.decay * draws.log_uniform(0.6, 1.6, clips)
        decay = torch.where(draws.chance(0.2, clips), decay.minimum(draws.log_uniform(0.06, 0.4, clips)), decay)
        rise = (since / attack[:, None]).clamp(0, 1)
        release = (until / 0.06).clamp(0, 1)
        loud = (
            rise
            * release
            * (1 + self.tremolo[:, None] * 0.5 * swing)
            * linear(draws.normal(2, clips, notes)).gather(1, index)
        )
        fall = (-since[..., None] / decay[:, None, None] * (1 + self.damping[:, None, None] * octave)).exp()
        body = linear(self.body)[:, None, :]
        gain = torch.where(self.struck[:, None, None], 1.0, linear(slope * octave) * fall) * body * loud[..., None]
        hiss = linear(self.breath + draws.normal(3, clips))[:, None] * loud * (-since / decay[:, None]).exp()
        burst = (
            linear(self.chiff + draws.normal(3, clips))[:, None]
            * (-since / (2 * attack[:, None] + 0.01)).exp()
            * release
        )
        coloured = linear(self.breath_tilt[:, None] * octaves(device))[:, None, :] * body
        noise = (hiss * 3 + burst)[..., None] * coloured
        turns = phase(pitch, samples) + draws.uniform(0, 1, clips, 1)
        tone = torch.empty(clips, samples, device=device)
        for struck in (False, True):
            rows = (self.struck == struck).nonzero()[:, 0]
            some = self.rows(rows)
            tone[rows] = (
                some._modes(turns[rows], pitch[rows], since[rows], decay[rows])
                if struck
                else some._wave(turns[rows], pitch[rows])
            )
        return unit(filtered(tone, gain, noise, draws))

    def _wave(self, turns: Tensor, pitch: Tensor) -> Tensor:
        """Sum of shifted pulse trains: harmonic k has the level |1 + sum_m w_m exp(2 pi i k d_m)|."""
        turns = turns + self.bend[:, None] * (2 * math.pi * turns).sin()
        count = harmonics_below(pitch)
        total = pulses(turns, count)
        for copy in range(COPIES):
            total = total + self.weights[:, copy, None] * pulses(turns + self.shifts[:, copy, None], count)
        return total

    def _modes(self, turns: Tensor, pitch: Tensor, since: Tensor, decay: Tensor) -> Tensor:
        """Decaying sinusoids at fixed ratios to the pitch."""
        total = torch.zeros_like(turns, dtype=torch.float32)
        for mode in range(MODES):
            ratio = self.ratios[:, mode]
            level = linear(self.modes[:, mode] + self.tilt * ratio.log2())
            audible = (ratio * pitch.amax(1) < 0.47 * RATE) * level
            faster = 1 + self.damping * ratio.clamp(min=1).log2() * 2
            fade = (-since / decay[:, None] * faster[:, None]).exp() * audible[:, None]
            angle = turns * ratio[:, None].double()
            total += stretch(fade, turns.shape[1]) * ((angle - angle.round()) * (2 * math.pi)).float().sin()
        return total * 4


def _note_times(index: Tensor, place: Tensor, pace: Tensor) -> tuple[Tensor, Tensor]:
    """Seconds since the start of the note, and approximately until its end, `[clips, frames]`."""
    first = torch.arange(index.shape[1], device=index.device).expand_as(index)
    starts = torch.where(torch.nn.functional.pad(index[:, 1:] != index[:, :-1], (1, 0), value=True), first, 0)
    since = (first - starts.cummax(1).values).float() / FRAMES_PER_SECOND
    return since, (1 - place) / pace[:, None]
