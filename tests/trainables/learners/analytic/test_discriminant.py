"""Discriminant analysis against scikit-learn and against fits without the clip; moments and what they forget."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from trainables.learners.analytic import moments as moments_file
from trainables.learners.analytic.discriminant import SHRINKAGES, UNCHOSEN, Discriminant, shrunk
from trainables.learners.analytic.moments import Moments
from trainables.learners.analytic.spectrum import Spectrum


def classes(dim: int, shots: tuple[int, ...] = (5, 5, 5), seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    stretch = torch.linspace(0.1, 2, dim, dtype=torch.float64)
    return [
        torch.randn(dim, generator=generator, dtype=torch.float64)
        + stretch * torch.randn(shot, dim, generator=generator, dtype=torch.float64)
        for shot in shots
    ]


def fitted(clips: list[Tensor], shrinkage: float | None, target: str = "variance") -> Discriminant:
    model = Discriminant(clips[0].shape[1], "cpu")
    for label, own in enumerate(clips):
        model.moments.add(label, own)
    model.solve(shrinkage, target)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("dim", [3, 30])  # more clips than dimensions, and fewer
@pytest.mark.parametrize("shrinkage", [0.1, 0.8, 1.0])
def test_scores_are_those_of_scikit_learn(dim: int, shrinkage: float) -> None:
    clips = classes(dim)
    labels = np.repeat(np.arange(3), 5)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[1 / 3] * 3)
    reference.fit(torch.cat(clips), labels)
    query = torch.cat(classes(dim, seed=1))
    expected = query.numpy() @ reference.coef_.T + reference.intercept_ - np.log(1 / 3)
    np.testing.assert_allclose(fitted(clips, shrinkage).scores(query).numpy(), expected, atol=1e-8)


def test_the_published_form_adds_to_the_identity() -> None:
    clips = classes(3)
    scatter = sum((own - own.mean(0)).T @ (own - own.mean(0)) for own in clips)
    sigma = (1 - 1e-4) * scatter / 15 + 1e-4 * torch.eye(3, dtype=torch.float64)
    means = torch.stack([own.mean(0) for own in clips])
    torch.testing.assert_close(fitted(clips, 1e-4, "identity").weights, torch.linalg.solve(sigma, means.T))


@pytest.mark.parametrize("dim", [3, 30])
def test_the_shrinkage_has_the_highest_posterior_of_fits_without_the_clip(dim: int) -> None:
    """Class mean and scatter are recomputed without each clip; the scale of the covariance stays."""
    clips = classes(dim, (5, 2, 4))
    whole = fitted(clips, 0.5).moments
    spectrum = Spectrum.of(whole.factor()[0])
    losses = []
    for shrinkage in SHRINKAGES:
        covariance = shrunk(whole, spectrum, shrinkage, "variance")
        loss = 0.0
        for label, own in enumerate(clips):
            for left_out in range(len(own)):
                others = [other if i != label else np.delete(other, left_out, 0) for i, other in enumerate(clips)]
                scatter = sum((one - one.mean(0)).T @ (one - one.mean(0)) for one in others)
                sigma = covariance.slope * scatter + covariance.floor * torch.eye(dim, dtype=torch.float64)
                difference = own[left_out] - torch.stack([one.mean(0) for one in others])
                scores = -(difference @ torch.linalg.inv(sigma) * difference).sum(1) / 2
                loss -= float(scores.log_softmax(0)[label])
        losses.append(loss)
    assert fitted(clips, None).shrinkage == SHRINKAGES[int(np.argmin(losses))]


def test_powers_of_the_covariance() -> None:
    clips = classes(8)
    moments = fitted(clips, 0.3).moments
    covariance = shrunk(moments, Spectrum.of(moments.factor()[0]), 0.3, "variance")
    identity = torch.eye(8, dtype=torch.float64)
    whitening = covariance.power(identity, -0.5)
    torch.testing.assert_close(whitening @ whitening, covariance.solve(identity))
    torch.testing.assert_close(covariance.power(whitening, 0.5), identity)


@pytest.mark.parametrize("clips", [classes(6, (1, 1, 1)), [own[:1].expand(4, -1) for own in classes(6)]])
def test_without_scatter_it_is_the_nearest_mean(clips: list[Tensor]) -> None:
    """One shot; identical clips."""
    model = fitted(clips, None)
    assert model.shrinkage == UNCHOSEN
    query = torch.cat(classes(6, seed=1))
    means = torch.stack([own.mean(0) for own in clips])
    assert torch.equal(model.scores(query).argmax(1), torch.cdist(query, means).argmin(1))


def test_constant_features_and_one_class_more_than_one_shot() -> None:
    clips = [torch.cat([own, torch.ones(len(own), 2, dtype=torch.float64)], dim=1) for own in classes(6, (5, 1, 3))]
    model = fitted(clips, None)
    assert torch.isfinite(model.scores(torch.cat(clips))).all()
    assert model.scores(clips[1]).argmax() == 1


@pytest.mark.parametrize("limit", [4096, 10])  # rows of single clips, and rows that have been replaced
def test_a_forgotten_class_leaves_nothing(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments_file, "CLIPS", limit)
    clips = classes(4, (6, 7, 5))
    query = torch.cat(classes(4, seed=1))
    model = fitted(clips, 0.3)
    model.moments.remove(1, lambda: clips[1])
    model.solve(0.3, "variance")
    expected = fitted([clips[0], clips[2]], 0.3)
    torch.testing.assert_close(model.scores(query), expected.scores(query))
    model.moments.add(1, clips[1])  # it comes back, as the last class
    model.solve(0.3, "variance")
    torch.testing.assert_close(model.scores(query), fitted([clips[0], clips[2], clips[1]], 0.3).scores(query))


@pytest.mark.parametrize("together", [True, False])
def test_moments_are_those_of_all_clips_and_survive_a_state(together: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more clips than the limit, rows are replaced, and their products stay the same."""
    monkeypatch.setattr(moments_file, "CLIPS", 10)
    clips = classes(4, (9, 2, 30))
    moments = Moments(4, "cpu", together=together)
    for label, own in enumerate(clips):
        moments.add(label, own)
    restored = Moments(4, "cpu", together=together)
    restored.load(moments.parts("name"), "name")
    for one in (moments, restored):
        assert one.counts.tolist() == [9, 2, 30]
        rows, _ = one.factor()
        scatters = [(own - own.mean(0)).T @ (own - own.mean(0)) for own in clips]
        torch.testing.assert_close(rows.T @ rows, torch.stack(scatters).sum(0))
        assert len(rows) == (4 if together else 4 + 2 + 4)
        if not together:
            torch.testing.assert_close(one.factor_of(2).T @ one.factor_of(2), scatters[2])
