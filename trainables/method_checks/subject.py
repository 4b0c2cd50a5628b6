"""A method under test: its settings, a small backbone, and a chain of synthetic clips."""

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError

from datasets.benchmark.protocol import Session
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.method_checks.clips import SyntheticClips
from trainables.networks.backbones.backbone import Backbone, WaveTransform
from trainables.store.arrays import ArrayStore

SESSIONS = 3


@dataclass(frozen=True)
class Subject:
    """A method under test.

    Attributes:
        method: its class.
        settings: valid, with as few epochs as possible.
        backbone: None if it uses none.
        frontend: of the backbone, or of a method without one.
        store: for arrays about clips.
    """

    method: type[Learner]
    settings: Any
    backbone: Backbone | None
    frontend: WaveTransform
    store: ArrayStore

    @property
    def clips(self) -> SyntheticClips:
        """As many clips as the method needs."""
        needs = self.method.needs(self.settings)
        return SyntheticClips(self._base + self._way * (SESSIONS - 1), max(needs.base_shots, needs.shots))

    @property
    def sessions(self) -> tuple[Session, ...]:
        """A chain that gives the method exactly what it needs, and at least two classes and shots."""
        needs = self.method.needs(self.settings)
        shot = max(needs.shots, 2)
        return self.clips.sessions(self._base, self._way, shot, max(needs.base_shots, shot))

    @property
    def _base(self) -> int:
        return max(self.method.needs(self.settings).base_classes, 2)

    @property
    def _way(self) -> int:
        return max(self.method.needs(self.settings).new_classes, 2)

    @property
    def queries(self) -> tuple[int, ...]:
        """A query clip of every class."""
        return tuple(clips.query[0] for session in self.sessions for clips in session.classes)

    def learner(self, settings: Any = None, clips: SyntheticClips | None = None) -> Learner:
        """A new learner."""
        features = Features(clips or self.clips, self.frontend, self.backbone, self.store)
        return self.method(settings or self.settings, features)

    def trained(self, count: int = SESSIONS, clips: SyntheticClips | None = None) -> Learner:
        """A new learner after the first sessions."""
        learner = self.learner(clips=clips)
        for session in self.sessions[:count]:
            learner.learn(session, generator(session.index))
        return learner


def quick_settings(method: type[Learner]) -> Any:
    """Settings with two epochs and episodes wherever there are any, if the method accepts that, else its defaults."""
    few = {name: 2 for name in method.Settings.model_fields if name.endswith(("epochs", "episodes"))}
    try:
        return method.Settings.model_validate(few)
    except ValidationError:
        return method.Settings()


def generator(seed: int) -> torch.Generator:
    """The generator of a session."""
    return torch.Generator().manual_seed(seed)
