"""The interface of a method.

A method is one file in `trainables/methods` with one subclass of `Learner`. A chain calls it like this:

    learner = Method(settings, features)
    for session in sessions:
        learner.learn(session, generator)       reads the support clips; or, where classes leave,
        learner.forget(clips)                   for each of them, if the method forgets
        scores = learner.score(positions)       {head: [clips, classes seen so far]}
        state = learner.state()                 everything that a later session needs

In another process, or after a crash, `learner.load(state)` replaces the sessions before.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from datasets.utils.errors import EarshotError
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.settings import Settings
from trainables.networks.specs import Capability
from trainables.store.state import State


@dataclass(frozen=True)
class Needs:
    """What a method requires of a protocol.

    Attributes:
        exemplars: clips of an old class that it rehearses; a protocol may forbid them.
        shots: support clips of a class, at least.
        base_shots: support clips of a base class, at least.
        base_classes: classes of the base session, at least.
        new_classes: classes of an incremental session, at least.
        everything: it stores every support clip; an upper bound, to which the protocol's limit on exemplars does not
            apply.
        why: one clause for the error message.
    """

    exemplars: int = 0
    shots: int = 1
    base_shots: int = 1
    base_classes: int = 2
    new_classes: int = 1
    everything: bool = False
    why: str = ""


class Learner(ABC):
    """A method: learns a session, scores clips.

    Class attributes declare it:
        name: as on the command line; the file has the same name, with underscores.
        version: to be raised with every change of what the method computes; part of every stage's address.
        summary: one line for tables.
        paper: its source.
        Settings: its settings with published defaults.
        published: published values of settings with another default, or those of the released code.
        heads: the names of its scores.
        backbone: whether it needs one.
        uses: what it needs of its backbone; see `capabilities`.
        forgets: whether `forget` removes a class exactly; otherwise a class that leaves is still predicted.
        transductive: whether the scores of a clip depend on the other clips of its batch; the method then inherits
            `TransductiveLearner`, and its results are in a track of their own.
        closed_form: whether it trains nothing and a session takes a fraction of a second (`ClosedForm`).

    Args of the constructor:
        settings: validated.
        features: waveforms, spectrograms and embeddings of clips, by position.

    Attributes:
        classes: labels of the classes seen so far and not forgotten; column c of every score belongs to `classes[c]`.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    summary: ClassVar[str]
    paper: ClassVar[str]
    Settings: ClassVar[type[Settings]]
    published: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    heads: ClassVar[tuple[str, ...]]
    backbone: ClassVar[bool] = True
    uses: ClassVar[frozenset[Capability]] = frozenset({"embed"})
    forgets: ClassVar[bool] = False
    transductive: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False

    def __init__(self, settings: Any, features: Features) -> None:
        self.settings = settings
        self.features = features
        self.classes: list[int] = []

    @classmethod
    def default_head(cls, settings: Any) -> str:
        """The head that model selection uses and that tables list first."""
        return cls.heads[0]

    @classmethod
    def needs(cls, settings: Any) -> Needs:
        """What the method requires of a protocol under these settings."""
        return Needs()

    @classmethod
    def capabilities(cls, settings: Any) -> frozenset[Capability]:
        """What the method needs of its backbone under these settings (`trainables.networks.backbones.backbone`)."""
        return cls.uses

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        """Arrays about clips that learning and scoring read and that depend on nothing learned; none by default.

        Before a sweep's trials start, those that the store lacks are computed by all workers together. What is not
        listed is computed by the first trial that reads it.

        Args:
            positions: a group of clips: the support of a session, or the scored clips of a class.
        """
        return []

    @abstractmethod
    def learn(self, session: Session, generator: torch.Generator) -> None:
        """Learns the new classes of `session` from their support clips.

        Args:
            session: the new classes; its query clips must not be used.
            generator: the only source of randomness, seeded for this session.
        """

    def forget(self, clips: ClassClips) -> None:
        """Removes a class exactly: the scores are then those of a chain that never had it, up to rounding.

        Args:
            clips: the class and the support clips that it was learned from.

        Raises:
            EarshotError: the method cannot.
        """
        raise EarshotError(f"method {self.name}: cannot forget a class; methods with `forgets` can")

    @abstractmethod
    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        """Scores of clips from every head: `{head: [clips, classes seen so far]}`, higher is more likely."""

    def score_groups(self, groups: Sequence[tuple[int, ...]]) -> list[dict[str, Tensor]]:
        """`score` of several groups of clips; a method may score them together."""
        return [self.score(group) for group in groups]

    @abstractmethod
    def state(self) -> State:
        """Everything that later sessions need. Tensors may be shared with the learner: a session trains copies."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Restores the state of a learner with the same settings."""

    @abstractmethod
    def parameter_counts(self) -> tuple[int, int]:
        """Number of values stored, and of those used to score a clip (frozen backbone included)."""


def column_labels(labels: Sequence[int], classes: Sequence[int]) -> Tensor:
    """Labels as columns of the score matrix: `[clips]`, int64."""
    column = {label: index for index, label in enumerate(classes)}
    return torch.tensor([column[label] for label in labels])
