"""A stream of batches of procedural sources, with several clips of each source."""

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
NEAR = 0.5  # fraction of the batches in which pitch and register do not distinguish the sources of a family
STUDIO = 0.3  # fraction of the batches in which all clips share one place
SETTLED = 0.3  # fraction in which the clips of a source share one place
HELD_OUT = 120  # sources
HELD_OUT_SECONDS = 2.0
HELD_OUT_SEED = 2**31 - 1  # not used by training streams
CLIPS_AT_A_TIME = 64  # on a CPU: fits its cache; a GPU generates all clips of a family at once


@dataclass(frozen=True)
class Batch:
    """The input of the network in a step.

    Attributes:
        inputs: normalised log-mel, `[sources * clips, frames, 128]`, the clips of a source in a row.
        sources: number of sources.
    """

    inputs: Tensor
    sources: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(self.inputs.to(device, non_blocking=True), self.sources)


class Stream(Dataset[Batch], ABC):
    """Batches by number: the same number always gives the same batch, so training can resume anywhere.

    Args:
        seed: of the whole stream.
        steps: number of batches.
        sources: per batch.
        clips: per source.
    """

    def __init__(self, seed: int, steps: int, sources: int, clips: int) -> None:
        self.seed, self.steps, self.sources, self.clips = seed, steps, sources, clips

    def __len__(self) -> int:
        return self.steps

    @abstractmethod
    def __getitem__(self, step: int) -> Batch: ...

    @abstractmethod
    def held_out(self) -> tuple[Tensor, Tensor]:
        """Clips that are not used in training: inputs `[clips, frames, 128]`, sources `[clips]`; may be empty."""


class Synthetic(Stream):
    """Batches of generated sources; the same number gives the same batch on the same type of device.

    Args:
        seed: of the whole stream.
        steps: number of batches.
        sources: per batch.
        clips: per source.
        device: where sounds are generated.
    """

    version: ClassVar[int] = 3  # of the sounds: raise it when the same number gives another batch

    def __init__(self, seed: int, steps: int, sources: int, clips: int, device: torch.device | str = "cpu") -> None:
        super().__init__(seed, steps, sources, clips)
        self.device = torch.device(device)
        self._frontends: dict[int, FrontEnd] = {}

    def __getitem__(self, step: int) -> Batch:
        draws = Draws(generator_of(self.seed, step, self.device))
        length = LENGTHS[int(draws.uniform(0, len(LENGTHS), 1))]
        return Batch(self.inputs(draws, length), self.sources)

    def inputs(self, draws: Draws, seconds: float) -> Tensor:
        """Clips of newly drawn sources as network inputs, `[sources * clips, frames, 128]`."""
        waves = self.waves(draws, int(seconds * RATE))
        return self._frontend(waves.shape[1])(waves)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Sources that are in no training stream: inputs `[clips, frames, 128]`, sources `[clips]`."""
        stream = Synthetic(HELD_OUT_SEED, 1, HELD_OUT, self.clips, self.device)
        inputs = stream.inputs(Draws(generator_of(HELD_OUT_SEED, 0, self.device)), HELD_OUT_SECONDS)
        return inputs, torch.arange(HELD_OUT, device=self.device).repeat_interleave(self.clips)

    def waves(self, draws: Draws, samples: int) -> Tensor:
        """Clips of newly drawn sources, `[sources * clips, samples]` in [-1, 1].

        In some batches all clips share one place, as in a studio, so that small differences between sources matter. In
        others each source has one place, as speakers of a corpus often do. In the rest every clip has its own place, so
        that the place does not identify the source.
        """
        waves: list[Tensor] = []
        near, sharing = bool(draws.chance(NEAR, 1)), float(draws.uniform(0, 1, 1))
        clips = self.sources * self.clips
        clips_per_place = clips if sharing < STUDIO else self.clips if sharing < STUDIO + SETTLED else 1
        places = Places.draw(draws, clips // clips_per_place)
        place_of = torch.arange(clips, device=self.device) // clips_per_place
        for family, count in zip(FAMILIES, _sources_by_family(self.sources), strict=True):
            sources = family.draw(draws, count, near=near)
            rows = torch.arange(count, device=self.device).repeat_interleave(self.clips)
            size = (
                max(1, CLIPS_AT_A_TIME // self.clips) * self.clips if self.device.type == "cpu" else max(1, len(rows))
            )
            for part in rows.split(size):
                if len(part):
                    place, place_of = place_of[: len(part)], place_of[len(part) :]
                    waves.append(places.rows(place).record(sources.rows(part).play(draws, samples), draws))
        return torch.cat(waves)

    def _frontend(self, samples: int) -> FrontEnd:
        if samples not in self._frontends:
            self._frontends[samples] = FrontEnd(FrontEndSpec(), RATE, samples, self.device)
        return self._frontends[samples]


def generator_of(seed: int, step: int, device: torch.device) -> torch.Generator:
    """The random generator of a step."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step)


def _sources_by_family(sources: int) -> list[int]:
    """Number of sources of each family, in order."""
    counts = [round(sources * share) for share in FAMILIES.values()]
    counts[0] += sources - sum(counts)
    return counts
