"""tape-like: a step of the refinement by hand, what it is without one, and that order and groups do not matter."""

import math

import pytest
import torch

from tests.support.learning import sessions, trained
from trainables.learners.features import Features
from trainables.methods.simplecil import SimpleCIL, SimpleCILSettings
from trainables.methods.tape_like import TapeLike, TapeLikeSettings, assign, clip_weight, refine

CLIPS = ((0, 3, 4), (20, 21), (50, 51, 52, 53))


def test_a_step_by_hand() -> None:
    """Cosines 1 and 0 with temperature ln 3 assign 3/4 and 1/4 of a clip, diagonal ones a half each."""
    prototypes = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    clips = torch.tensor([[4.0, 0.0], [1.0, 1.0]])
    shares = assign(clips, prototypes, math.log(3))
    torch.testing.assert_close(shares, torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    refined = refine(prototypes, torch.tensor([5.0, 3.0]), clips, shares)
    # (5 (2, 0) + 3/4 (4, 0) + 1/2 (1, 1)) / (5 + 5/4) and (3 (0, 1) + 1/4 (4, 0) + 1/2 (1, 1)) / (3 + 3/4)
    torch.testing.assert_close(refined, torch.tensor([[13.5 / 6.25, 0.5 / 6.25], [1.5 / 3.75, 3.5 / 3.75]]))


def test_query_clips_together_count_as_much_as_the_support() -> None:
    assert clip_weight(1.0, 25, 100) == 0.25
    assert clip_weight(0.5, 25, 100) == 0.125
    assert clip_weight(0.5, 25, 10) == 0.5  # few query clips: none counts more than a support clip


@pytest.mark.parametrize("settings", [{"steps": 0}, {"query_weight": 0.0}])
def test_without_steps_or_weight_it_is_simplecil(settings: dict[str, float], features: Features) -> None:
    learner = trained(TapeLike(TapeLikeSettings.model_validate(settings), features), 3)
    plain = trained(SimpleCIL(SimpleCILSettings(), features), 3)
    for clips in CLIPS:
        expected = plain.score(clips)["prototype"]
        torch.testing.assert_close(learner.score(clips)["refined"], expected, atol=1e-5, rtol=1e-6)


def test_each_step_starts_from_the_support_and_the_last_assignment(features: Features) -> None:
    learner = trained(TapeLike(TapeLikeSettings(steps=2, temperature=20, query_weight=0.3), features), 2)
    clips = learner.embed(CLIPS[0])
    once = refine(learner.prototypes, learner.shots, clips, 0.3 * assign(clips, learner.prototypes, 20))
    twice = refine(learner.prototypes, learner.shots, clips, 0.3 * assign(clips, once, 20))
    scores = 16 * torch.nn.functional.normalize(clips, dim=1) @ torch.nn.functional.normalize(twice, dim=1).T
    torch.testing.assert_close(learner.score(CLIPS[0])["refined"], scores, atol=1e-5, rtol=1e-5)


def test_the_weight_follows_the_number_of_query_clips(features: Features) -> None:
    learner = trained(TapeLike(TapeLikeSettings(steps=1, query_weight=2.0), features), 1)  # 6 support clips
    clips = learner.embed(tuple(range(24)))
    shares = assign(clips, learner.prototypes, learner.settings.temperature)
    refined = refine(learner.prototypes, learner.shots, clips, 2 * 6 / 24 * shares)
    expected = 16 * torch.nn.functional.normalize(clips, dim=1) @ torch.nn.functional.normalize(refined, dim=1).T
    torch.testing.assert_close(learner.score_batch(clips)["refined"], expected, atol=1e-5, rtol=1e-5)


def test_groups_are_one_batch_whatever_their_order(features: Features) -> None:
    learner = trained(TapeLike(TapeLikeSettings(), features), 3)
    together = learner.score_batch(torch.cat([learner.embed(group) for group in CLIPS]))["refined"]
    for order in ((0, 1, 2), (2, 0, 1)):
        scored = learner.score_groups([CLIPS[index] for index in order])
        by_group = dict(zip(order, (scores["refined"] for scores in scored), strict=True))
        torch.testing.assert_close(torch.cat([by_group[index] for index in range(3)]), together, atol=1e-5, rtol=1e-5)
    alone = learner.score(CLIPS[0])["refined"]
    assert (alone - together[:3]).abs().max() > 1e-3  # the other clips count
    assert learner.score_groups([]) == []


def test_scoring_changes_nothing_that_is_stored(features: Features) -> None:
    learner = trained(TapeLike(TapeLikeSettings(), features), 2)
    before = learner.prototypes.clone()
    first = learner.score(CLIPS[0])["refined"]
    learner.score(CLIPS[2])
    assert torch.equal(learner.prototypes, before)
    assert torch.equal(learner.score(CLIPS[0])["refined"], first)


def test_the_shots_of_every_class_are_counted(features: Features) -> None:
    learner = trained(TapeLike(TapeLikeSettings(), features), 3)
    expected = [len(clips.support) for session in sessions(features) for clips in session.classes]
    assert learner.shots.tolist() == expected
