"""Every check passes for sound methods, and fails for a method that breaks its rule alone."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, Field
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.features import FeatureRequest
from trainables.learners.learner import Learner
from trainables.learners.settings import Settings
from trainables.learners.transductive_learner import TransductiveLearner
from trainables.method_checks.clips import NUM_SAMPLES, SAMPLE_RATE
from trainables.method_checks.rules import CHECKS, run_check, run_checks
from trainables.method_checks.subject import Subject, quick_settings
from trainables.methods.registry import find_method
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import BackboneSpec, ClipFormat
from trainables.store.arrays import ArrayStore
from trainables.store.state import State


class SoundSettings(Settings):
    base_scale: float = Field(1.0, gt=0)
    incremental_scale: float = Field(1.0, gt=0)


class Sound(Learner):
    """Nearest class mean, with noise from the session's generator."""

    name = "sound"
    version = 1
    summary = "nearest mean"
    paper = "none"
    Settings = SoundSettings
    heads = ("mean",)

    def __init__(self, settings: Any, features: Any) -> None:
        super().__init__(settings, features)
        self.means = torch.zeros(0, features.backbone.dim)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    def learn(self, session: Session, generator: torch.Generator) -> None:
        scale = self.settings.base_scale if session.index == 0 else self.settings.incremental_scale
        for clips in session.classes:
            mean = scale * self.features.pooled(clips.support).mean(dim=0, keepdim=True)
            noise = 0.01 * torch.randn(mean.shape, generator=generator)
            self.means = torch.cat([self.means, mean + noise])
            self.classes.append(clips.label)

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {"mean": -torch.cdist(self.features.pooled(positions), self.means)}

    def state(self) -> State:
        return State({"means": {"means": self.means}}, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        self.means = state.parts["means"]["means"]
        self.classes = list(state.notes["classes"])

    def parameter_counts(self) -> tuple[int, int]:
        return self.means.numel(), self.means.numel()


class NoSummary(Sound):
    summary = ""


class LooseSettings(Settings):
    epochs: int = 1


class Unbounded(Sound):
    Settings = LooseSettings


class OneHeadLess(Sound):
    heads = ("mean", "other")


class NeedsMore(Sound):
    """Fails with one clip of a class, which it does not say."""

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        clips = self.features.pooled(session.classes[0].support)
        self.means += (clips - clips.mean(dim=0)).square().sum(dim=0) / (len(clips) - 1)


class HiddenSeed(Sound):
    """Draws from a source that no seed decides."""

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, torch.Generator().manual_seed(random.SystemRandom().getrandbits(40)))


class GlobalGenerator(Sound):
    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self.means += torch.randn(self.means.shape)


class NotInState(Sound):
    """Its scores depend on a counter that the state lacks."""

    sessions = 0

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self.sessions += 1

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        return {"mean": super().score(positions)["mean"] * (1 + self.sessions)}


class LearnsFromAttributes(Sound):
    """Keeps in an attribute what the next session needs; scoring does not need it."""

    before: float = 0.0

    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self.means[-1] += self.before
        self.before += 1.0


class ChangesItsState(Sound):
    def learn(self, session: Session, generator: torch.Generator) -> None:
        self.means += 0.1 * bool(session.index)
        super().learn(session, generator)


class ReadsTheOtherPhase(Sound):
    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self.means *= self.settings.incremental_scale


class LearnsFromQueries(Sound):
    def learn(self, session: Session, generator: torch.Generator) -> None:
        super().learn(session, generator)
        self.means[-1] += self.features.pooled(session.classes[-1].query).mean(dim=0)


class ScalesByTheBatch(Sound):
    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        scores = super().score(positions)["mean"]
        return {"mean": scores - scores.mean(dim=0)}


class Transductive(TransductiveLearner, Sound):
    """Sound, as it gives a clip the scores of its batch."""

    transductive = True

    def embed(self, positions: tuple[int, ...]) -> Tensor:
        return self.features.pooled(positions)

    def score_batch(self, embeddings: Tensor) -> dict[str, Tensor]:
        return {"mean": -torch.cdist(embeddings - embeddings.mean(dim=0), self.means)}


class DependsOnTheOrder(Transductive):
    def score_batch(self, embeddings: Tensor) -> dict[str, Tensor]:
        return {"mean": super().score_batch(embeddings)["mean"] + torch.arange(len(embeddings))[:, None]}


class Forgetting(Sound):
    forgets = True

    def learn(self, session: Session, generator: torch.Generator) -> None:
        for clips in session.classes:  # the noise of a class is the same without the others
            super().learn(replace(session, classes=(clips,)), torch.Generator().manual_seed(clips.label))

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        self.means = torch.cat([self.means[:column], self.means[column + 1 :]])
        self.classes.remove(clips.label)


class LeavesATrace(Forgetting):
    def forget(self, clips: ClassClips) -> None:
        super().forget(clips)
        self.means = self.means + 0.1


class CountsNothing(Sound):
    def parameter_counts(self) -> tuple[int, int]:
        return 0, 0


class RequestsTooMuch(Sound):
    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [*super().requests(positions), self.features.inputs_request(positions)]


BROKEN: dict[str, tuple[type[Learner], str]] = {
    "declaration": (NoSummary, "summary: '', expected one line of text"),
    "settings": (Unbounded, "epochs: no bounds, -1 is accepted; use Field(..., gt=0)"),
    "scores": (OneHeadLess, "heads mean, expected mean, other"),
    "needs": (NeedsMore, "scores of head mean are not finite after session 0"),
    "seed": (HiddenSeed, "scores of head mean differ by "),
    "generators": (GlobalGenerator, "the global generator of torch was used"),
    "state": (NotInState, "scores of head mean differ by "),
    "resuming": (LearnsFromAttributes, "session 1: scores of head mean differ by "),
    "later sessions": (ChangesItsState, "part means of the state after session 0 changed in the next one: copy what"),
    "phases": (ReadsTheOtherPhase, "the base session reads a setting whose name starts with incremental_: scores of"),
    "query clips": (LearnsFromQueries, "part means of the state is another with other query clips"),
    "independence": (ScalesByTheBatch, "clip by clip scores of head mean differ by "),
    "order": (DependsOnTheOrder, "in another order scores of head mean differ by "),
    "forgetting": (LeavesATrace, "scores of head mean differ by "),
    "parameter counts": (CountsNothing, "0 stored and 0 used to score"),
    "requests": (RequestsTooMuch, "arrays that learning and scoring do not read"),
}


@pytest.fixture
def subject_of(tmp_path: Path) -> Callable[[type[Learner]], Subject]:
    backbone = load_backbone(BackboneSpec("random-tiny"), ClipFormat(SAMPLE_RATE, NUM_SAMPLES))

    def make(method: type[Learner]) -> Subject:
        return Subject(method, quick_settings(method), backbone, backbone.frontend, ArrayStore(tmp_path))

    return make


@pytest.mark.parametrize("method", [Sound, Forgetting, Transductive, find_method("simplecil"), find_method("slda")])
def test_sound_methods_pass(method: type[Learner], subject_of: Callable[[type[Learner]], Subject]) -> None:
    results = run_checks(subject_of(method))
    assert [(result.check, result.found) for result in results if result.status == "failed"] == []
    skipped = {result.check for result in results if result.status == "skipped"}
    does_not_apply = {"independence" if method.transductive else "order", *(() if method.forgets else {"forgetting"})}
    assert skipped == does_not_apply


def test_every_check_has_a_broken_method() -> None:
    assert tuple(BROKEN) == tuple(check.name for check in CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_broken_method_fails(check: Any, subject_of: Callable[[type[Learner]], Subject]) -> None:
    method, found = BROKEN[check.name]
    result = run_check(check, subject_of(method))
    assert (result.status, result.found[: len(found)]) == ("failed", found)


def test_an_exception_of_the_method_is_a_failure(subject_of: Callable[[type[Learner]], Subject]) -> None:
    class Raises(Sound):
        def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
            raise KeyError("mean")

    results = {result.check: result for result in run_checks(subject_of(Raises))}
    assert results["scores"].found == "KeyError: 'mean'" and results["settings"].status == "passed"


def test_settings_that_accept_unknown_keys(subject_of: Callable[[type[Learner]], Subject]) -> None:
    class Open(Settings):
        model_config = {"extra": "ignore"}

    class Accepts(Sound):
        Settings = Open

    (check,) = [check for check in CHECKS if check.name == "settings"]
    assert run_check(check, subject_of(Accepts)).found == "a setting that does not exist is accepted"
    assert issubclass(Open, BaseModel)
