"""What EDE, DER and MEMO share: each session's part grows out of the one before, on new support and exemplars."""

from typing import Any

import pytest
import torch

from datasets.benchmark.protocol import Protocol, make_sessions
from trainables.learners import features as features_module
from trainables.learners.expanding import Expanding
from trainables.learners.features import Features
from trainables.methods.registry import find_method
from trainables.networks.backbone import weights_digest

METHODS = ("ede", "der", "memo")


def learned(name: str, features: Features, epochs: tuple[int, ...], **settings: Any) -> Expanding:
    """A learner with one session for each number of epochs."""
    method = find_method(name)
    sessions = make_sessions(Protocol(base=2, way=2, shot=3), features.clips.table, order_seed=0, support_seed=0)
    assert issubclass(method, Expanding)
    learner = method(method.Settings.model_validate({"base_epochs": 1, **settings}), features)
    for session, count in zip(sessions, epochs, strict=False):
        learner.settings = learner.settings.model_copy(update={"incremental_epochs": count})
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


@pytest.mark.parametrize("name", METHODS)
def test_a_part_starts_as_the_part_of_the_session_before(name: str, features: Features) -> None:
    """Session 1 trains S_1 away from S_0; session 2, which does not train, has S_1 and not S_0."""
    first, second, third = (weights_digest(part) for part in learned(name, features, (1, 2, 0))._parts)
    assert first != second == third


@pytest.mark.parametrize("name", METHODS)
def test_later_sessions_train_on_exemplars_too(name: str, features: Features) -> None:
    """The same session with other exemplars of the old classes gives another part."""
    parts = []
    for rehearsed in (True, False):
        learner = learned(name, features, (1,))
        if not rehearsed:
            learner._exemplars.groups = [tuple(reversed(learner._exemplars.groups[0]))]  # each under the other's label
        session = make_sessions(Protocol(base=2, way=2, shot=3), features.clips.table, order_seed=0, support_seed=0)[1]
        learner.settings = learner.settings.model_copy(update={"incremental_epochs": 1})
        learner.learn(session, torch.Generator().manual_seed(1))
        parts.append(weights_digest(learner._parts[1]))
    assert parts[0] != parts[1]


@pytest.mark.parametrize("name", ["ede", "memo"])
def test_how_token_maps_are_stored_is_in_the_address_of_what_reads_them(
    name: str, features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learned(name, features, (1,))
    half = learner._digests[0]
    monkeypatch.setattr(features_module, "TOKENS", torch.zeros(0).numpy().dtype.type)
    assert learned(name, features, (1,))._digests[0] != half
