"""L2P: selection of prompts, trained parts, input of the head."""

from typing import Any

import pytest
import torch
from torch import nn

from datasets.utils.errors import EarshotError
from datasets.utils.validation import validated
from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.l2p import L2P, L2PSettings, PromptPool, prompted
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> L2P:
    quick = {"base_epochs": 2, "incremental_epochs": 2, **settings}
    return trained(L2P(L2PSettings.model_validate(quick), features), count)


def test_a_clip_selects_the_prompts_with_the_most_similar_keys() -> None:
    pool = PromptPool(3, 1, 2)
    with torch.no_grad():
        pool.keys.copy_(torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
        pool.prompts.copy_(torch.tensor([[[1.0, 1.0]], [[2.0, 2.0]], [[3.0, 3.0]]]))
    prompts, similarity = pool(torch.tensor([[3.0, 4.0], [-4.0, 3.0]]), 2)
    # cosines: 0.6, 0.8, -0.6 and -0.8, 0.6, 0.8
    assert prompts.tolist() == [[[2.0, 2.0], [1.0, 1.0]], [[3.0, 3.0], [2.0, 2.0]]]
    torch.testing.assert_close(similarity, torch.tensor([1.4, 1.4]))


def test_a_prompt_that_no_clip_selects_receives_no_gradient() -> None:
    pool = PromptPool(6, 2, 4, generator(0))
    prompts, similarity = pool(torch.ones(3, 4), 2)
    (prompts.sum() + similarity.sum()).backward()
    assert pool.prompts.grad is not None and pool.keys.grad is not None
    trained = pool.prompts.grad.abs().sum(dim=(1, 2)) > 0
    assert int(trained.sum()) == 2
    assert torch.equal(pool.keys.grad.abs().sum(dim=1) > 0, trained)


def test_the_head_reads_the_mean_of_the_prompts_outputs(features: Features) -> None:
    """Written out: [prompts; tokens] through all blocks, final LayerNorm, mean over the prompts' positions."""
    learner = learned(features, 1, prompt_length=2, top_k=3)
    (base, *_) = sessions(features)
    query = base.classes[0].query
    backbone, pool, linear = features.backbone, learner.pool, learner.linear
    expected = []
    with torch.inference_mode():
        for inputs, embedding in zip(features.inputs(query)[:], features.pooled(query), strict=True):
            cosines = torch.tensor([float(nn.functional.cosine_similarity(embedding, key, dim=0)) for key in pool.keys])
            chosen = cosines.argsort(descending=True)[:3]
            hidden = torch.cat([*pool.prompts[chosen], backbone.patches(inputs[None])[0]])[None]
            expected.append(linear(backbone.ast.layernorm(backbone.blocks(hidden))[0, :6].mean(dim=0)))
    torch.testing.assert_close(learner.score(query)["linear"], torch.stack(expected), atol=1e-4, rtol=1e-4)


def test_p_and_the_old_rows_of_the_head_do_not_change(features: Features) -> None:
    before = weights_digest(features.backbone)
    learner = learned(features, 1)
    rows, bias = learner.linear.weight.clone(), learner.linear.bias.clone()
    pool = {key: value.clone() for key, value in learner.pool.state_dict().items()}
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(features.backbone) == before
    assert all(parameter.grad is None for parameter in features.backbone.parameters())
    assert torch.equal(learner.linear.weight[:2], rows)  # masked: no gradient
    assert torch.equal(learner.linear.bias[:2], bias)
    assert learner.linear.weight.shape == (4, DIM)
    assert all(not torch.equal(value, pool[key]) for key, value in learner.pool.state_dict().items())


def test_the_pull_moves_selected_keys_towards_the_queries(features: Features) -> None:
    (base, *_) = sessions(features)
    queries = features.pooled(base.support)

    def similarity(pull: float) -> float:
        learner = learned(features, 1, base_epochs=30, pull=pull, pool_size=5)  # 5 of 5: always the same keys
        return float(learner.pool(queries, 5)[1].mean())

    assert similarity(0.1) > similarity(0.0) + 0.1


def test_training_fits_the_support(features: Features) -> None:
    (base, *_) = sessions(features)

    def loss(epochs: int) -> float:
        learner = learned(features, 1, base_epochs=epochs, base_lr=0.03)
        columns = torch.tensor([learner.classes.index(label) for label in base.support_labels])
        return float(nn.functional.cross_entropy(learner.score(base.support)["linear"], columns))

    assert loss(60) < 0.6 * loss(0)


def test_the_scores_of_a_clip_do_not_depend_on_other_clips(features: Features) -> None:
    """In the released code the clips of a batch select their prompts together."""
    learner = learned(features, 1)
    together = learner.score((1, 20, 33, 40))["linear"]
    torch.testing.assert_close(learner.score((33,))["linear"], together[2:3], atol=1e-5, rtol=1e-5)


def test_only_selected_prompts_count_as_used(features: Features) -> None:
    stored, used = learned(features, 1).parameter_counts()
    backbone = size(features.backbone)
    assert stored == backbone + 10 * 5 * DIM + 10 * DIM + 2 * DIM + 2
    assert stored - used == 5 * 5 * DIM


def test_only_the_outputs_of_the_prompts_are_averaged(features: Features) -> None:
    """The embedding has the same width for any number of prompts."""
    inputs = features.inputs((1, 2))[:]
    with torch.inference_mode():
        for tokens in (1, 4):
            assert prompted(features.backbone, torch.ones(2, tokens, DIM), inputs).shape == (2, DIM)


def test_more_prompts_than_the_pool_has_are_rejected() -> None:
    with pytest.raises(EarshotError, match="top_k must not exceed pool_size, found 5 of 3"):
        validated(L2PSettings, {"pool_size": 3}, "method l2p")
