"""RanPAC: adapters of the base session, a random projection, ridge regression over all sessions."""

from typing import Any

import pytest
import torch

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.analytic.calibration import similarities
from trainables.learners.analytic.ridge import PENALTIES
from trainables.learners.features import Features
from trainables.methods.ranpac import RanPAC, RanPACSettings
from trainables.methods.registry import check_protocol
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> RanPAC:
    quick = {"base_epochs": 2, "base_lr": 0.1, "bottleneck": 8, "projection": 50, **settings}
    return trained(RanPAC(RanPACSettings.model_validate(quick), features), count)


def random_features(learner: RanPAC, positions: tuple[int, ...]) -> torch.Tensor:
    """phi(x) = ReLU(e(x) B), computed without the code of the method."""
    with torch.inference_mode():
        network = learner.adapted or learner.features.backbone
        embedded = network.embed(learner.features.inputs(positions)[:])
        return (embedded @ learner.projection).clamp_min(0).double()


def test_published_defaults() -> None:
    settings = RanPACSettings()
    assert (settings.bottleneck, settings.projection) == (64, 10_000)
    schedule = settings.base_schedule()
    assert (schedule.epochs, schedule.batch_size, schedule.weight_decay, schedule.optimiser) == (20, 48, 5e-4, "sgd")
    assert [schedule.lr_after(epoch) for epoch in (0, 10, 20)] == pytest.approx([0.01, 0.005, 0.0])


@pytest.mark.parametrize(
    ("projection", "tuning"),
    [(50, "adapter"), (5, "adapter"), (50, "none")],  # more random features than clips, and fewer; no adapters
)
def test_scores_are_the_ridge_regression_of_all_support(features: Features, projection: int, tuning: str) -> None:
    """The closed form with an explicit Gram matrix, from the clips of all sessions at once."""
    learner = learned(features, 3, projection=projection, tuning=tuning)
    assert (learner.adapted is None) == (tuning == "none")
    support = [clip for session in sessions(features) for clip in session.support]
    labels = [label for session in sessions(features) for label in session.support_labels]
    phi = random_features(learner, tuple(support))
    targets = torch.zeros(len(support), 6, dtype=torch.float64)
    for row, label in enumerate(labels):
        targets[row, learner.classes.index(label)] = 1
    for penalty in (1e-2, 10.0):
        gram = phi.T @ phi + penalty * torch.eye(projection, dtype=torch.float64)
        expected = torch.linalg.solve(gram, phi.T @ targets)
        torch.testing.assert_close(phi @ learner.ridge.solution(penalty, 6), phi @ expected, atol=1e-4, rtol=1e-4)
    query = sessions(features)[1].classes[0].query
    expected = (random_features(learner, query) @ learner.ridge.weights).float()
    torch.testing.assert_close(learner.score(query)["ridge"], expected, atol=1e-3, rtol=1e-3)


def test_without_adapters_it_needs_the_embedding_only() -> None:
    assert RanPAC.capabilities(RanPACSettings.model_validate({"tuning": "none"})) == {"embed"}
    assert RanPAC.capabilities(RanPACSettings()) == {"tune", "tokens"}
    assert "tuning" not in RanPACSettings().read_by(0)  # addresses of stages from before the setting


def test_the_projection_is_drawn_once_and_standard_normal(features: Features) -> None:
    learner = learned(features, 1, projection=2000)
    drawn = learner.projection.clone()
    assert drawn.shape == (DIM, 2000)
    assert drawn.mean().item() == pytest.approx(0, abs=0.01)
    assert drawn.std().item() == pytest.approx(1, abs=0.01)
    learner.learn(sessions(features)[1], generator(1))
    assert torch.equal(learner.projection, drawn)


def test_only_the_base_session_trains_and_only_the_adapters(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1)
    after_base, digest = weights_digest(learner.adapted), learner.state().notes["adapted_digest"]
    assert all((adapter.up.weight != 0).any() for adapter in learner.adapted.adapters)
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(learner.adapted) == after_base
    assert learner.state().notes["adapted_digest"] == digest
    assert weights_digest(features.backbone) == pretrained


def test_adapters_projection_and_statistics_are_stored_and_no_clips(features: Features) -> None:
    """Tensors that do not change between sessions are separate parts of the state."""
    learner = learned(features, 2)
    before = learner.state()
    assert set(before.notes) == {"classes", "adapted_digest"}  # no clips
    learner.learn(sessions(features)[2], generator(2))
    after = learner.state()
    for part in ("adapters", "projection", "ridge-0", "ridge-1"):
        assert all(torch.equal(value, after.parts[part][key]) for key, value in before.parts[part].items())
    whole = size(features.backbone)
    adapters = len(features.backbone.ast.layers) * (2 * 8 * DIM + 8 + DIM)
    used = whole + adapters + DIM * 50 + 50 * 6
    statistics = 18 * 50 + 6 * (2 + 4 + 6)  # a clip's row, and its target among the classes seen until then
    assert learner.parameter_counts() == (used + statistics, used)


def test_the_state_is_never_larger_than_the_gram_matrix(features: Features) -> None:
    learner = learned(features, 3, projection=5, choose="held-out")
    assert sum(len(rows) for rows, _ in learner.ridge.chunks) == 5


def test_held_out_clips_need_two_shots_and_leave_one_out_one(features: Features) -> None:
    protocol = Protocol(base=2, way=2, shot=1)
    held_out = RanPACSettings(choose="held-out")
    with pytest.raises(EarshotError, match=r"one to fit, one to choose lambda on.*has 1; use --shot 2"):
        check_protocol(RanPAC, held_out, protocol, sessions(features, protocol))
    check_protocol(RanPAC, RanPACSettings(), protocol, sessions(features, protocol))
    enough = Protocol(base=2, way=2, shot=2, exemplars=0)
    check_protocol(RanPAC, held_out, enough, sessions(features, enough))


def test_how_lambda_is_chosen(features: Features) -> None:
    """The same statistics in both ways, but for the rounding of embeddings in other batches: only lambda differs."""
    by_leave_one_out, on_held_out = learned(features, 3), learned(features, 3, choose="held-out")
    assert by_leave_one_out.ridge.penalty == pytest.approx(by_leave_one_out.ridge.leave_one_out(6))
    assert on_held_out.ridge.penalty in PENALTIES
    one, other = (learner.ridge.solution(1.0, 6) for learner in (by_leave_one_out, on_held_out))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_calibrated_classes_are_draws_near_similar_base_classes(features: Features) -> None:
    """As many draws as set take the place of the clips; lambda is that of the base session."""
    protocol = Protocol(base=2, base_shot=6, way=2, shot=3)
    settings = {"base_epochs": 0, "projection": 50, "calibrate": True, "incremental_draws": 4000}
    learner = RanPAC(RanPACSettings.model_validate(settings), features)
    base, second, _ = sessions(features, protocol)
    learner.learn(base, generator(0))
    penalty = learner.ridge.penalty
    rows = learner.embeddings(second.support)
    draws, columns = learner.calibrated_draws(rows, torch.tensor([2, 2, 2, 3, 3, 3]), generator(1))
    assert torch.bincount(columns).tolist() == [0, 0, 4000, 4000]
    own = rows[:][:3].double()
    weights = similarities(own.mean(dim=0), learner.moments.means)
    expected = 0.9 * own.mean(dim=0) + 0.1 * weights @ learner.moments.means
    deviation = draws[:4000].double().std(dim=0)
    assert ((draws[:4000].double().mean(dim=0) - expected).abs() <= 5 * deviation / 4000**0.5 + 1e-6).all()
    variances = 0.5 * (
        own.var(dim=0)
        + weights @ torch.stack([learner.embeddings(clips.support)[:].double().var(dim=0) for clips in base.classes])
    )
    torch.testing.assert_close(deviation.square(), variances, rtol=0.15, atol=1e-8)
    learner.learn(second, generator(1))
    assert learner.ridge.penalty == penalty
    resumed = RanPAC(learner.settings, features)
    resumed.load(learner.state())
    assert torch.equal(resumed.score((1, 20))["ridge"], learner.score((1, 20))["ridge"])
    with pytest.raises(EarshotError, match=r"needs at least 20 support clips of a base class \(calibrate mixes in"):
        check_protocol(RanPAC, learner.settings, protocol, sessions(features, protocol))
