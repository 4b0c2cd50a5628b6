"""What makes RanPAC: adapters of the base session, a random projection, ridge regression over all sessions."""

from typing import Any

import pytest
import torch

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from datasets.utils.errors import EarshotError
from trainables.learners.features import Features
from trainables.methods.ranpac import RanPAC, RanPACSettings
from trainables.methods.registry import check_protocol
from trainables.networks.backbone import weights_digest

DIM = 96
PROTOCOL = Protocol(base=2, way=2, shot=3)


def sessions(features: Features, protocol: Protocol = PROTOCOL) -> tuple[Session, ...]:
    return make_sessions(protocol, features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, count: int, **settings: Any) -> RanPAC:
    quick = {"base_epochs": 2, "base_lr": 0.1, "bottleneck": 8, "projection": 50, **settings}
    learner = RanPAC(RanPACSettings.model_validate(quick), features)
    for session in sessions(features)[:count]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


def random_features(learner: RanPAC, positions: tuple[int, ...]) -> torch.Tensor:
    """phi(x) = ReLU(e(x) B), without the parts of the method."""
    assert learner._adapted is not None
    with torch.inference_mode():
        embedded = learner._adapted.embed(learner.features.inputs(positions)[:])
        return (embedded @ learner._projection).clamp_min(0).double()


def test_published_defaults() -> None:
    settings = RanPACSettings()
    assert (settings.bottleneck, settings.projection) == (64, 10_000)
    schedule = settings.base_schedule()
    assert (schedule.epochs, schedule.batch_size, schedule.weight_decay, schedule.optimiser) == (20, 48, 5e-4, "sgd")
    assert [schedule.lr_after(epoch) for epoch in (0, 10, 20)] == pytest.approx([0.01, 0.005, 0.0])


@pytest.mark.parametrize("projection", [50, 5])  # more random features than clips, and fewer
def test_scores_are_the_ridge_regression_of_all_support(features: Features, projection: int) -> None:
    """The closed form with an explicit Gram matrix, from the clips of all sessions at once."""
    learner = learned(features, 3, projection=projection)
    support = [clip for session in sessions(features) for clip in session.support]
    labels = [label for session in sessions(features) for label in session.support_labels]
    phi = random_features(learner, tuple(support))
    targets = torch.zeros(len(support), 6, dtype=torch.float64)
    for row, label in enumerate(labels):
        targets[row, learner.classes.index(label)] = 1
    for penalty in (1e-2, 10.0):
        gram = phi.T @ phi + penalty * torch.eye(projection, dtype=torch.float64)
        expected = torch.linalg.solve(gram, phi.T @ targets)
        torch.testing.assert_close(phi @ learner._ridge.solution(penalty, 6), phi @ expected, atol=1e-4, rtol=1e-4)
    query = sessions(features)[1].classes[0].query
    expected = (random_features(learner, query) @ learner._ridge.weights).float()
    torch.testing.assert_close(learner.score(query)["ridge"], expected, atol=1e-3, rtol=1e-3)


def test_the_projection_is_drawn_once_and_standard_normal(features: Features) -> None:
    learner = learned(features, 1, projection=2000)
    drawn = learner._projection.clone()
    assert drawn.shape == (DIM, 2000)
    assert drawn.mean().item() == pytest.approx(0, abs=0.01)
    assert drawn.std().item() == pytest.approx(1, abs=0.01)
    learner.learn(sessions(features)[1], torch.Generator().manual_seed(1))
    assert torch.equal(learner._projection, drawn)


def test_only_the_base_session_trains_and_only_adapters(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1)
    assert learner._adapted is not None
    after_base, digest = weights_digest(learner._adapted), learner._adapted_digest
    assert all((adapter.up.weight != 0).any() for adapter in learner._adapted.adapters)
    learner.learn(sessions(features)[1], torch.Generator().manual_seed(1))
    assert weights_digest(learner._adapted) == after_base
    assert learner._adapted_digest == digest
    assert weights_digest(features.backbone) == pretrained


def test_what_is_stored(features: Features) -> None:
    """Adapters, projection and statistics; what does not change from session to session in parts of its own."""
    learner = learned(features, 2)
    before = learner.state()
    assert set(before.notes) == {"classes", "adapted_digest"}  # no clips
    learner.learn(sessions(features)[2], torch.Generator().manual_seed(2))
    after = learner.state()
    for part in ("adapters", "projection", "ridge-0", "ridge-1"):
        assert all(torch.equal(value, after.parts[part][key]) for key, value in before.parts[part].items())
    whole = sum(p.numel() for p in features.backbone.parameters())
    adapters = len(features.backbone.ast.layers) * (2 * 8 * DIM + 8 + DIM)
    used = whole + adapters + DIM * 50 + 50 * 6
    statistics = 18 * 50 + 6 * (2 + 4 + 6)  # a clip's row, and its target among the classes seen then
    assert learner.parameters() == (used + statistics, used)


def test_the_state_never_outgrows_the_gram_matrix(features: Features) -> None:
    learner = learned(features, 3, projection=5)
    assert sum(len(rows) for rows, _ in learner._ridge.chunks) == 5


def test_two_shots_at_least(features: Features) -> None:
    protocol = Protocol(base=2, way=2, shot=1)
    with pytest.raises(EarshotError, match=r"one to fit, one to choose lambda on.*gives 1; give it --shot 2"):
        check_protocol(RanPAC, RanPACSettings(), protocol, sessions(features, protocol))
    enough = Protocol(base=2, way=2, shot=2, exemplars=0)
    check_protocol(RanPAC, RanPACSettings(), enough, sessions(features, enough))
