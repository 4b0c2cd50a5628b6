"""A stack of parts: outputs side by side, each computed once, under the digest of all weights below."""

import pytest
import torch
from torch import nn

from trainables.learners import features as features_module
from trainables.learners.features import Features
from trainables.learners.part_stack import PartStack
from trainables.networks.classifier import trainable
from trainables.networks.weights import weights_digest

CLIPS = (1, 20, 33)


def on_token_maps(features: Features) -> PartStack:
    """Two random parts on a copy of P."""
    stack = PartStack(features, features.backbone.new_part, lambda: trainable(features.backbone))
    stack.set_shared(trainable(features.backbone))
    for seed in (0, 1):
        stack.append(features.backbone.new_part(torch.Generator().manual_seed(seed)))
    return stack


def test_outputs_are_side_by_side_and_computed_once(features: Features) -> None:
    stack = on_token_maps(features)
    with torch.inference_mode():
        tokens = features.backbone(features.inputs(CLIPS)[:]).half().float()  # as they are stored
        expected = torch.cat([part(tokens) for part in stack.parts], dim=1)
    calls: list[int] = []
    assert stack.shared is not None
    for network in (stack.shared, *stack.parts):
        network.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    for _ in range(2):
        torch.testing.assert_close(stack.embed(CLIPS), expected)
    assert calls == [3, 3, 3]
    torch.testing.assert_close(stack.inputs([CLIPS])[:], tokens)
    assert torch.equal(stack.embed_groups([CLIPS, (2, 4)])[:3], stack.embed(CLIPS))


def test_parts_without_shared_blocks_read_spectrograms(features: Features) -> None:
    stack = PartStack(features, lambda: trainable(features.backbone))
    stack.append(nn.Sequential(nn.Flatten(), nn.Linear(features.frontend.frames * 128, 2)))
    assert torch.equal(stack.inputs([CLIPS])[:], features.inputs(CLIPS)[:])
    assert stack.digests == [f"{features.backbone.digest} {weights_digest(stack.parts[0])}"]
    assert set(stack.state().parts) == {"part-0"}
    assert set(stack.state().notes) == {"digests"}


def test_parts_and_shared_blocks_are_frozen_and_counted(features: Features) -> None:
    stack = on_token_maps(features)
    assert stack.shared is not None
    networks = [stack.shared, *stack.parts]
    parameters = [parameter for network in networks for parameter in network.parameters()]
    assert not any(parameter.requires_grad for parameter in parameters)
    assert stack.count_values() == sum(parameter.numel() for parameter in parameters)


def test_a_restored_stack_has_the_same_outputs_and_digests(features: Features) -> None:
    stack = on_token_maps(features)
    restored = PartStack(features, features.backbone.new_part, lambda: trainable(features.backbone))
    restored.load(stack.state())
    assert restored.digests == stack.digests
    assert torch.equal(restored.embed(CLIPS), stack.embed(CLIPS))
    assert restored.state().notes == stack.state().notes


def test_the_type_of_stored_token_maps_is_in_the_digest_of_a_part(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = on_token_maps(features).digests
    monkeypatch.setattr(features_module, "TOKENS", torch.zeros(0).numpy().dtype.type)
    assert not set(half) & set(on_token_maps(features).digests)
