"""Clips of a benchmark: one to be written to a shard, and the table of all of them."""

from dataclasses import dataclass

import numpy as np

from datasets.benchmark.measures import content_digest, to_16_bit
from datasets.utils.checksum import json_digest


@dataclass(frozen=True)
class Clip:
    """A fixed-length labelled excerpt to be written to a shard.

    Attributes:
        clip_id: unique in the benchmark.
        split: 'train', 'val' or 'test'.
        source: relative POSIX path of the recording; of the first one for a clip that spans several.
        start: first sample in the unit's stream, at the sample rate of the benchmark.
        samples: [samples] float32, full scale 1.0.
        group: the same for recordings that must be in one split, such as those of a speaker; None if not known.
    """

    clip_id: str
    split: str
    label: int
    class_name: str
    source: str
    start: int
    samples: np.ndarray
    group: str | None = None


def clip_digest(clip: Clip) -> str:
    """SHA-256 (hex) of what a chain reads of a clip: id, split, class and samples at 16 bit."""
    what = [str(clip.clip_id), str(clip.split), int(clip.label), str(clip.class_name)]  # a label may be one of NumPy
    return json_digest([*what, content_digest(to_16_bit(clip.samples))])


@dataclass(frozen=True)
class ClipTable:
    """All clips of a benchmark without their audio, sorted by clip id; the *position* of a clip is its row here.

    Attributes:
        labels: int32 [clips].
        splits: strings [clips].
        class_names: indexed by label.
    """

    clip_ids: tuple[str, ...]
    labels: np.ndarray
    splits: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.clip_ids)
