"""Adapters: initially the identity, parallel to the MLP, and the only parameters that are trained and stored."""

import pytest
import torch

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from trainables.learners.adaptation import adapt
from trainables.learners.features import Features
from trainables.learners.training import Schedule
from trainables.networks.adapters import SCALE, AdaptedBackbone, Adapter, CosineHead, restored_adapters
from trainables.networks.weights import weights_digest

CLIPS = (1, 20, 33)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def base_session(features: Features) -> Session:
    protocol = Protocol(base=2, way=2, shot=3)
    return make_sessions(protocol, features.clips.table, order_seed=0, support_seed=0)[0]


def adapted(features: Features) -> AdaptedBackbone:
    network = AdaptedBackbone(features.backbone, 4, generator())
    schedule = Schedule(epochs=3, batch_size=25, lr=0.1)
    adapt(network, network.embed, features, base_session(features), schedule, generator())
    return network


def test_an_adapter_by_hand() -> None:
    adapter = Adapter(2, 1, generator())
    with torch.no_grad():
        adapter.down.weight.copy_(torch.tensor([[1.0, -2.0]]))
        adapter.down.bias.fill_(1.0)
        adapter.up.weight.copy_(torch.tensor([[3.0], [-1.0]]))
        adapter.up.bias.copy_(torch.tensor([0.0, 5.0]))
    # down: 4 - 2 + 1 = 3 and 0 - 6 + 1 = -5, which ReLU sets to 0; up: (9, 2) and (0, 5); times 0.1
    expected = torch.tensor([[0.9, 0.2], [0.0, 0.5]])
    torch.testing.assert_close(adapter(torch.tensor([[4.0, 1.0], [0.0, 3.0]])), expected)


def test_a_cosine_head_by_hand() -> None:
    head = CosineHead(2, 2, generator())
    assert head.sigma.item() == 1
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[5.0, 0.0], [3.0, 4.0]]))
        head.sigma.fill_(10.0)
    torch.testing.assert_close(head(torch.tensor([[0.0, 7.0]])), torch.tensor([[0.0, 8.0]]))


def test_an_adapted_network_initially_equals_the_backbone(features: Features) -> None:
    inputs = features.inputs(CLIPS)[:]
    network = AdaptedBackbone(features.backbone, 64, generator())
    with torch.no_grad():
        assert torch.equal(network(inputs), features.backbone(inputs))
        assert torch.equal(network.embed(inputs), features.backbone.pool(features.backbone(inputs)))


def test_an_adapter_is_parallel_to_the_mlp(features: Features) -> None:
    """Its input is that of the block's second LayerNorm; its output is added to that of the block."""
    inputs = features.inputs(CLIPS)[:]
    backbone = features.backbone
    network = AdaptedBackbone(backbone, 4, generator())
    read: dict[str, torch.Tensor] = {}
    normed = backbone.ast.layers[-1].layernorm_after
    hooks = [
        normed.register_forward_pre_hook(lambda module, args: read.update(norm=args[0])),
        network.adapters[-1].register_forward_pre_hook(lambda module, args: read.update(adapter=args[0])),
    ]
    shift = torch.arange(backbone.dim).float()
    with torch.no_grad():
        before = backbone(inputs)
        network.adapters[-1].up.bias.copy_(shift)
        after = network(inputs)
    for hook in hooks:
        hook.remove()
    assert torch.equal(read["adapter"], read["norm"])
    torch.testing.assert_close(after - before, (SCALE * shift).expand_as(after), atol=1e-4, rtol=1e-4)


def test_only_adapters_are_trained_and_stored(features: Features) -> None:
    pretrained = weights_digest(features.backbone.ast)
    network = adapted(features)
    assert weights_digest(features.backbone.ast) == pretrained
    assert all(p.grad is None for p in features.backbone.parameters())
    assert sorted({name.split(".")[0] for name in network.state_dict()}) == ["adapters"]
    dim, blocks = features.backbone.dim, len(features.backbone.ast.layers)
    assert sum(p.numel() for p in network.parameters()) == blocks * (2 * 4 * dim + 4 + dim)
    assert all((adapter.up.weight != 0).any() for adapter in network.adapters)
    assert not any(p.requires_grad for p in network.parameters())


def test_the_digest_covers_the_backbone_and_the_adapters(features: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    start, trained = AdaptedBackbone(features.backbone, 4, generator()), adapted(features)
    assert start.digest == AdaptedBackbone(features.backbone, 4, generator()).digest
    before = trained.digest
    assert before != start.digest
    monkeypatch.setattr(features.backbone, "digest", "another network")
    assert trained.digest != before


def test_an_adapted_network_is_restored_from_its_state(features: Features) -> None:
    network = adapted(features)
    restored = restored_adapters(features.backbone, network.state_dict())
    assert restored.digest == network.digest
    inputs = features.inputs(CLIPS)[:]
    assert torch.equal(restored.embed(inputs), network.embed(inputs))
    assert not torch.equal(restored.embed(inputs), features.backbone.pool(features.backbone(inputs)))


def test_adapting_fits_the_support(features: Features) -> None:
    """The distance of classes relative to their spread increases."""
    session = base_session(features)
    network = AdaptedBackbone(features.backbone, 16, generator())

    def separation() -> float:
        with torch.no_grad():
            first, second = network.embed(features.inputs(session.support)[:]).split(len(session.classes[0].support))
        spread = (first - first.mean(dim=0)).norm() + (second - second.mean(dim=0)).norm()
        return float((first.mean(dim=0) - second.mean(dim=0)).norm() / spread)

    before = separation()
    schedule = Schedule(epochs=60, batch_size=25, lr=0.5, annealing="cosine")
    adapt(network, network.embed, features, session, schedule, generator())
    assert separation() > 1.1 * before
