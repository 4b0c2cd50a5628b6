"""What makes APER: one network tuned in the base session, merged with P, prototypes."""

from typing import Any

import pytest
import torch
from torch import nn

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from trainables.learners.features import Features
from trainables.methods.aper import APER, APERSettings
from trainables.methods.simplecil import SimpleCIL, SimpleCILSettings
from trainables.networks.adapters import AdaptedBackbone
from trainables.networks.backbone import Backbone, weights_digest

DIM = 96
TUNINGS = pytest.mark.parametrize("tuning", ["finetune", "adapter"])


def sessions(features: Features) -> tuple[Session, ...]:
    return make_sessions(Protocol(base=2, way=2, shot=3), features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, count: int, **settings: Any) -> APER:
    learner = APER(APERSettings.model_validate({"base_epochs": 2, "base_lr": 0.1, **settings}), features)
    for session in sessions(features)[:count]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


def test_defaults_follow_the_tuning() -> None:
    def published(**settings: Any) -> tuple[int, int, float, float]:
        one = APERSettings.model_validate(settings)
        return one.batch_size, one.base_epochs, one.base_lr, one.base_weight_decay

    assert published() == (128, 6, 0.01, 0.05)
    assert published(tuning="adapter") == (48, 20, 0.01, 5e-4)
    assert published(tuning="adapter", base_epochs=3) == (48, 3, 0.01, 5e-4)


def test_the_learning_rate_follows_a_cosine_unless_milestones_are_given() -> None:
    schedule = APERSettings().base_schedule()
    assert [schedule.lr_after(epoch) for epoch in (0, 3, 6)] == pytest.approx([0.01, 0.005, 0.0])
    stepped = APERSettings(base_milestones=(2,)).base_schedule()
    assert [stepped.lr_after(epoch) for epoch in (0, 1, 2)] == pytest.approx([0.01, 0.01, 0.001])


@TUNINGS
def test_only_the_base_session_tunes_and_p_stays(features: Features, tuning: str) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1, tuning=tuning)
    assert learner._tuned is not None
    base, digest = weights_digest(learner._tuned), learner._tuned_digest
    assert not any(p.requires_grad for p in learner._tuned.parameters())
    prototypes = learner._prototypes.clone()
    for session in sessions(features)[1:3]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    assert weights_digest(learner._tuned) == base
    assert learner._tuned_digest == digest
    assert torch.equal(learner._prototypes[:2], prototypes)  # of old classes: as they were
    assert weights_digest(features.backbone) == pretrained
    untouched = learned(features, 1, tuning=tuning, base_epochs=0)
    assert untouched._tuned_digest != digest


@TUNINGS
def test_merged_embedding_and_prototypes_by_definition(features: Features, tuning: str) -> None:
    learner = learned(features, 2, tuning=tuning)

    def embed(positions: tuple[int, ...]) -> torch.Tensor:
        tuned, backbone = learner._tuned, features.backbone
        assert isinstance(tuned, Backbone | AdaptedBackbone)
        inputs = features.inputs(positions)[:]
        # of a copy of P, its own final LayerNorm
        norm = tuned.backbone.ast.layernorm if isinstance(tuned, AdaptedBackbone) else tuned.ast.layernorm
        with torch.inference_mode():
            return torch.cat([backbone.pool(backbone(inputs)), norm(tuned(inputs)).mean(dim=1)], dim=1)

    for session in sessions(features)[:2]:
        for one in session.classes:
            row = learner.classes.index(one.label)
            torch.testing.assert_close(learner._prototypes[row], embed(one.support).mean(dim=0), atol=1e-5, rtol=1e-5)
    assert learner._prototypes.shape == (4, 2 * DIM)
    assert not torch.allclose(learner._prototypes[:, :DIM], learner._prototypes[:, DIM:], atol=1e-4)
    query = sessions(features)[0].classes[0].query
    expected = 16 * nn.functional.cosine_similarity(embed(query)[:, None], learner._prototypes[None], dim=2)
    torch.testing.assert_close(learner.score(query)["prototype"], expected, atol=1e-4, rtol=1e-4)


@TUNINGS
def test_without_tuning_it_is_simplecil(features: Features, tuning: str) -> None:
    """Both halves are P's embedding, so every cosine is SimpleCIL's."""
    simple = SimpleCIL(SimpleCILSettings(), features)
    for session in sessions(features)[:2]:
        simple.learn(session, torch.Generator())
    untuned = learned(features, 2, tuning=tuning, base_epochs=0)
    query = sessions(features)[1].classes[1].query
    torch.testing.assert_close(
        untuned.score(query)["prototype"], simple.score(query)["prototype"], atol=1e-4, rtol=1e-5
    )


def test_what_is_stored(features: Features) -> None:
    """A whole copy of P, or the adapters alone; no clips."""
    whole = sum(p.numel() for p in features.backbone.parameters())
    finetuned = learned(features, 2)
    assert finetuned.parameters() == (2 * whole + 4 * 2 * DIM,) * 2
    adapted = learned(features, 2, tuning="adapter", bottleneck=4)
    adapters = len(features.backbone.ast.layers) * (2 * 4 * DIM + 4 + DIM)
    assert adapted.parameters() == (whole + adapters + 4 * 2 * DIM,) * 2
    assert sum(value.numel() for value in adapted.state().parts["tuned"].values()) == adapters
    assert set(adapted.state().notes) == {"classes", "tuned_digest"}


@TUNINGS
def test_resumes(features: Features, tuning: str) -> None:
    learner = learned(features, 2, tuning=tuning)
    resumed = APER(learner.settings, features)
    resumed.load(learner.state())
    for one in (learner, resumed):
        one.learn(sessions(features)[2], torch.Generator().manual_seed(2))
    assert torch.equal(learner.score((1, 20, 33))["prototype"], resumed.score((1, 20, 33))["prototype"])
    assert resumed.parameters() == learner.parameters()


def test_nothing_is_rehearsed() -> None:
    needs = APER.needs(APERSettings())
    assert (needs.exemplars, needs.shots) == (0, 1)
