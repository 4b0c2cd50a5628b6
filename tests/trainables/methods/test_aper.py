"""APER: a network tuned in the base session and merged with P, prototypes."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.aper import APER, APERSettings
from trainables.methods.simplecil import SimpleCIL, SimpleCILSettings
from trainables.networks.adapters import AdaptedBackbone
from trainables.networks.weights import weights_digest

TUNINGS = pytest.mark.parametrize("tuning", ["finetune", "adapter"])


def learned(features: Features, count: int, **settings: Any) -> APER:
    return trained(APER(APERSettings.model_validate({"base_epochs": 2, "base_lr": 0.1, **settings}), features), count)


def test_defaults_depend_on_the_tuning() -> None:
    def published(**settings: Any) -> tuple[int, int, float, float]:
        defaults = APERSettings.model_validate(settings)
        return defaults.batch_size, defaults.base_epochs, defaults.base_lr, defaults.base_weight_decay

    assert published() == (128, 6, 0.01, 0.05)
    assert published(tuning="adapter") == (48, 20, 0.01, 5e-4)
    assert published(tuning="adapter", base_epochs=3) == (48, 3, 0.01, 5e-4)


def test_the_learning_rate_follows_a_cosine_unless_milestones_are_given() -> None:
    schedule = APERSettings().base_schedule()
    assert [schedule.lr_after(epoch) for epoch in (0, 3, 6)] == pytest.approx([0.01, 0.005, 0.0])
    stepped = APERSettings(base_milestones=(2,)).base_schedule()
    assert [stepped.lr_after(epoch) for epoch in (0, 1, 2)] == pytest.approx([0.01, 0.01, 0.001])


@TUNINGS
def test_only_the_base_session_tunes_and_p_does_not_change(features: Features, tuning: str) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1, tuning=tuning)
    base, digest = weights_digest(learner.tuned), learner.state().notes["tuned_digest"]
    assert not any(p.requires_grad for p in learner.tuned.parameters())
    prototypes = learner.prototypes.clone()
    for session in sessions(features)[1:3]:
        learner.learn(session, generator(session.index))
    assert weights_digest(learner.tuned) == base
    assert learner.state().notes["tuned_digest"] == digest
    assert torch.equal(learner.prototypes[:2], prototypes)  # of old classes
    assert weights_digest(features.backbone) == pretrained
    untouched = learned(features, 1, tuning=tuning, base_epochs=0)
    assert untouched.state().notes["tuned_digest"] != digest


@TUNINGS
def test_merged_embedding_and_prototypes_by_definition(features: Features, tuning: str) -> None:
    learner = learned(features, 2, tuning=tuning)

    def embed(positions: tuple[int, ...]) -> torch.Tensor:
        tuned, backbone = learner.tuned, features.backbone
        inputs = features.inputs(positions)[:]
        # a copy of P has its own final LayerNorm
        norm = tuned.backbone.ast.layernorm if isinstance(tuned, AdaptedBackbone) else tuned.ast.layernorm
        with torch.inference_mode():
            return torch.cat([backbone.pool(backbone(inputs)), norm(tuned(inputs)).mean(dim=1)], dim=1)

    for session in sessions(features)[:2]:
        for of_class in session.classes:
            row = learner.classes.index(of_class.label)
            torch.testing.assert_close(
                learner.prototypes[row], embed(of_class.support).mean(dim=0), atol=1e-5, rtol=1e-5
            )
    assert learner.prototypes.shape == (4, 2 * DIM)
    assert not torch.allclose(learner.prototypes[:, :DIM], learner.prototypes[:, DIM:], atol=1e-4)
    query = sessions(features)[0].classes[0].query
    expected = 16 * nn.functional.cosine_similarity(embed(query)[:, None], learner.prototypes[None], dim=2)
    torch.testing.assert_close(learner.score(query)["prototype"], expected, atol=1e-4, rtol=1e-4)


@TUNINGS
def test_without_tuning_it_is_simplecil(features: Features, tuning: str) -> None:
    """Both halves are P's embedding, so every cosine is SimpleCIL's."""
    simple = trained(SimpleCIL(SimpleCILSettings(), features), 2)
    untuned = learned(features, 2, tuning=tuning, base_epochs=0)
    query = sessions(features)[1].classes[1].query
    torch.testing.assert_close(
        untuned.score(query)["prototype"], simple.score(query)["prototype"], atol=1e-4, rtol=1e-5
    )


def test_a_copy_of_p_or_the_adapters_are_stored_and_no_clips(features: Features) -> None:
    whole = size(features.backbone)
    finetuned = learned(features, 2)
    assert finetuned.parameter_counts() == (2 * whole + 4 * 2 * DIM,) * 2
    adapted = learned(features, 2, tuning="adapter", bottleneck=4)
    adapters = len(features.backbone.ast.layers) * (2 * 4 * DIM + 4 + DIM)
    assert adapted.parameter_counts() == (whole + adapters + 4 * 2 * DIM,) * 2
    assert sum(value.numel() for value in adapted.state().parts["tuned"].values()) == adapters
    assert set(adapted.state().notes) == {"classes", "tuned_digest"}


@TUNINGS
def test_resumes(features: Features, tuning: str) -> None:
    learner = learned(features, 2, tuning=tuning)
    resumed = APER(learner.settings, features)
    resumed.load(learner.state())
    for each in (learner, resumed):
        each.learn(sessions(features)[2], generator(2))
    assert torch.equal(learner.score((1, 20, 33))["prototype"], resumed.score((1, 20, 33))["prototype"])
    assert resumed.parameter_counts() == learner.parameter_counts()


def test_nothing_is_rehearsed() -> None:
    needs = APER.needs(APERSettings())
    assert (needs.exemplars, needs.shots) == (0, 1)
