"""FeCAM on the embeddings of clips, and calibrated by base classes."""

import pytest
import torch
from torch import nn

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from tests.support.learning import sessions, trained
from trainables.learners.analytic import calibration
from trainables.learners.features import Features
from trainables.methods.fecam import FeCAM, FeCAMSettings
from trainables.methods.registry import check_protocol

QUERIES = (0, 7, 20, 30, 44, 55)
MANY = Protocol(base=2, base_shot=6, way=2, shot=3)


def test_scores_by_the_formulas(features: Features) -> None:
    """Covariance of the transformed features of a class, shrunk, as a correlation; normalised features."""
    learner = trained(FeCAM(FeCAMSettings(alpha=2.0, tukey=0.5), features), 2)

    def transformed(positions: tuple[int, ...]) -> torch.Tensor:
        values = features.pooled(positions).double()
        return values.sign() * values.abs().sqrt()

    query = nn.functional.normalize(transformed(QUERIES), dim=1)
    for column, clips in enumerate(c for session in sessions(features)[:2] for c in session.classes):
        own = transformed(clips.support)
        covariance = torch.cov(own.T)
        shrunk = covariance + 2.0 * covariance.diagonal().mean() * torch.eye(len(covariance))
        deviation = shrunk.diagonal().sqrt()
        difference = query - nn.functional.normalize(own.mean(dim=0), dim=0)
        inverse = torch.linalg.inv(shrunk / deviation[:, None] / deviation)
        expected = -(difference @ inverse * difference).sum(dim=1)
        torch.testing.assert_close(
            learner.score(QUERIES)["mahalanobis"][:, column], expected.float(), rtol=1e-4, atol=0
        )


def test_calibration_changes_later_classes_only(features: Features) -> None:
    plain = trained(FeCAM(FeCAMSettings(), features), 2, MANY).score(QUERIES)["mahalanobis"]
    mixed = trained(FeCAM(FeCAMSettings(calibrate=True), features), 2, MANY).score(QUERIES)["mahalanobis"]
    assert torch.equal(plain[:, :2], mixed[:, :2])
    assert (plain[:, 2:] != mixed[:, 2:]).all()


def test_calibration_needs_many_base_clips(features: Features) -> None:
    few = sessions(features, MANY)
    with pytest.raises(EarshotError, match=r"needs at least 20 support clips of a base class \(calibrate mixes in"):
        check_protocol(FeCAM, FeCAMSettings(calibrate=True), MANY, few)
    check_protocol(FeCAM, FeCAMSettings(), MANY, few)
    assert calibration.BASE_SHOTS == 20
