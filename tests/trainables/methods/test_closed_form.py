"""What all methods over `learners/analytic` promise: they forget exactly, and degenerate support is no error."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from datasets.benchmark.protocol import ClassClips, Protocol, Session
from datasets.utils.errors import EarshotError
from tests.support.learning import generator, sessions
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method

METHODS = ("acil", "anacp", "ds-al", "fecam", "gkeal", "klda", "slda")
FORGETTING = tuple(name for name in METHODS if name != "ds-al")
QUERIES = (0, 7, 20, 30, 44, 55)


def make(name: str, features: Features, **settings: Any) -> Learner:
    method = find_method(name)
    wide = {"projection": 300} if "projection" in method.Settings.model_fields else {}
    return method(method.Settings.model_validate({**wide, **settings}), features)


def learned(name: str, chain: tuple[Session, ...], features: Features, **settings: Any) -> Learner:
    learner = make(name, features, **settings)
    for session in chain:
        learner.learn(session, generator(session.index))
    return learner


def scores(learner: Learner, positions: tuple[int, ...] = QUERIES) -> torch.Tensor:
    (values,) = learner.score(positions).values()
    return values


def without(session: Session, left: ClassClips) -> Session:
    return replace(session, classes=tuple(clips for clips in session.classes if clips != left))


@pytest.mark.parametrize(("name", "settings"), [*((name, {}) for name in FORGETTING), ("gkeal", {"centres": "base"})])
def test_a_forgotten_class_leaves_nothing_and_may_come_back(
    name: str, settings: dict[str, Any], features: Features
) -> None:
    """As a chain that never had the class; then as a chain that had it last. The state says the same."""
    base, second, third = sessions(features)
    left = second.classes[0]
    never = learned(name, (base, without(second, left), third), features, **settings)
    learner = learned(name, (base, second, third), features, **settings)
    assert learner.forgets
    learner.forget(left)
    assert learner.classes == never.classes
    torch.testing.assert_close(scores(learner), scores(never), atol=1e-5, rtol=1e-4)
    restored = make(name, features, **settings)
    restored.load(learner.state())
    assert torch.equal(scores(restored), scores(learner))

    again = Session(3, (left,))
    for each in (learner, never, restored):
        each.learn(again, generator(3))
        assert each.classes[-1] == left.label
    torch.testing.assert_close(scores(learner), scores(never), atol=1e-5, rtol=1e-4)
    assert torch.equal(scores(restored), scores(learner))


@pytest.mark.parametrize("name", FORGETTING)
def test_a_base_class_is_forgotten_too(name: str, features: Features) -> None:
    """What the base session fixes (random features, the width of a kernel) stays, so the seeds agree, not the draws."""
    base, second, _ = sessions(features)
    learner = learned(name, (base, second), features)
    learner.forget(base.classes[0])
    assert learner.classes == [base.classes[1].label, *second.labels]
    predicted = scores(learner, base.classes[0].query).argmax(dim=1)
    assert scores(learner).shape == (len(QUERIES), 3) and int(predicted.max()) <= 2


@pytest.mark.parametrize("name", ["acil", "anacp"])
def test_a_base_class_of_one_shot_leaves_nothing(name: str, features: Features) -> None:
    """No clip can be left out, so the lambda of the base session would stay if it did not follow the data."""
    base, second, _ = sessions(features, Protocol(base=2, way=2, shot=1))
    learner, never = (learned(name, (each, second), features) for each in (base, without(base, base.classes[0])))
    learner.forget(base.classes[0])
    torch.testing.assert_close(scores(learner), scores(never), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["ds-al", "finetune", "icarl"])
def test_a_method_that_cannot_forget_says_so(name: str, features: Features) -> None:
    learner = make(name, features)
    assert not learner.forgets
    with pytest.raises(EarshotError, match=f"method {name}: cannot forget a class"):
        learner.forget(sessions(features)[0].classes[0])


@pytest.mark.parametrize("name", METHODS)
def test_one_shot(name: str, features: Features) -> None:
    learner = learned(name, sessions(features, Protocol(base=2, way=2, shot=1)), features)
    support = tuple(clip for session in sessions(features, Protocol(base=2, way=2, shot=1)) for clip in session.support)
    values = scores(learner, support)
    assert torch.isfinite(values).all()
    assert values.argmax(dim=1).tolist() == list(range(6))  # its only clip is of its class


@pytest.mark.parametrize("name", METHODS)
def test_identical_clips(name: str, features: Features) -> None:
    """Three times the same clip in every class, and two classes with the same clip."""
    twins = [
        replace(session, classes=tuple(replace(c, support=(session.support[0],) * 3) for c in session.classes))
        for session in sessions(features)
    ]
    chain = (*twins[:2], sessions(features)[2])
    values = scores(learned(name, chain, features))
    assert values.shape == (len(QUERIES), 6)
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("constant", ["all", "half"])
def test_constant_embeddings(name: str, constant: str, features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = features.pooled

    def flattened(positions: tuple[int, ...]) -> torch.Tensor:
        values = pooled(positions).clone()
        values[:, : values.shape[1] if constant == "all" else values.shape[1] // 2] = 1.0
        return values

    monkeypatch.setattr(features, "pooled", flattened)
    assert torch.isfinite(scores(learned(name, sessions(features), features))).all()


DEGENERATE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "zeros": torch.zeros_like,
    "one feature, repeated": lambda rows: rows[:, :1].repeat(1, rows.shape[1]),
    "tiny": lambda rows: 1e-30 * rows,
    "huge": lambda rows: 1e8 * rows,
    "far from zero": lambda rows: 1e-4 * rows + 1e3,
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("shot", [1, 3])
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_embeddings(
    case: str, shot: int, name: str, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer clips than dimensions, of low rank and at any scale: scores are finite, and the same once more, down to the
    last class that is left."""
    pooled = features.pooled
    monkeypatch.setattr(features, "pooled", lambda positions: DEGENERATE[case](pooled(positions)))
    chain = sessions(features, Protocol(base=2, way=2, shot=shot))
    learner, again = (learned(name, chain, features) for _ in range(2))
    leaving = [clips for session in chain for clips in session.classes][:-1] if learner.forgets else []
    for left in (None, *leaving):
        if left is not None:
            learner.forget(left)
            again.forget(left)
        values = scores(learner)
        assert values.shape == (len(QUERIES), len(learner.classes))
        assert torch.isfinite(values).all()
        assert torch.equal(values, scores(again))


@pytest.mark.parametrize("name", METHODS)
def test_groups_are_scored_together(name: str, features: Features) -> None:
    learner = learned(name, sessions(features), features)
    groups = [(0, 7), (20,), (30, 44, 55)]
    together = learner.score_groups(groups)
    for group, values in zip(groups, together, strict=True):
        (own,), (expected,) = values.values(), learner.score(group).values()
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)
    assert learner.score_groups([]) == []


@pytest.mark.parametrize("name", METHODS)
def test_the_random_features_are_those_of_the_seed(name: str, features: Features) -> None:
    chain = sessions(features)
    once, twice = (scores(learned(name, chain, features)) for _ in range(2))
    assert torch.equal(once, twice)
