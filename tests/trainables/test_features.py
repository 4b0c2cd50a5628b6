"""Frozen embeddings: right, stored once, read back."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
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

    def compute() -> Iterator[np.ndarray]:
        calls.append(1)
        yield np.arange(2.0)
        yield np.array([2.0])

    for _ in range(2):
        assert store.get("ab" * 32, 3, compute).tolist() == [0.0, 1.0, 2.0]
    assert len(calls) == 1
    assert isinstance(store.get("ab" * 32, 3, compute), np.memmap)


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY"])
def test_a_file_that_cannot_be_read_is_computed_again(tmp_path: Path, content: bytes) -> None:
    store = ArrayStore(tmp_path)
    store.get("ab" * 32, 1, lambda: iter([np.ones(1)]))
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(content)
    assert store.get("ab" * 32, 1, lambda: iter([np.ones(1)])).tolist() == [1.0]


def test_nothing_is_left_of_a_computation_that_fails(tmp_path: Path) -> None:
    def fails() -> Iterator[np.ndarray]:
        yield np.ones(1)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        ArrayStore(tmp_path).get("ab" * 32, 2, fails)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_groups_and_networks_have_their_own_addresses(features: Features) -> None:
    features.pooled((0, 1))
    features.pooled((1, 0))
    features.frozen("tokens", "another digest", (0, 1), features.backbone)
    assert len(list(features.store.root.rglob("*.npy"))) == 3


def test_tokens_have_the_shape_of_token_maps(features: Features) -> None:
    tokens = features.frozen(
        "tokens", features.backbone.digest, tuple(range(40)), features.backbone
    )  # more than one batch
    assert tokens.shape == (40, 2 + 12 * 3, 96)
    with torch.inference_mode():
        last = features.backbone(features.inputs(range(32, 40)))
    assert np.array_equal(tokens[32:], last.numpy())
