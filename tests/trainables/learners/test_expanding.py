"""EDE, DER and MEMO: each session's part starts as the previous one and trains on new support and exemplars."""

from typing import Any

import pytest
import torch

from tests.support.learning import generator, sessions
from trainables.learners.expanding import ExpandingLearner
from trainables.learners.features import Features
from trainables.methods.registry import find_method
from trainables.networks.weights import weights_digest

METHODS = ("ede", "der", "memo")


def learned(name: str, features: Features, epochs: tuple[int, ...], **settings: Any) -> ExpandingLearner:
    """A learner with one session for each number of epochs."""
    method = find_method(name)
    assert issubclass(method, ExpandingLearner)
    learner = method(method.Settings.model_validate({"base_epochs": 1, **settings}), features)
    for session, count in zip(sessions(features), epochs, strict=False):
        learner.settings = learner.settings.model_copy(update={"incremental_epochs": count})
        learner.learn(session, generator(session.index))
    return learner


@pytest.mark.parametrize("name", METHODS)
def test_a_part_starts_as_the_part_of_the_previous_session(name: str, features: Features) -> None:
    """Session 1 trains S_1 away from S_0; session 2, which does not train, has S_1 and not S_0."""
    first, second, third = (weights_digest(part) for part in learned(name, features, (1, 2, 0)).stack.parts)
    assert first != second == third


@pytest.mark.parametrize("name", METHODS)
def test_later_sessions_train_on_exemplars_too(name: str, features: Features) -> None:
    """The same session with other exemplars of the old classes gives another part."""
    digests = []
    for swapped in (False, True):
        learner = learned(name, features, (1,))
        if swapped:  # each exemplar under the label of the other
            learner.exemplars.groups = [tuple(reversed(learner.exemplars.groups[0]))]
        learner.settings = learner.settings.model_copy(update={"incremental_epochs": 1})
        learner.learn(sessions(features)[1], generator(1))
        digests.append(weights_digest(learner.stack.parts[1]))
    assert digests[0] != digests[1]


@pytest.mark.parametrize("name", METHODS)
def test_a_restored_learner_has_the_state_that_it_was_restored_from(name: str, features: Features) -> None:
    learner = learned(name, features, (1, 1))
    state = learner.state()
    restored = type(learner)(learner.settings, features)
    restored.load(state)
    again = restored.state()
    assert again.notes == state.notes
    assert again.settled == state.settled == {name for name in state.parts if name not in ("head", "means")}
    assert set(again.parts) == set(state.parts)
    for part, tensors in state.parts.items():
        assert all(torch.equal(value, again.parts[part][key]) for key, value in tensors.items())
    assert restored.parameter_counts() == learner.parameter_counts()
