"""MEMO: blocks that all sessions share, one specialised block per session; loss, weight align and exemplars of DER."""

from typing import Any

import pytest
import torch

from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.memo import MEMO, MEMOSettings, shared_blocks
from trainables.networks.backbones.backbone import Backbone, SpecialisedPart
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> MEMO:
    quick = {"base_epochs": 2, "base_lr": 0.05, "incremental_epochs": 2, "incremental_lr": 0.05, **settings}
    return trained(MEMO(MEMOSettings.model_validate(quick), features), count)


def part(learner: MEMO, index: int) -> SpecialisedPart:
    specialised = learner.stack.parts[index]
    assert isinstance(specialised, SpecialisedPart)
    return specialised


def shared_of(learner: MEMO) -> Backbone:
    assert learner.stack.shared is not None
    return learner.stack.shared


def test_all_blocks_except_the_last_are_shared(features: Features) -> None:
    shared = shared_blocks(features.backbone)
    inputs = features.inputs((0, 20))[:]
    with torch.inference_mode():
        patches = features.backbone.patches(inputs)
        assert torch.equal(shared(inputs), features.backbone.blocks(patches, 0, -1))
    assert len(features.backbone.ast.layers) == 2  # P is unchanged
    assert size(shared) + size(features.backbone.new_part()) == size(features.backbone)


def test_without_training_the_embedding_is_the_backbones(features: Features) -> None:
    """S_0 G = P, except for the 16 bits of the token map in between."""
    query = sessions(features)[0].classes[0].query
    learner = learned(features, 1, base_epochs=0)
    torch.testing.assert_close(learner.stack.embed(query), features.pooled(query), atol=2e-3, rtol=1e-2)
    random = learned(features, 1, base_epochs=0, base_block="random")
    assert (random.stack.embed(query) - features.pooled(query)).abs().max() > 0.1
    final = features.backbone.ast.layernorm.state_dict()
    assert all(torch.equal(value, final[key]) for key, value in part(random, 0).norm.state_dict().items())


def test_the_base_session_trains_all_blocks_and_later_ones_only_theirs(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    learner = learned(features, 1)
    shared, first = weights_digest(shared_of(learner)), weights_digest(part(learner, 0))
    untrained = learned(features, 1, base_epochs=0)
    assert shared != weights_digest(shared_of(untrained))
    assert first != weights_digest(part(untrained, 0))
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(shared_of(learner)) == shared
    assert weights_digest(part(learner, 0)) == first
    assert weights_digest(part(learner, 1)) != first
    assert weights_digest(features.backbone) == pretrained


def test_a_new_block_starts_as_a_copy_of_the_previous_one(features: Features) -> None:
    learner = learned(features, 3, incremental_epochs=0)
    assert len({weights_digest(part(learner, index)) for index in range(3)}) == 1


def test_the_embedding_is_of_all_specialised_parts_on_one_token_map(features: Features) -> None:
    learner = learned(features, 2)
    query = sessions(features)[0].classes[0].query
    with torch.inference_mode():
        tokens = shared_of(learner)(features.inputs(query)[:]).half().float()  # as they are stored
        embedding = torch.cat([part(learner, 0)(tokens), part(learner, 1)(tokens)], dim=1)
        expected = learner.head(embedding)
    torch.testing.assert_close(learner.score(query)["linear"], expected, atol=1e-4, rtol=1e-4)


def test_a_session_costs_one_block(features: Features) -> None:
    for count in (1, 2, 3):
        classes, width = 2 * count, DIM * count
        values = size(features.backbone) + (count - 1) * size(features.backbone.new_part())
        values += classes * (width + 1) + classes * width
        assert learned(features, count, incremental_epochs=0).parameter_counts() == (values, values)


def test_shared_blocks_run_once_per_clip(features: Features) -> None:
    learner = learned(features, 1)
    query = sessions(features)[0].classes[0].query
    learner.score(query)
    calls: list[int] = []
    shared_of(learner).register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    learner.learn(sessions(features)[1], generator(1))
    learner.score(query)
    assert calls == [6, 2]  # the new support and, as a separate group, its exemplars; none in the epochs


def test_tensors_that_do_not_change_are_separate_parts_of_the_state(features: Features) -> None:
    learner = learned(features, 1)
    before = learner.state().parts
    learner.learn(sessions(features)[1], generator(1))
    after = learner.state().parts
    assert set(after) == {"shared", "part-0", "part-1", "head", "means"}
    for name in ("shared", "part-0"):
        assert all(torch.equal(value, after[name][key]) for key, value in before[name].items())


@pytest.mark.parametrize("align", [True, False])
def test_weight_align(features: Features, align: bool) -> None:
    learner = learned(features, 2, incremental_weight_align=align)
    norms = learner.head.weight.norm(dim=1)
    assert bool(torch.isclose(norms[2:].mean(), norms[:2].mean(), rtol=1e-5)) is align


def test_the_auxiliary_loss_changes_the_part(features: Features) -> None:
    with_loss, without = (learned(features, 2, incremental_alpha_aux=alpha) for alpha in (1.0, 0.0))
    assert weights_digest(part(with_loss, 1)) != weights_digest(part(without, 1))


def test_exemplars_are_herded_from_the_support(features: Features) -> None:
    learner = learned(features, 3)
    for session, exemplars in zip(sessions(features), learner.exemplars.groups, strict=True):
        assert len(exemplars) == 2
        assert set(exemplars) <= set(session.support)
    assert MEMO.needs(MEMOSettings()).exemplars == 1
