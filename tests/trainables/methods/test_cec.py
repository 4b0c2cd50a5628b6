"""What makes CEC: attention over prototypes and a clip, pseudo-incremental episodes, what is frozen."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from datasets.utils.errors import EarshotError
from trainables.learners.features import Features
from trainables.methods.cec import CEC, CECSettings, GraphAttention, episode
from trainables.methods.registry import check_protocol
from trainables.networks.backbone import weights_digest


def sessions(features: Features, shot: int = 3) -> tuple[Session, ...]:
    return make_sessions(Protocol(base=2, way=2, shot=shot), features.clips.table, order_seed=0, support_seed=0)


def learned(features: Features, count: int, **settings: Any) -> CEC:
    quick = {"base_epochs": 2, "base_attention_epochs": 2, "base_episodes": 5, **settings}
    learner = CEC(CECSettings.model_validate(quick), features)
    for session in sessions(features)[:count]:
        learner.learn(session, torch.Generator().manual_seed(session.index))
    return learner


def test_attention_is_that_of_a_graph_of_prototypes_and_one_clip() -> None:
    """Written out node by node."""
    attention = GraphAttention(8, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    prototypes, clips = torch.randn(3, 8, generator=draw), torch.randn(2, 8, generator=draw)
    nn.init.normal_(attention.out.bias, generator=draw)
    with torch.inference_mode():
        for clip, found in zip(clips, attention(clips, prototypes), strict=True):
            nodes = [*prototypes, clip]
            adapted = []
            for node in nodes:
                affinities = [attention.query(node) @ attention.key(other) / math.sqrt(8) for other in nodes]
                weights = torch.stack(affinities).softmax(dim=0)
                received = sum((w * attention.value(other) for w, other in zip(weights, nodes, strict=True)))
                adapted.append(attention.norm(node + attention.out(received)))
            expected = [nn.functional.cosine_similarity(adapted[3], one, dim=0) for one in adapted[:3]]
            torch.testing.assert_close(found, torch.stack(expected))


def test_an_episode_is_made_of_real_and_of_flipped_classes() -> None:
    columns = torch.tensor([0] * 4 + [1] * 3 + [2] * 5)
    seen = set()
    for seed in range(20):
        shots, queries, targets = episode(columns, 2, 1, 10, torch.Generator().manual_seed(seed))
        assert shots.shape == (4, 1, 2)
        query = len(targets) // 4
        assert query in (2, 3)  # what the smaller of the two classes has left beside one shot
        assert targets.tolist() == [0] * query + [1] * query + [2] * query + [3] * query
        queries = queries.view(4, query, 2)
        for prototype in range(4):
            flips, rows = torch.cat([shots[prototype], queries[prototype]]).T
            assert len(set(flips.tolist())) == 1
            assert len(set(rows.tolist())) == 1 + query  # no clip is shot and query
            assert len(set(columns[rows].tolist())) == 1
            assert (int(flips[0]) == 0) == (prototype < 2)
            seen.add(int(flips[0]))
        assert columns[shots[:2, 0, 1]].tolist() == columns[shots[2:, 0, 1]].tolist()
        assert len(set(columns[shots[:2, 0, 1]].tolist())) == 2
    assert seen == {0, 1, 2, 3}


def test_episodes_train_the_attention_and_nothing_else(features: Features) -> None:
    """The network is frozen before them; later sessions train neither."""
    none, some = learned(features, 1, base_attention_epochs=0), learned(features, 1)
    assert none._attention is not None and some._attention is not None
    assert weights_digest(none.network) == weights_digest(some.network) != weights_digest(features.backbone)
    trained = weights_digest(some._attention)
    assert trained != weights_digest(none._attention)
    prototypes = some.prototypes
    some.learn(sessions(features)[1], torch.Generator().manual_seed(1))
    assert weights_digest(some._attention) == trained
    assert torch.equal(some.prototypes[:2], prototypes)


def test_episodes_lower_their_own_loss(features: Features) -> None:
    rows = torch.tensor([0, 0, 0, 1, 1, 1])

    def loss(learner: CEC) -> float:
        (base, *_) = sessions(features)
        embedded = torch.stack([learner.embed(base.support, flip) for flip in ((), (1,), (2,), (1, 2))])
        total = 0.0
        assert learner._attention is not None
        for seed in range(20):
            shots, queries, targets = episode(rows, 2, 1, 2, torch.Generator().manual_seed(seed))
            prototypes = embedded[shots[..., 0], shots[..., 1]].mean(dim=1)
            logits = 16 * learner._attention(embedded[queries[:, 0], queries[:, 1]], prototypes)
            total += float(nn.functional.cross_entropy(logits, targets))
        return total

    trained = learned(features, 1, base_attention_epochs=20, base_attention_lr=0.1)
    assert loss(trained) < 0.85 * loss(learned(features, 1, base_attention_epochs=0))


def test_a_flip_is_one_of_the_spectrogram(features: Features) -> None:
    learner = learned(features, 1)
    with torch.inference_mode():
        inputs = features.inputs((1, 20))[:].flip(2)
        expected = learner.network.pool(learner.network(inputs))
    torch.testing.assert_close(learner.embed((1, 20), (2,)), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(learner.embed((1, 20)), expected, atol=1e-3)


def test_the_rate_of_the_attention_is_halved_every_fifth() -> None:
    schedule = CECSettings().attention_schedule()
    assert [schedule.lr_after(epoch) for epoch in (0, 19, 20, 40, 80)] == [2e-4, 2e-4, 1e-4, 5e-5, 1.25e-5]


def test_values_stored(features: Features) -> None:
    backbone = sum(parameter.numel() for parameter in features.backbone.parameters())
    attention = 4 * 96 * 96 + 96 + 2 * 96
    assert learned(features, 2).parameters() == (backbone + attention + 4 * 96,) * 2


def test_one_shot_is_refused(features: Features) -> None:
    with pytest.raises(EarshotError, match=r"needs at least 2 support clips of a base class \(an episode tells"):
        check_protocol(CEC, CECSettings(), Protocol(base=2, way=2, shot=1), sessions(features, shot=1))
