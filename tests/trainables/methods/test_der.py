"""DER: a whole backbone per session, the loss of the new one, weight align, frozen backbones run once."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.der import DER, DERSettings, Extractor
from trainables.networks.heads import linear_head
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> DER:
    quick = {"base_epochs": 2, "base_lr": 0.05, "incremental_epochs": 2, "incremental_lr": 0.05, **settings}
    return trained(DER(DERSettings.model_validate(quick), features), count)


def extractors(learner: DER) -> list[Extractor]:
    parts = [part for part in learner.stack.parts if isinstance(part, Extractor)]
    assert len(parts) == len(learner.stack.parts)
    return parts


def test_every_session_trains_its_backbone_and_no_other(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1)
    (first,) = extractors(learner)
    after_base = weights_digest(first.backbone)
    assert after_base != pretrained
    assert weights_digest(features.backbone) == pretrained
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(extractors(learner)[0].backbone) == after_base
    assert weights_digest(extractors(learner)[1].backbone) != after_base
    assert not any(p.requires_grad for part in learner.stack.parts for p in part.parameters())


def test_a_new_backbone_starts_as_a_copy_of_the_previous_one(features: Features) -> None:
    first, second, third = extractors(learned(features, 3, incremental_epochs=0))
    assert weights_digest(first) == weights_digest(second) == weights_digest(third)
    untrained = learned(features, 1, base_epochs=0)
    query = sessions(features)[0].classes[0].query
    torch.testing.assert_close(untrained.stack.embed(query), features.pooled(query))  # F_0 is a copy of P


def test_the_embedding_is_of_all_backbones_side_by_side(features: Features) -> None:
    learner = learned(features, 2)
    query = sessions(features)[0].classes[0].query
    with torch.inference_mode():
        inputs = features.inputs(query)[:]
        expected = torch.cat([extractor.backbone.embed(inputs) for extractor in extractors(learner)], dim=1)
        torch.testing.assert_close(learner.score(query)["linear"], learner.head(expected), atol=1e-4, rtol=1e-4)
        unit = nn.functional.normalize(expected, dim=1)
        exemplar = learner.stack.embed(learner.exemplars.groups[1])[:1]  # the only one of its class: the mean
        distance = (unit - nn.functional.normalize(exemplar, dim=1)).norm(dim=1)
        torch.testing.assert_close(learner.score(query)["nme"][:, 2], -distance, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_one_step_of_an_incremental_session_follows_its_loss(features: Features, alpha: float) -> None:
    """CE(head([F_0; F_1]), y) + alpha CE(auxiliary(F_1), y'), y' = 0 for old classes, 1 and 2 for the new."""
    one_step = {"incremental_epochs": 1, "incremental_weight_decay": 0.0, "incremental_lr": 0.01}
    learner = learned(features, 1, incremental_alpha_aux=alpha, incremental_weight_align=False, **one_step)
    second = sessions(features)[1]
    clips = (*second.support, *learner.exemplars.groups[0])
    columns = [learner.classes.index(label) for label in learner.exemplars.labels]
    y = torch.tensor([2, 2, 2, 3, 3, 3, *columns])
    auxiliary_y = torch.tensor([1, 1, 1, 2, 2, 2, 0, 0])

    draws = generator(1)
    head = linear_head(2 * DIM, 4, draws, grown_from=learner.head)
    auxiliary = linear_head(DIM, 3, draws)
    old = extractors(learner)[0]
    new = copy.deepcopy(old).requires_grad_(True)
    inputs = features.inputs(clips)[:]
    embedded = new(inputs)
    loss = nn.functional.cross_entropy(head(torch.cat([old(inputs), embedded], dim=1)), y)
    (loss + alpha * nn.functional.cross_entropy(auxiliary(embedded), auxiliary_y)).backward()
    bias = new.backbone.ast.layernorm.bias
    expected = bias.detach() - 0.01 * bias.grad

    learner.learn(second, generator(1))
    trained = extractors(learner)[1].backbone.ast.layernorm.bias
    torch.testing.assert_close(trained, expected, atol=1e-6, rtol=1e-4)
    expected = (head.weight - 0.01 * head.weight.grad).detach()
    torch.testing.assert_close(learner.head.weight, expected, atol=1e-6, rtol=1e-4)


def test_weight_align_gives_new_classes_the_old_ones_mean_norm(features: Features) -> None:
    before = learned(features, 1, incremental_epochs=0).head.weight
    plain = learned(features, 2, incremental_epochs=0, incremental_weight_align=False).head.weight
    aligned = learned(features, 2, incremental_epochs=0).head.weight
    assert torch.equal(plain[:2, :DIM], before)
    assert torch.equal(aligned[:2], plain[:2])
    norms = aligned.norm(dim=1)
    torch.testing.assert_close(norms[2:].mean(), norms[:2].mean())
    assert abs(plain.norm(dim=1)[2:].mean() - norms[:2].mean()) > 1e-3
    torch.testing.assert_close(
        nn.functional.normalize(aligned[2:].flatten(), dim=0), nn.functional.normalize(plain[2:].flatten(), dim=0)
    )


def test_a_session_costs_a_whole_backbone(features: Features) -> None:
    backbone = size(features.backbone)
    for count in (1, 2, 3):
        classes, width = 2 * count, DIM * count
        values = count * backbone + classes * (width + 1) + classes * width
        assert learned(features, count, incremental_epochs=0).parameter_counts() == (values, values)


def test_a_frozen_backbone_runs_once_per_clip(features: Features) -> None:
    learner = learned(features, 1)
    query = sessions(features)[0].classes[0].query
    learner.score(query)
    (first,) = extractors(learner)
    calls: list[int] = []

    def count(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if module is first:  # the new backbone is a copy, with its hooks
            calls.append(len(output))

    first.register_forward_hook(count)
    learner.learn(sessions(features)[1], generator(1))
    learner.score(query)
    # 6 support clips of the new classes and, as a separate group, their 2 exemplars, for any number of epochs
    assert calls == [6, 2]


def test_exemplars_are_herded_from_the_support(features: Features) -> None:
    learner = learned(features, 3, exemplars_per_class=2)
    for session, exemplars in zip(sessions(features), learner.exemplars.groups, strict=True):
        assert len(exemplars) == 4
        assert set(exemplars) <= set(session.support)
    assert DER.needs(DERSettings.model_validate({"exemplars_per_class": 2})).exemplars == 2
