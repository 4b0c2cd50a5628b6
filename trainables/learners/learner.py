"""The interface of a method, and the registry that finds the methods.

A method is one file in `trainables/methods` with one `Learner`. The chain calls it like this:

    learner = Method(settings, features)
    for session in sessions:
        learner.learn(session, generator)       support clips in, knowledge out
        scores = learner.score(positions)       {head: [clips, classes seen so far]}
        state = learner.state()                 all that a later session needs

and, in another process or after a crash, `learner.load(state)` in place of the sessions before.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.store.state import State


class Settings(BaseModel):
    """Settings of a method.

    A field whose name starts with `base_` is read by the base session alone, one that starts with `incremental_` by the
    later sessions alone, any other by all. Trials that differ only in `incremental_` settings share their base session.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def read_by(self, session: int) -> dict[str, Any]:
        """The settings that session number `session` reads, by name, in JSON types."""
        other = "incremental_" if session == 0 else "base_"
        return {key: value for key, value in self.model_dump(mode="json").items() if not key.startswith(other)}


@dataclass(frozen=True)
class Needs:
    """What a method must be given to do what its paper says.

    Attributes:
        exemplars: clips of an old class that it rehearses; a protocol may forbid them.
        shots: support clips of a class, at least.
        base_shots: support clips of a base class, at least.
        base_classes: classes of the base session, at least.
        everything: it keeps every support clip, as an upper bound that the rule of memory does not bind.
        why: one clause for the message that refuses.
    """

    exemplars: int = 0
    shots: int = 1
    base_shots: int = 1
    base_classes: int = 2
    everything: bool = False
    why: str = ""


class Learner(ABC):
    """A method: learns a session, scores clips.

    Class attributes declare it:
        name: as on the command line.
        version: raised by whoever changes what the method computes; part of every stage's address.
        summary: one line for tables.
        paper: where it comes from.
        Settings: its settings with published defaults.
        heads: the names of the scores it gives.
        backbone: whether it needs one.

    Args of the constructor:
        settings: validated.
        features: waveforms, spectrograms and embeddings of clips, by position.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    summary: ClassVar[str]
    paper: ClassVar[str]
    Settings: ClassVar[type[Settings]]
    heads: ClassVar[tuple[str, ...]]
    backbone: ClassVar[bool] = True

    def __init__(self, settings: Any, features: Features) -> None:
        self.settings = settings
        self.features = features
        self.classes: list[int] = []  # seen so far, in class order: column c of every score is classes[c]

    @classmethod
    def default_head(cls, settings: Any) -> str:
        """The head that selection looks at and tables lead with."""
        return cls.heads[0]

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """What a protocol must offer under these settings."""
        return Needs()

    def precompute(self, positions: tuple[int, ...]) -> None:
        """Computes what is known of clips before anything is learned, and stores it in `features` for all.

        It is asked for of every group of clips before a sweep's trials start, spread over all workers.

        Args:
            positions: a group of clips: the support of a session, or what is scored of a class.
        """
        if self.backbone:
            self.features.inputs(positions)

    @abstractmethod
    def learn(self, session: Session, generator: torch.Generator) -> None:
        """Learns the new classes of `session` from their support clips.

        Args:
            session: the new classes; no query clip of it may be looked at.
            generator: the only source of randomness, seeded for this session.
        """

    @abstractmethod
    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        """Scores clips with every head: `{head: [clips, classes seen so far]}`, higher is likelier."""

    @abstractmethod
    def state(self) -> State:
        """All that later sessions need. Its tensors may be the learner's own: a session trains copies."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Continues from a state of an equal learner."""

    @abstractmethod
    def parameters(self) -> tuple[int, int]:
        """Number of values stored, and of those used to score a clip (frozen backbone included)."""


def column_labels(labels: Sequence[int], classes: Sequence[int]) -> Tensor:
    """Labels as columns of the score matrix: `[clips]`, int64."""
    column = {label: index for index, label in enumerate(classes)}
    return torch.tensor([column[label] for label in labels])
