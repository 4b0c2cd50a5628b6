"""Frozen embeddings: right, stored once, read back."""

from pathlib import Path

import numpy as np
import torch

from trainables.features import ArrayStore, Features


def test_pooled_is_the_backbones_embedding(features: Features) -> None:
    positions = (3, 40, 7)
    with torch.inference_mode():
        expected = features.backbone.pool(features.backbone(features.inputs(positions)))
    assert torch.equal(features.pooled(positions), expected)


def test_computed_once(tmp_path: Path) -> None:
    store = ArrayStore(tmp_path)
    calls: list[int] = []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(3.0)

    for _ in range(2):
        assert store.get("ab" * 32, compute).tolist() == [0.0, 1.0, 2.0]
    assert len(calls) == 1
    assert isinstance(store.get("ab" * 32, compute), np.memmap)


def test_groups_and_networks_have_their_own_addresses(features: Features) -> None:
    features.pooled((0, 1))
    features.pooled((1, 0))
    features.tokens(features.backbone, "another digest", (0, 1))
    assert len(list(features.store.root.rglob("*.npy"))) == 3


def test_tokens_have_the_shape_of_token_maps(features: Features) -> None:
    tokens = features.tokens(features.backbone, features.backbone.digest, tuple(range(40)))  # more than one batch
    assert tokens.shape == (40, 2 + 12 * 3, 96)
    with torch.inference_mode():
        last = features.backbone(features.inputs(range(32, 40)))
    assert np.array_equal(tokens[32:], last.numpy())
