"""MFCC nearest class mean: standardised by the support of all sessions so far."""

import torch

from tests.support.learning import generator, sessions, trained
from trainables.learners.features import Features
from trainables.methods.mfcc_ncm import MfccNcm, MfccNcmSettings, mfcc_statistics
from trainables.networks.heads import class_means


def described(features: Features, positions: tuple[int, ...]) -> torch.Tensor:
    return mfcc_statistics(features.waves(positions), sample_rate=features.clips.sample_rate, count=20).double()


def test_scores_use_the_statistics_of_every_support_clip_so_far(features: Features) -> None:
    """score = -|| (x - mean_c) / s ||, s the deviation over the support of all sessions so far."""
    clips = (0, 7, 30, 44)
    for count in (1, 2, 3):
        seen = sessions(features)[:count]
        support = tuple(position for session in seen for position in session.support)
        labels = tuple(label for session in seen for label in session.support_labels)
        vectors = described(features, support)
        means = class_means(vectors, labels, tuple(dict.fromkeys(labels)))
        differences = (described(features, clips)[:, None] - means) / vectors.std(dim=0)
        scores = trained(MfccNcm(MfccNcmSettings(), features), count).score(clips)["nearest-mean"]
        torch.testing.assert_close(scores.double(), -differences.norm(dim=2), rtol=1e-4, atol=1e-4)


def test_the_order_of_the_sessions_does_not_change_the_scores(features: Features) -> None:
    forward, backward = (MfccNcm(MfccNcmSettings(), features) for _ in range(2))
    for session in sessions(features):
        forward.learn(session, generator(0))
    for session in reversed(sessions(features)):
        backward.learn(session, generator(0))
    clips = (0, 7, 30, 44)
    columns = [backward.classes.index(label) for label in forward.classes]
    expected = forward.score(clips)["nearest-mean"]
    torch.testing.assert_close(backward.score(clips)["nearest-mean"][:, columns], expected, rtol=1e-6, atol=1e-6)


def test_a_restored_learner_goes_on_alike(features: Features) -> None:
    learner, restored = trained(MfccNcm(MfccNcmSettings(), features), 2), MfccNcm(MfccNcmSettings(), features)
    restored.load(learner.state())
    last = sessions(features)[2]
    for one in (learner, restored):
        one.learn(last, generator(2))
    assert torch.equal(learner.score((1, 40))["nearest-mean"], restored.score((1, 40))["nearest-mean"])
    used, of_a_class = 6 * 40 + 2 * 40 + 1, 2 * 40 + 1  # the latter are kept to forget a class
    assert learner.parameter_counts() == (used + 6 * of_a_class, used)
