"""What makes joint training: all support clips so far, from the start, whatever was learned before."""

import torch

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from trainables.learners.features import Features
from trainables.methods.joint import Joint, JointSettings
from trainables.methods.registry import check_protocol
from trainables.networks.backbone import weights_digest

PROTOCOL = Protocol(base=2, way=2, shot=3, exemplars=0)


def sessions(features: Features) -> tuple[Session, ...]:
    return make_sessions(PROTOCOL, features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, *taught: Session, epochs: int = 2, lr: float = 1e-3) -> Joint:
    learner = Joint(JointSettings(epochs=epochs, lr=lr), features)
    for session in taught:
        learner.learn(session, torch.Generator().manual_seed(3))
    return learner


def test_a_chain_ends_where_one_session_with_all_its_clips_does(features: Features) -> None:
    base, second, third = sessions(features)
    chain = learned(features, base, second, third)
    at_once = learned(features, Session(0, base.classes + second.classes + third.classes))
    assert chain._network is not None and at_once._network is not None
    assert weights_digest(chain._network) == weights_digest(at_once._network)
    assert chain.classes == at_once.classes


def test_p_is_where_every_session_begins(features: Features) -> None:
    base, second, _ = sessions(features)
    learner = learned(features, base, second, epochs=0)
    assert learner._network is not None
    assert weights_digest(learner._network.backbone) == weights_digest(features.backbone)
    trained = learned(features, base, second)
    assert trained._network is not None
    assert weights_digest(trained._network.backbone) != weights_digest(features.backbone)


def test_it_remembers_all_support_clips_and_no_protocol_forbids_it(features: Features) -> None:
    base, second, _ = sessions(features)
    check_protocol(Joint, JointSettings(), PROTOCOL, sessions(features))
    notes = learned(features, base, second, epochs=0).state().notes
    assert notes["groups"] == [base.support, second.support]
    assert notes["labels"] == [*base.support_labels, *second.support_labels]


def test_training_fits_the_support_of_all_sessions(features: Features) -> None:
    base, second, _ = sessions(features)
    learner = learned(features, base, second, epochs=40, lr=0.02)
    for session in (base, second):
        columns = [learner.classes.index(label) for label in session.support_labels]
        assert learner.score(session.support)["linear"].argmax(dim=1).tolist() == columns
