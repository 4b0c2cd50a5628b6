"""MAR: levels of the later blocks, an MLP that weights them, ridge regression; and `compat: reference`."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from datasets.benchmark.protocol import Protocol, Session
from tests.support.learning import DIM, generator, size, trained
from tests.support.learning import sessions as sessions_of
from trainables.learners.analytic.ridge import PENALTIES
from trainables.learners.features import Features
from trainables.methods.mar import MAR, Fusion, MARSettings, level_count, levels
from trainables.networks.backbones.ast import load_ast
from trainables.networks.classifier import trainable
from trainables.networks.heads import cosine_scores
from trainables.networks.weights import weights_digest

PROTOCOL = Protocol(base=2, way=2, shot=5)
CLIPS = (1, 20, 33)


def sessions(features: Features) -> tuple[Session, ...]:
    return sessions_of(features, PROTOCOL)


def learned(features: Features, count: int, **settings: Any) -> MAR:
    return trained(
        MAR(MARSettings.model_validate({"base_epochs": 2, "base_lr": 0.05, **settings}), features), count, PROTOCOL
    )


def fused(learner: MAR, positions: tuple[int, ...], first_token: int = 0) -> Tensor:
    with torch.inference_mode():
        embedding: Tensor = learner.fusion(levels(learner.encoder, learner.features.inputs(positions)[:], first_token))
        return embedding.double()


def test_published_defaults() -> None:
    schedule = MARSettings().base_schedule()
    assert (schedule.epochs, schedule.batch_size, schedule.weight_decay, schedule.optimiser) == (100, 25, 5e-4, "sgd")
    assert [schedule.lr_after(epoch) for epoch in (0, 100)] == pytest.approx([1e-3, 1e-8])
    assert schedule.lr_after(50) == pytest.approx((1e-3 + 1e-8) / 2)


def test_levels_are_the_normed_means_after_the_later_blocks(features: Features) -> None:
    backbone = load_ast("random-small", features.frontend.frames)  # four blocks
    inputs = features.inputs(CLIPS)[:]
    with torch.inference_mode():
        result = levels(backbone, inputs)
        third = backbone.ast(inputs, output_hidden_states=True)
        assert result.shape == (3, 2, 192)
        maps = third.hidden_states  # patches, then after each block
        for level, tokens in enumerate((maps[3], maps[4])):
            expected = nn.functional.layer_norm(
                tokens, (192,), backbone.ast.layernorm.weight, backbone.ast.layernorm.bias, eps=1e-6
            ).mean(dim=1)
            torch.testing.assert_close(result[:, level], expected)
        torch.testing.assert_close(result[:, 1], backbone.pool(backbone(inputs)))
    assert level_count(backbone) == 2
    assert level_count(features.backbone) == 1


def test_one_step_of_the_base_session_follows_its_loss(features: Features) -> None:
    """CE over 16 cos(e, w_c); transformer and head change, the MLP cannot with one level."""
    learner = learned(features, 0, base_epochs=1, base_lr=0.1, base_weight_decay=0.0)
    draws = generator(0)
    fusion = Fusion(1, DIM, draws)
    head = torch.empty(2, DIM).uniform_(-1 / math.sqrt(DIM), 1 / math.sqrt(DIM), generator=draws)
    encoder = trainable(features.backbone)
    base = sessions(features)[0]
    embedded = fusion(levels(encoder, features.inputs(base.support)[:]))
    logits = 16 * nn.functional.cosine_similarity(embedded[:, None], head[None], dim=2)
    nn.functional.cross_entropy(logits, torch.tensor([0] * 5 + [1] * 5)).backward()
    bias = encoder.ast.layernorm.bias
    assert bias.grad is not None
    expected = bias.detach() - 0.1 * bias.grad

    learner.learn(base, generator(0))
    torch.testing.assert_close(learner.encoder.ast.layernorm.bias, expected, atol=1e-6, rtol=1e-4)


def test_fusion_by_hand() -> None:
    fusion = Fusion(2, 1, generator(0))
    with torch.no_grad():
        for parameter in fusion.parameters():
            parameter.zero_()
        fusion.inner.weight[0] = torch.tensor([1.0, -1.0])
        fusion.outer.weight[1, 0] = 1.0
    # ReLU(3 - 1) = 2 for the first clip, ReLU(1 - 3) = 0 for the second; logits (0, 2) and (0, 0)
    clips = torch.tensor([[[3.0], [1.0]], [[1.0], [3.0]]])
    late = torch.tensor(2.0).sigmoid().item()
    torch.testing.assert_close(fusion.weights(clips), torch.tensor([[1 - late, late], [0.5, 0.5]]))
    torch.testing.assert_close(fusion(clips), torch.tensor([[3 * (1 - late) + late], [2.0]]))


def test_the_base_session_trains_transformer_and_mlp_and_later_ones_neither(features: Features) -> None:
    pretrained = weights_digest(features.backbone)
    small = Features(
        features.clips, features.frontend, load_ast("random-small", features.frontend.frames), features.store
    )
    learner = learned(small, 1)
    start = learned(small, 1, base_epochs=0)
    encoder, fusion = weights_digest(learner.encoder), weights_digest(learner.fusion)
    assert encoder != weights_digest(small.backbone)
    assert fusion != weights_digest(start.fusion)
    learner.learn(sessions(small)[1], generator(1))
    assert (weights_digest(learner.encoder), weights_digest(learner.fusion)) == (encoder, fusion)
    assert learner.state().notes["encoder_digest"] == encoder
    assert weights_digest(features.backbone) == pretrained


def closed_form(embeddings: Tensor, targets: Tensor, penalty: float) -> Tensor:
    gram = embeddings.T @ embeddings + penalty * torch.eye(embeddings.shape[1], dtype=torch.float64)
    return torch.linalg.solve(gram, embeddings.T @ targets)


def test_scores_are_the_ridge_regression_of_all_support(features: Features) -> None:
    learner = learned(features, 3)
    support = tuple(clip for session in sessions(features) for clip in session.support)
    labels = [label for session in sessions(features) for label in session.support_labels]
    columns = torch.tensor([learner.classes.index(label) for label in labels])
    targets = nn.functional.one_hot(columns, 6).double()
    expected = closed_form(fused(learner, support), targets, 1.0)
    torch.testing.assert_close(learner.ridge.solution(1.0, 6), expected, atol=1e-4, rtol=1e-3)
    query = sessions(features)[1].classes[0].query
    product = (fused(learner, query) @ learner.ridge.weights).float()
    torch.testing.assert_close(learner.score(query)["ridge"], product, atol=1e-3, rtol=1e-3)


def test_the_release_trains_nothing_and_drops_special_tokens(features: Features) -> None:
    learner = learned(features, 2, compat="reference")
    assert learner.encoder is features.backbone
    start = Fusion(level_count(features.backbone), DIM, generator(0))
    assert weights_digest(learner.fusion) == weights_digest(start)
    assert "encoder" not in learner.state().parts  # P is not stored
    backbone, inputs = features.backbone, features.inputs(CLIPS)[:]
    with torch.inference_mode():
        expected = backbone.pool(backbone.blocks(backbone.patches(inputs)[:, 2:]))
        torch.testing.assert_close(learner.levels(CLIPS)[:][:, -1], expected)
        assert not torch.allclose(expected, backbone.pool(backbone(inputs)), atol=1e-4)
    query = sessions(features)[0].classes[0].query
    cosines = cosine_scores(fused(learner, query, 2).float(), learner.ridge.weights.T.float())
    torch.testing.assert_close(learner.score(query)["ridge"], cosines, atol=1e-3, rtol=1e-3)


def test_the_release_chooses_lambda_on_the_session_only(features: Features) -> None:
    """Fitted on the first four fifths of the session's shuffled clips, evaluated on the last fifth."""
    learner = learned(features, 1, compat="reference")
    second = sessions(features)[1]
    learner.learn(second, generator(1))
    order = torch.randperm(10, generator=generator(1))
    embeddings = fused(learner, second.support, 2)[order]
    columns = torch.tensor([learner.classes.index(label) for label in second.support_labels])[order]
    targets = nn.functional.one_hot(columns, 4).double()
    errors = {
        penalty: float(
            (embeddings[8:] @ closed_form(embeddings[:8], targets[:8], penalty) - targets[8:]).square().mean()
        )
        for penalty in PENALTIES[4:]
    }
    best = min(errors.values())
    assert errors.get(learner.ridge.penalty, best) == pytest.approx(best, rel=1e-3)


def test_networks_and_statistics_are_stored_and_no_clips(features: Features) -> None:
    whole = size(features.backbone)
    mlp = DIM * 64 + 64 + 64 + 1  # one level of the two blocks
    learner = learned(features, 2)
    assert learner.parameter_counts() == (whole + mlp + DIM * 4 + 20 * DIM + 10 * (2 + 4), whole + mlp + DIM * 4)
    assert set(learner.state().notes) == {"classes", "encoder_digest"}  # no clips


@pytest.mark.parametrize("compat", ["none", "reference"])
def test_resumes(features: Features, compat: str) -> None:
    learner = learned(features, 2, compat=compat)
    resumed = MAR(learner.settings, features)
    resumed.load(learner.state())
    assert torch.equal(learner.score(CLIPS)["ridge"], resumed.score(CLIPS)["ridge"])
    for each in (learner, resumed):
        each.learn(sessions(features)[2], generator(2))
    assert torch.equal(learner.score(CLIPS)["ridge"], resumed.score(CLIPS)["ridge"])


def test_leave_one_out_gives_up_no_shot(features: Features) -> None:
    learner = learned(features, 3)
    assert learner.ridge.penalty == pytest.approx(learner.ridge.leave_one_out(6))
    assert learned(features, 3, choose="held-out").ridge.penalty in PENALTIES
    assert MAR.needs(MARSettings()).shots == 1


@pytest.mark.parametrize("settings", [{"choose": "held-out"}, {"compat": "reference"}])
def test_held_out_clips_need_two_shots(settings: dict[str, Any]) -> None:
    needs = MAR.needs(MARSettings.model_validate(settings))
    assert (needs.shots, needs.exemplars) == (2, 0)
    assert needs.why == "one to fit, one to choose lambda on"
