"""Clips of synthetic sounds and the sessions of a small chain, in memory: what a method is tested on.

A class is a harmonic tone with a timbre of its own, in noise; every clip has a pitch and phases of its own.
"""

from collections.abc import Collection, Sequence

import numpy as np

from datasets.benchmark.protocol import ClassClips, Session

SAMPLE_RATE = 16_000
NUM_SAMPLES = 6_400  # 0.4 s
TRAIN, VALIDATION, QUERY = 8, 2, 3
"""Clips of a class in each split, at least."""


class SyntheticClips:
    """Clips of classes, in the order of their labels.

    Args:
        classes: number of classes.
        train: train clips of each.
        replaced: positions of clips that are noise instead.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, classes: int, train: int = TRAIN, replaced: Collection[int] = ()) -> None:
        self.train = max(train, TRAIN)
        self.class_names = tuple(f"tone {label}" for label in range(classes))
        self.replaced = frozenset(replaced)
        self.fingerprint = f"{classes} {self.train} {sorted(self.replaced)}".encode().hex()

    @property
    def per_class(self) -> int:
        """Number of clips of a class."""
        return self.train + VALIDATION + QUERY

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """`[clips, samples]`, float32 in [-1, 1]."""
        return np.stack([self._wave(int(position)) for position in positions])

    def _wave(self, position: int) -> np.ndarray:
        random = np.random.default_rng(position)
        noise = 0.01 * random.standard_normal(NUM_SAMPLES)
        if position in self.replaced:
            return (30 * noise).clip(-1, 1).astype(np.float32)
        label, time = position // self.per_class, np.arange(NUM_SAMPLES) / SAMPLE_RATE
        pitch, decay = random.uniform(150, 400), 0.4 + 0.3 * label
        partials = [
            np.sin(2 * np.pi * pitch * number * time + random.uniform(0, 6)) / number**decay for number in range(1, 12)
        ]
        wave: np.ndarray = (0.1 * np.sum(partials, axis=0) + noise).astype(np.float32)
        return wave

    def sessions(self, base: int, way: int, shot: int, base_shot: int) -> tuple[Session, ...]:
        """A base session, then sessions of `way` classes each, as many as there are."""
        sizes = [base] + [way] * ((len(self.class_names) - base) // way)
        first, made = 0, []
        for index, size in enumerate(sizes):
            shots = base_shot if index == 0 else shot
            made.append(Session(index, tuple(self._clips(label, shots) for label in range(first, first + size))))
            first += size
        return tuple(made)

    def _clips(self, label: int, shots: int) -> ClassClips:
        first = label * self.per_class
        train = tuple(range(first, first + self.train))
        validation = tuple(range(first + self.train, first + self.train + VALIDATION))
        query = tuple(range(first + self.train + VALIDATION, first + self.per_class))
        return ClassClips(label, train[:shots], train, validation, query)
