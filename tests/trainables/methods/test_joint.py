"""Joint training: all support clips so far, always from P, independent of earlier training."""

from datasets.benchmark.protocol import Protocol, Session
from tests.support.learning import generator, sessions
from trainables.learners.features import Features
from trainables.methods.joint import Joint, JointSettings
from trainables.methods.registry import check_protocol
from trainables.networks.weights import weights_digest

PROTOCOL = Protocol(base=2, way=2, shot=3, exemplars=0)


def learned(features: Features, *learned_sessions: Session, epochs: int = 2, lr: float = 1e-3) -> Joint:
    learner = Joint(JointSettings(epochs=epochs, lr=lr), features)
    for session in learned_sessions:
        learner.learn(session, generator(3))
    return learner


def test_a_chain_gives_the_same_network_as_one_session_with_all_its_clips(features: Features) -> None:
    base, second, third = sessions(features)
    chain = learned(features, base, second, third)
    at_once = learned(features, Session(0, base.classes + second.classes + third.classes))
    assert weights_digest(chain.network) == weights_digest(at_once.network)
    assert chain.classes == at_once.classes


def test_every_session_starts_from_p(features: Features) -> None:
    base, second, _ = sessions(features)
    learner = learned(features, base, second, epochs=0)
    assert weights_digest(learner.network.backbone) == weights_digest(features.backbone)
    trained = learned(features, base, second)
    assert weights_digest(trained.network.backbone) != weights_digest(features.backbone)


def test_all_support_clips_are_stored_under_any_protocol(features: Features) -> None:
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
