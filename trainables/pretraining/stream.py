"""An endless stream of procedural sources: batch after batch, each source heard in several clips."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.pretraining.generator.draws import Draws
from trainables.pretraining.generator.notes import Notes
from trainables.pretraining.generator.places import Places
from trainables.pretraining.generator.source_filter import RATE
from trainables.pretraining.generator.textures import Textures
from trainables.pretraining.generator.voices import Voices

FAMILIES: dict[type[Voices] | type[Notes] | type[Textures], float] = {Voices: 0.5, Notes: 0.4, Textures: 0.1}
LENGTHS = (1.0, 1.5, 2.0, 2.0, 3.0)  # seconds: one is drawn for each batch
NEAR = 0.5  # share of the batches where pitch and register do not tell the sources of a family apart
STUDIO = 0.3  # share of the batches where all clips are heard in one place
SETTLED = 0.3  # share where those of a source are
HELD_OUT = 120  # sources
HELD_OUT_SECONDS = 2.0
HELD_OUT_SEED = 2**31 - 1  # of no training stream
PLAYED = 64  # clips that are played at a time: what a processor's cache holds, and little for a GPU


@dataclass(frozen=True)
class Batch:
    """What the network is shown in a step.

    Attributes:
        inputs: normalised log-mel, `[sources * clips, frames, 128]`, the clips of a source one after the other.
        sources: how many there are.
    """

    inputs: Tensor
    sources: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(self.inputs.to(device, non_blocking=True), self.sources)


class Stream(Dataset[Batch], ABC):
    """Batches by number: the same number is the same batch, so training can go on anywhere.

    Args:
        seed: of the whole stream.
        steps: batches in it.
        sources: in a batch.
        clips: of a source.
    """

    def __init__(self, seed: int, steps: int, sources: int, clips: int) -> None:
        self.seed, self.steps, self.sources, self.clips = seed, steps, sources, clips

    def __len__(self) -> int:
        return self.steps

    @abstractmethod
    def __getitem__(self, step: int) -> Batch: ...

    @abstractmethod
    def held_out(self) -> tuple[Tensor, Tensor]:
        """Clips that are never trained on: inputs `[clips, frames, 128]`, sources `[clips]`; maybe none."""


class Synthetic(Stream):
    """Batches of sources that are made on the spot; the same number is the same batch on the same kind of device.

    Args:
        seed: of the whole stream.
        steps: batches in it.
        sources: in a batch.
        clips: of a source.
        device: where sounds are made.
    """

    version: ClassVar[int] = 3  # of what is heard: raise it when the same number is another batch

    def __init__(self, seed: int, steps: int, sources: int, clips: int, device: torch.device | str = "cpu") -> None:
        super().__init__(seed, steps, sources, clips)
        self.device = torch.device(device)
        self._frontends: dict[int, FrontEnd] = {}

    def __getitem__(self, step: int) -> Batch:
        draws = Draws(generator_of(self.seed, step, self.device))
        length = LENGTHS[int(draws.uniform(0, len(LENGTHS), 1))]
        return Batch(self.inputs(draws, length), self.sources)

    def inputs(self, draws: Draws, seconds: float) -> Tensor:
        """Clips of freshly drawn sources as the network reads them, `[sources * clips, frames, 128]`."""
        waves = self.waves(draws, int(seconds * RATE))
        return self._frontend(waves.shape[1])(waves)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Sources that no stream has: inputs `[clips, frames, 128]`, sources `[clips]`."""
        held = Synthetic(HELD_OUT_SEED, 1, HELD_OUT, self.clips, self.device)
        inputs = held.inputs(Draws(generator_of(HELD_OUT_SEED, 0, self.device)), HELD_OUT_SECONDS)
        return inputs, torch.arange(HELD_OUT, device=self.device).repeat_interleave(self.clips)

    def waves(self, draws: Draws, samples: int) -> Tensor:
        """Clips of freshly drawn sources, `[sources * clips, samples]` in [-1, 1].

        Some batches are heard in one place, as the recordings of a studio are: there fine differences of the sources
        count. In others each source has its place, as speakers of a corpus often do. In the rest every clip has a place
        of its own, so that the place does not give the source away.
        """
        made: list[Tensor] = []
        near, where = bool(draws.chance(NEAR, 1)), float(draws.uniform(0, 1, 1))
        clips = self.sources * self.clips
        together = clips if where < STUDIO else self.clips if where < STUDIO + SETTLED else 1
        places = Places.draw(draws, clips // together)
        place_of = torch.arange(clips, device=self.device) // together
        for family, count in zip(FAMILIES, _shares(self.sources), strict=True):
            sources = family.draw(draws, count, near=near)
            rows = torch.arange(count, device=self.device).repeat_interleave(self.clips)
            size = max(1, PLAYED // self.clips) * self.clips if self.device.type == "cpu" else max(1, len(rows))
            for part in rows.split(size):
                if len(part):
                    heard, place_of = place_of[: len(part)], place_of[len(part) :]
                    made.append(places.rows(heard).record(sources.rows(part).play(draws, samples), draws))
        return torch.cat(made)

    def _frontend(self, samples: int) -> FrontEnd:
        if samples not in self._frontends:
            self._frontends[samples] = FrontEnd(FrontEndSpec(), RATE, samples, self.device)
        return self._frontends[samples]


def generator_of(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The private generator of a step."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step)


def _shares(sources: int) -> list[int]:
    """How many sources of each family, in order."""
    counts = [round(sources * share) for share in FAMILIES.values()]
    counts[0] += sources - sum(counts)
    return counts
