"""CEC: attention over prototypes and a clip, pseudo-incremental episodes, frozen parts."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from tests.support.learning import DIM, generator, sessions, size, trained
from trainables.learners.features import Features
from trainables.methods.cec import CEC, CECSettings, GraphAttention, episode
from trainables.methods.registry import check_protocol
from trainables.networks.weights import weights_digest


def learned(features: Features, count: int, **settings: Any) -> CEC:
    quick = {"base_epochs": 2, "base_attention_epochs": 2, "base_episodes": 5, **settings}
    return trained(CEC(CECSettings.model_validate(quick), features), count)


def test_attention_is_over_a_graph_of_prototypes_and_one_clip() -> None:
    """Written out node by node."""
    attention = GraphAttention(8, generator(0))
    draw = generator(1)
    prototypes, clips = torch.randn(3, 8, generator=draw), torch.randn(2, 8, generator=draw)
    nn.init.normal_(attention.out.bias, generator=draw)
    with torch.inference_mode():
        for clip, cosines in zip(clips, attention(clips, prototypes), strict=True):
            nodes = [*prototypes, clip]
            adapted = []
            for node in nodes:
                affinities = [attention.query(node) @ attention.key(other) / math.sqrt(8) for other in nodes]
                weights = torch.stack(affinities).softmax(dim=0)
                received = sum((w * attention.value(other) for w, other in zip(weights, nodes, strict=True)))
                adapted.append(attention.norm(node + attention.out(received)))
            expected = [nn.functional.cosine_similarity(adapted[3], prototype, dim=0) for prototype in adapted[:3]]
            torch.testing.assert_close(cosines, torch.stack(expected))


def test_an_episode_consists_of_real_and_flipped_classes() -> None:
    columns = torch.tensor([0] * 4 + [1] * 3 + [2] * 5)
    drawn_flips = set()
    for seed in range(20):
        shots, queries, targets = episode(columns, 2, 1, 10, torch.Generator().manual_seed(seed))
        assert shots.shape == (4, 1, 2)
        query = len(targets) // 4
        assert query in (2, 3)  # clips of the smaller of the two classes besides one shot
        assert targets.tolist() == [0] * query + [1] * query + [2] * query + [3] * query
        queries = queries.view(4, query, 2)
        for prototype in range(4):
            flips, rows = torch.cat([shots[prototype], queries[prototype]]).T
            assert len(set(flips.tolist())) == 1
            assert len(set(rows.tolist())) == 1 + query  # no clip is both shot and query
            assert len(set(columns[rows].tolist())) == 1
            assert (int(flips[0]) == 0) == (prototype < 2)
            drawn_flips.add(int(flips[0]))
        assert columns[shots[:2, 0, 1]].tolist() == columns[shots[2:, 0, 1]].tolist()
        assert len(set(columns[shots[:2, 0, 1]].tolist())) == 2
    assert drawn_flips == {0, 1, 2, 3}


def test_episodes_train_the_attention_and_nothing_else(features: Features) -> None:
    """The network is frozen before them; later sessions train neither."""
    untrained, learner = learned(features, 1, base_attention_epochs=0), learned(features, 1)
    assert weights_digest(untrained.network) == weights_digest(learner.network) != weights_digest(features.backbone)
    attention, prototypes = weights_digest(learner.attention), learner.prototypes
    assert attention != weights_digest(untrained.attention)
    learner.learn(sessions(features)[1], generator(1))
    assert weights_digest(learner.attention) == attention
    assert torch.equal(learner.prototypes[:2], prototypes)


def test_training_lowers_the_loss_of_episodes(features: Features) -> None:
    rows = torch.tensor([0, 0, 0, 1, 1, 1])

    def loss(learner: CEC) -> float:
        (base, *_) = sessions(features)
        embedded = torch.stack([learner.embed(base.support, flip) for flip in ((), (1,), (2,), (1, 2))])
        total = 0.0
        for seed in range(20):
            shots, queries, targets = episode(rows, 2, 1, 2, torch.Generator().manual_seed(seed))
            prototypes = embedded[shots[..., 0], shots[..., 1]].mean(dim=1)
            logits = 16 * learner.attention(embedded[queries[:, 0], queries[:, 1]], prototypes)
            total += float(nn.functional.cross_entropy(logits, targets))
        return total

    learner = learned(features, 1, base_attention_epochs=20, base_attention_lr=0.1)
    assert loss(learner) < 0.85 * loss(learned(features, 1, base_attention_epochs=0))


def test_spectrograms_are_flipped(features: Features) -> None:
    learner = learned(features, 1)
    with torch.inference_mode():
        inputs = features.inputs((1, 20))[:].flip(2)
        expected = learner.network.pool(learner.network(inputs))
    torch.testing.assert_close(learner.embed((1, 20), (2,)), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(learner.embed((1, 20)), expected, atol=1e-3)


def test_the_learning_rate_of_the_attention_is_halved_after_every_fifth_of_the_epochs() -> None:
    schedule = CECSettings().attention_schedule()
    assert [schedule.lr_after(epoch) for epoch in (0, 19, 20, 40, 80)] == [2e-4, 2e-4, 1e-4, 5e-5, 1.25e-5]


def test_number_of_stored_values(features: Features) -> None:
    backbone = size(features.backbone)
    attention = 4 * DIM * DIM + DIM + 2 * DIM
    assert learned(features, 2).parameter_counts() == (backbone + attention + 4 * DIM,) * 2


def test_one_shot_is_rejected(features: Features) -> None:
    protocol = Protocol(base=2, way=2, shot=1)
    with pytest.raises(EarshotError, match=r"needs at least 2 support clips of a base class \(an episode classifies"):
        check_protocol(CEC, CECSettings(), protocol, sessions(features, protocol))
