"""The store of stages: whole or not there, damaged ones are noticed, equal parts are stored once."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from trainables.records import PREDICTIONS
from trainables.store.layout import address_of
from trainables.store.stages import Stage, StageStore
from trainables.store.state import State


def stage(number: int, parent: str | None = None) -> Stage:
    rows = {"split": ["test"], "clip_id": ["a"], "label": [0], "head": ["h"], "prediction": [number]}
    depends_on = {"session": number, "parent": parent}
    return Stage(address_of(depends_on), depends_on, pa.table(rows, schema=PREDICTIONS), 1.5, 10, 7)


STATE = State({"general": {"w": torch.arange(4.0)}, "head": {"b": torch.ones(2)}}, {"classes": [3, 1]})


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "store")


def test_published_is_found_whole(store: StageStore) -> None:
    one = stage(1)
    assert store.find(one.address) is None
    store.publish(one, STATE)
    assert store.find(one.address) == one
    state = store.state(one.address)
    assert state is not None
    assert state.notes == {"classes": [3, 1]}
    assert torch.equal(state.parts["general"]["w"], torch.arange(4.0))


def test_equal_parts_are_stored_once(store: StageStore) -> None:
    store.publish(stage(1), STATE)
    store.publish(stage(2), State({"general": STATE.parts["general"], "head": {"b": torch.zeros(2)}}, {}))
    assert len(list(store.depot.folder.glob("parts/*/*.safetensors"))) == 3


def test_a_settled_part_is_not_looked_at_again(store: StageStore) -> None:
    """It is the parent's, as long as that is there; then it is stored anew."""
    other = {"general": {"w": torch.zeros(4)}, "head": {"b": torch.zeros(2)}}
    settled = State(other, {}, frozenset({"general"}))
    one = stage(1)
    store.publish(one, STATE)
    store.publish(stage(2, one.address), settled)
    state = store.state(stage(2, one.address).address)
    assert state is not None
    assert torch.equal(state.parts["general"]["w"], torch.arange(4.0))
    assert torch.equal(state.parts["head"]["b"], torch.zeros(2))
    for path in store.depot.folder.glob("parts/*/*.safetensors"):
        path.unlink()
    store.publish(stage(3, one.address), settled)
    anew = store.state(stage(3, one.address).address)
    assert anew is not None
    assert torch.equal(anew.parts["general"]["w"], torch.zeros(4))


def test_publishing_twice_is_harmless(store: StageStore) -> None:
    store.publish(stage(1), STATE)
    store.publish(stage(1), STATE)
    assert store.find(stage(1).address) == stage(1)
    assert not [path for path in store.depot.folder.rglob("*") if "aside" in path.name or path.name.startswith(".")]


@pytest.mark.parametrize("name", ["stage.json", "predictions.parquet"])
def test_a_damaged_stage_is_as_good_as_none(store: StageStore, name: str) -> None:
    one = stage(1)
    store.publish(one, STATE)
    (path,) = store.depot.folder.rglob(name)
    path.write_bytes(path.read_bytes()[:-20])
    assert store.find(one.address) is None
    store.publish(one, STATE)
    assert store.find(one.address) == one


def test_a_damaged_part_is_noticed_and_written_again(store: StageStore) -> None:
    one = stage(1)
    store.publish(one, STATE)
    path = next(store.depot.folder.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert store.state(one.address) is None
    store.publish(one, STATE)
    assert store.state(one.address) is not None


def test_an_address_does_not_depend_on_the_order_of_keys() -> None:
    assert address_of({"a": 1, "b": [1, 2]}) == address_of({"b": [1, 2], "a": 1})
    assert address_of({"a": 1}) != address_of({"a": 2})
