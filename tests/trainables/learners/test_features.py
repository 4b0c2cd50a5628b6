"""Frozen embeddings: correct, stored once, read back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.learners.features import Features
from trainables.networks.classifier import trainable
from trainables.store import arrays
from trainables.store.arrays import ArrayRows, ArrayStore, ConcatRows, Rows


def test_pooled_is_the_backbones_embedding(features: Features) -> None:
    positions = (3, 40, 7)
    with torch.inference_mode():
        expected = features.backbone.pool(features.backbone(features.inputs(positions)[:]))
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


def test_an_array_that_differs_from_its_checksum_is_computed_again(tmp_path: Path) -> None:
    def get() -> list[float]:
        array = ArrayStore(tmp_path).get("ab" * 32, 2, lambda: iter([np.ones(2)]))
        assert isinstance(array, np.memmap)
        return array.tolist()

    get()
    (path,) = tmp_path.rglob("*.npy")
    for index in (-40, -20, -3):  # in the first value, in the second one, in the checksum
        content = bytearray(path.read_bytes())
        content[index] ^= 1
        path.write_bytes(content)
        assert get() == [1.0, 1.0]
        assert path.read_bytes() != bytes(content)
    np.save(path, np.zeros(2))  # of an earlier version, without a checksum
    assert get() == [0.0, 0.0]


def test_a_computation_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fails() -> Iterator[np.ndarray]:
        yield np.ones(1)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        ArrayStore(tmp_path).get("ab" * 32, 2, fails)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_small_arrays_are_read_once_and_few_of_them_are_cached(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    get = features.store.get

    def counted(address: str, *rest: Any, **options: Any) -> np.ndarray:
        opened.append(address)
        return get(address, *rest, **options)

    monkeypatch.setattr(features.store, "get", counted)
    first = features.pooled((0, 1))
    assert torch.equal(features.pooled((0, 1)), first)
    assert len(opened) == 1

    monkeypatch.setattr("trainables.learners.features.CACHED", 2 * 96 * 4)  # an embedding of two clips
    features.pooled((2, 3))
    assert torch.equal(features.pooled((0, 1)), first)
    assert len(opened) == 1 + 1 + 1

    monkeypatch.setattr("trainables.learners.features.SMALL", 0)
    for _ in range(2):
        features.pooled((4, 5))
    assert len(opened) == 1 + 1 + 1 + 2


def test_every_group_and_every_network_has_its_address(features: Features) -> None:
    features.pooled((0, 1))
    features.pooled((1, 0))
    features.frozen("tokens", "another digest", (0, 1), features.backbone)
    assert features.store.shared_files is not None
    assert len(list(features.store.shared_files.folder.rglob("*.npy"))) == 3


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept in memory", "too large"])
def test_spectrograms_need_not_be_stored(
    features: Features, precision: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedding has the same bits whether its spectrograms are stored or not, and does not store them."""
    monkeypatch.setattr("trainables.learners.features.CACHED_INPUTS", 16 << 20 if kept else 0)
    features.precision = precision
    positions = tuple(range(40))  # more than one batch
    first = features.frozen("first", "digest", positions, features.backbone)[:]
    second = features.frozen("second", "digest", positions, features.backbone)[:]
    assert not features.has(features.inputs_request(positions))
    inputs = features.inputs(positions)
    with torch.inference_mode(), features.autocast():
        expected = torch.cat([features.backbone(inputs[:32]).float(), features.backbone(inputs[32:]).float()])
    assert torch.equal(first, expected)
    assert torch.equal(second, expected)


def test_token_maps_are_stored_in_16_bits(features: Features) -> None:
    positions = tuple(range(40))  # more than one batch
    tokens = features.tokens(features.backbone.digest, positions, features.backbone)
    assert tokens.shape == (40, 2 + 12 * 3, 96)
    with torch.inference_mode():
        last = features.backbone(features.inputs(positions)[32:])
    assert torch.equal(tokens[32:], last.half().float())


def test_the_rows_below_a_network_are_read_only_when_its_output_is_not_stored(features: Features) -> None:
    reads: list[int] = []

    def tokens() -> Rows:
        reads.append(1)
        return features.tokens(features.backbone.digest, (4, 9), features.backbone)

    for _ in range(2):
        pooled = features.frozen("pooled tokens", "digest", (4, 9), features.backbone.pool, of=tokens)[:]
    torch.testing.assert_close(pooled, features.pooled((4, 9)), atol=2e-3, rtol=2e-3)
    assert len(reads) == 1


def test_the_output_of_a_network_that_changes_is_not_stored(features: Features) -> None:
    network = trainable(features.backbone)
    before = features.embed(lambda x: network.pool(network(x)), (1, 2))
    assert not before.is_inference()
    with torch.no_grad():
        network.ast.layernorm.bias.add_(1.0)
    after = features.embed(lambda x: network.pool(network(x)), (1, 2))
    torch.testing.assert_close(after, before + 1)


@pytest.mark.parametrize("resident", [0, 1 << 20])
def test_rows_of_one_array_and_of_several(resident: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays stay in memory, large ones are read batch by batch: the same rows."""
    monkeypatch.setattr(arrays, "RESIDENT", resident)
    whole = torch.arange(20.0).reshape(10, 2)
    members = [ArrayRows(whole[first:last].half().numpy(), "cpu") for first, last in ((0, 4), (4, 4), (4, 5), (5, 10))]
    joined = ConcatRows(members)
    assert joined.shape == (10, 2)
    for batch in ([9, 0, 4, 3, 4], [5], [7, 6]):
        rows = torch.tensor(batch)
        assert torch.equal(joined[rows], whole[rows])
        assert torch.equal(ArrayRows(whole.numpy(), "cpu")[rows], whole[rows])
    assert torch.equal(joined[3:6], whole[3:6])
    assert torch.equal(joined[:], whole)


def test_the_store_has_an_array_once_it_was_computed(features: Features) -> None:
    """Requests name the arrays that the methods read, and compute nothing."""
    positions = (3, 7)
    waveforms = "mean wave", positions, lambda waves: waves.mean(dim=1, keepdim=True)
    requests = {
        "inputs": features.inputs_request(positions),
        "pooled": features.pooled_request(positions),
        "description": features.description_request(*waveforms),
    }
    assert not any(features.has(request) for request in requests.values())
    read = {
        "inputs": features.inputs(positions)[:],
        "pooled": features.pooled(positions),
        "description": features.describe(*waveforms),
    }
    for name, request in requests.items():
        assert features.has(request)
        assert torch.equal(features.get(request)[:], read[name])
    assert not features.has(features.inputs_request((7, 3)))


def test_inputs_of_groups_are_one_after_the_other(features: Features) -> None:
    expected = torch.cat([features.inputs((3, 7))[:], features.inputs((5,))[:]])
    assert torch.equal(features.inputs_of_groups([(3, 7), (5,)])[:], expected)


def test_a_store_without_a_folder_stores_nothing() -> None:
    store = ArrayStore(None)
    assert store.get("ab" * 32, 2, lambda: iter([np.ones(1), np.zeros(1)])).tolist() == [1.0, 0.0]


def test_arrays_that_a_method_from_outside_defines_depend_on_its_code(features: Features) -> None:
    """Inputs and embeddings of the backbone are shared with all methods."""
    own = [
        Features(features.clips, features.frontend, features.backbone, features.store, code=code)
        for code in ("", "a" * 64, "b" * 64)
    ]
    described = {one.description_request("mine", (0, 1), torch.abs).address for one in own}
    tokens = {one.frozen_request("tokens", one.backbone.digest, (0, 1), torch.abs).address for one in own}
    assert len(described) == len(tokens) == 3
    assert len({one.pooled_request((0, 1)).address for one in own}) == 1
    assert len({one.inputs_request((0, 1)).address for one in own}) == 1
