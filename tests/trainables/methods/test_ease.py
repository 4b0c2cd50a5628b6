"""EASE: completed prototypes and weights of subspaces by hand, and what a chain stores."""

import math

import pytest
import torch

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from tests.support.learning import DIM, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.ease import EASE, EASESettings, complete, subspace_weights
from trainables.methods.registry import check_protocol

QUICK = EASESettings(bottleneck=4, base_epochs=2, incremental_epochs=2)


def test_old_prototypes_are_completed_by_hand() -> None:
    """In subspace 0, the old class (1, 0) has cosines 1 and 0 to the two new ones: shares e / (e + 1), 1 / (e + 1)."""
    old = torch.tensor([[[1.0, 0.0]]])
    new = torch.tensor([[[2.0, 0.0], [4.0, 0.0]], [[0.0, 3.0], [0.0, 8.0]]])
    completed = complete([old, new])
    share = math.e / (math.e + 1)
    assert completed.shape == (3, 2, 2)
    assert torch.equal(completed[1:], new) and torch.equal(completed[0, 0], old[0, 0])
    torch.testing.assert_close(completed[0, 1], torch.tensor([4 * share, 8 * (1 - share)]))


def test_a_later_session_completes_with_all_classes_since() -> None:
    """Subspace 1 of the first class takes in the class of session 2, too, that of session 1 only later ones."""
    first, second = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    third = torch.tensor([[[1.0, 0.0], [0.0, 4.0], [6.0, 0.0]]])
    completed = complete([first, second, third])
    torch.testing.assert_close(completed[0, 1], torch.tensor([0.0, 3.0]))  # equal cosines: the mean of 2 and 4
    torch.testing.assert_close(completed[:, 2], torch.tensor([[6.0, 0.0]] * 3))  # one class has clips there


def test_a_class_counts_its_own_subspace_most() -> None:
    weights = subspace_weights(torch.tensor([0, 1, 2]), 3, 0.1)
    torch.testing.assert_close(weights, torch.tensor([[1, 0.05, 0.05], [0.05, 1, 0.05], [0.05, 0.05, 1]]))
    assert torch.equal(subspace_weights(torch.tensor([0]), 1, 0.1), torch.ones(1, 1))


def test_adapters_are_all_that_is_trained_and_start_new(features: Features) -> None:
    before = {name: value.clone() for name, value in features.backbone.state_dict().items()}
    learner = trained(EASE(QUICK, features), 3)
    assert all(torch.equal(value, before[name]) for name, value in features.backbone.state_dict().items())
    assert [known.shape for known in learner.known] == [(2, 1, DIM), (2, 2, DIM), (2, 3, DIM)]
    first, second, third = (one.state_dict() for one in learner.subspaces)
    assert not any(torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))
    assert not any(torch.equal(second[name], third[name]) for name in first if name.endswith("weight"))
    stored, used = learner.parameter_counts()
    assert stored == used == size(features.backbone) + 3 * size(learner.subspaces[0]) + 2 * (1 + 2 + 3) * DIM


def test_without_training_and_alpha_it_is_a_frozen_embedding(features: Features) -> None:
    """New adapters change nothing: every subspace is P's, and every prototype is that of SimpleCIL."""
    learner = trained(EASE(EASESettings(base_epochs=0, incremental_epochs=0, incremental_alpha=0), features), 3)
    clips = sessions(features)[0].classes[0].query
    embeddings = torch.nn.functional.normalize(features.pooled(clips), dim=1)
    own = torch.cat([known[:, index] for index, known in enumerate(learner.known)])
    expected = 16 * embeddings @ torch.nn.functional.normalize(own, dim=1).T
    torch.testing.assert_close(learner.score(clips)["prototype"], expected, atol=1e-5, rtol=1e-5)


def test_completed_prototypes_count_by_alpha(features: Features) -> None:
    clips = sessions(features)[0].classes[0].query
    learners = [
        trained(EASE(QUICK.model_copy(update={"incremental_alpha": alpha}), features), 2) for alpha in (0.0, 0.1, 0.2)
    ]
    without, tenth, fifth = (learner.score(clips)["prototype"] for learner in learners)
    torch.testing.assert_close(fifth - without, 2 * (tenth - without), atol=1e-5, rtol=1e-4)
    assert (tenth - without).abs().max() > 0.1


@pytest.mark.parametrize("sessions_learned", [1, 2])
def test_a_loaded_state_completes_the_same_prototypes(features: Features, sessions_learned: int) -> None:
    learner = trained(EASE(QUICK, features), sessions_learned)
    loaded = EASE(QUICK, features)
    loaded.load(learner.state())
    torch.testing.assert_close(loaded.prototypes, learner.prototypes, atol=0, rtol=1e-6)


def test_a_session_with_one_new_class_is_rejected(features: Features) -> None:
    """Its adapters would not be trained, without a word."""
    protocol = Protocol(base=2, way=1, shot=3)
    with pytest.raises(EarshotError, match=r"method ease: needs at least 2 new classes a session \(the cross-entropy"):
        check_protocol(EASE, EASESettings(), protocol, sessions(features, protocol))
    check_protocol(EASE, EASESettings(), Protocol(base=2, way=2, shot=3), sessions(features))
