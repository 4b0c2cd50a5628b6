"""A stream of batches from recordings: the train split of a prepared benchmark, with or without labels."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torchaudio
from torch import Tensor

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.pretraining.generator.draws import Draws
from trainables.pretraining.generator.places import Places
from trainables.pretraining.generator.source_filter import RATE
from trainables.pretraining.stream import Batch, Stream, generator_of

Labels = Literal["class", "recording"]

SPEEDS = (14_000, 15_000, 17_000, 18_000)  # Hz: played at 16 kHz, a clip sounds like another source
CHANGED = 0.3  # fraction of the sources of a batch whose speed is changed
HELD_OUT = 10  # maximum number of clips per source in the held-out score


class Recorded(Stream):
    """Batches of a benchmark's train clips, by number: the same number always gives the same batch.

    Every clip is played in its own place (`Places.record`). The speed of some sources is changed in all their clips,
    which makes them new sources (Yamamoto et al. 2019, speaker augmentation). Test clips are never read.

    Args:
        benchmark: folder of a prepared benchmark.
        labels: what a source is: a class, or, for recordings without labels, the recording that a clip was cut from.
        seed: of the whole stream.
        steps: number of batches.
        sources: per batch.
        clips: per source; repeated if a source has fewer.

    Raises:
        EarshotError: there is no such benchmark, or it has too few sources with two clips.
    """

    def __init__(self, benchmark: Path | str, labels: Labels, seed: int, steps: int, sources: int, clips: int) -> None:
        super().__init__(seed, steps, sources, clips)
        self.shards = Shards(benchmark)
        by_class = labels == "class"
        source_of = self.shards.table.labels if by_class else np.unique(self.shards.sources, return_inverse=True)[1]
        self._train = _group_by_source(source_of, self.shards.select(splits=["train"]))
        self._val = _group_by_source(source_of, self.shards.select(splits=["val"]))
        if len(self._train) < max(2, sources):
            raise EarshotError(
                f"{benchmark}: expected {max(2, sources)} sources with at least two train clips, found"
                f" {len(self._train)}; lower --sources, or define sources differently with --labels"
            )
        self._frontend = FrontEnd(FrontEndSpec(), RATE, self._samples)

    @property
    def _samples(self) -> int:
        manifest = self.shards.manifest
        return round(manifest.num_samples * RATE / self.shards.sample_rate)

    def __getitem__(self, step: int) -> Batch:
        draws = Draws(generator_of(self.seed, step, torch.device("cpu")))
        chosen = torch.randperm(len(self._train), generator=draws.generator)[: self.sources]
        rows = []
        for source in chosen.tolist():
            clips = self._train[source]
            order = torch.randperm(len(clips), generator=draws.generator).repeat(-(-self.clips // len(clips)))
            rows.append(clips[order[: self.clips].numpy()])
        waves = self._waves(np.concatenate(rows)).unflatten(0, (self.sources, self.clips))
        for row in draws.chance(CHANGED, self.sources).nonzero()[:, 0].tolist():
            speed = SPEEDS[int(draws.uniform(0, len(SPEEDS), 1))]
            waves[row] = _fitted(torchaudio.functional.resample(waves[row], speed, RATE), self._samples)
        clips = waves.flatten(0, 1)
        return Batch(self._frontend(Places.draw(draws, len(clips)).record(clips, draws)), self.sources)

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Validation clips: inputs `[clips, frames, 128]`, sources `[clips]`; empty if there are none."""
        rows = [clips[:HELD_OUT] for clips in self._val]
        if not rows:
            return torch.empty(0, self._frontend.frames, 128), torch.empty(0, dtype=torch.int64)
        sources = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(clips) for clips in rows]))
        return self._frontend(self._waves(np.concatenate(rows))), sources

    def _waves(self, positions: np.ndarray) -> Tensor:
        order = np.argsort(positions)  # read in the order of the shards
        waves = torch.empty(len(positions), self.shards.manifest.num_samples)
        waves[torch.from_numpy(order)] = torch.from_numpy(self.shards.audio(positions[order]))
        return _fitted(torchaudio.functional.resample(waves, self.shards.sample_rate, RATE), self._samples)


def _group_by_source(source_of: np.ndarray, positions: np.ndarray) -> list[np.ndarray]:
    """Positions by source, for sources with at least two clips."""
    groups: dict[int, list[int]] = {}
    for position in positions.tolist():
        groups.setdefault(int(source_of[position]), []).append(position)
    return [np.array(clips) for _, clips in sorted(groups.items()) if len(clips) > 1]


def _fitted(waves: Tensor, samples: int) -> Tensor:
    """Waves cut, or padded with zeros, at the end."""
    return torch.nn.functional.pad(waves[:, :samples], (0, max(0, samples - waves.shape[1])))
