"""The store of stages: complete or absent, damage is detected, equal parts are stored once."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from trainables.records import PREDICTIONS
from trainables.store import stages
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


def test_a_published_stage_is_read_back(store: StageStore) -> None:
    published = stage(1)
    assert store.find(published.address) is None
    store.publish(published, STATE)
    assert store.find(published.address) == published
    state = store.state(published.address)
    assert state is not None
    assert state.notes == {"classes": [3, 1]}
    assert torch.equal(state.parts["general"]["w"], torch.arange(4.0))


def test_equal_parts_are_stored_once(store: StageStore) -> None:
    store.publish(stage(1), STATE)
    store.publish(stage(2), State({"general": STATE.parts["general"], "head": {"b": torch.zeros(2)}}, {}))
    assert len(list(store.shared_files.folder.glob("parts/*/*.safetensors"))) == 3


def test_a_settled_part_is_taken_from_the_parent(store: StageStore) -> None:
    """Unless the parent's part is gone; then it is stored again."""
    other = {"general": {"w": torch.zeros(4)}, "head": {"b": torch.zeros(2)}}
    settled = State(other, {}, frozenset({"general"}))
    published = stage(1)
    store.publish(published, STATE)
    store.publish(stage(2, published.address), settled)
    state = store.state(stage(2, published.address).address)
    assert state is not None
    assert torch.equal(state.parts["general"]["w"], torch.arange(4.0))
    assert torch.equal(state.parts["head"]["b"], torch.zeros(2))
    for path in store.shared_files.folder.glob("parts/*/*.safetensors"):
        path.unlink()
    store.publish(stage(3, published.address), settled)
    stored_again = store.state(stage(3, published.address).address)
    assert stored_again is not None
    assert torch.equal(stored_again.parts["general"]["w"], torch.zeros(4))


def test_tensors_that_were_changed_in_place_are_written_again(
    store: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same objects are not written and hashed again as long as nothing changed them."""
    kept, changed = torch.arange(4.0), torch.ones(2)
    written: list[list[str]] = []

    def counting(tensors: dict[str, torch.Tensor], file: Path) -> None:
        written.append(list(tensors))
        save_file(tensors, file)

    monkeypatch.setattr(stages, "save_file", counting)
    for number in (1, 2, 3):
        store.publish(stage(number), State({"kept": {"w": kept}, "changed": {"b": changed}}))
        if number == 2:
            changed += 1
    assert sorted(written) == [["b"], ["b"], ["w"]]
    states = [store.state(stage(number).address) for number in (1, 2, 3)]
    assert [state.parts["changed"]["b"].tolist() for state in states if state] == [[1, 1], [1, 1], [2, 2]]
    assert all(state is not None and torch.equal(state.parts["kept"]["w"], kept) for state in states)
    for path in store.shared_files.folder.glob("parts/*/*.safetensors"):
        path.unlink()
    store.publish(stage(4), State({"kept": {"w": kept}, "changed": {"b": changed}}))
    assert store.state(stage(4).address) is not None


def test_publishing_twice_is_harmless(store: StageStore) -> None:
    store.publish(stage(1), STATE)
    store.publish(stage(1), STATE)
    assert store.find(stage(1).address) == stage(1)
    assert not [path for path in store.shared_files.folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["stage.json", "predictions.parquet"])
def test_a_damaged_stage_is_removed_and_can_be_published_again(store: StageStore, name: str) -> None:
    published = stage(1)
    store.publish(published, STATE)
    (path,) = store.shared_files.folder.rglob(name)
    path.write_bytes(path.read_bytes()[:-20])
    assert store.find(published.address) is None
    store.publish(published, STATE)
    assert store.find(published.address) == published


def test_a_damaged_part_is_detected_and_written_again(store: StageStore) -> None:
    published = stage(1)
    store.publish(published, STATE)
    path = next(store.shared_files.folder.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert store.state(published.address) is None
    store.publish(published, STATE)
    assert store.state(published.address) is not None


def test_an_address_does_not_depend_on_the_order_of_keys() -> None:
    assert address_of({"a": 1, "b": [1, 2]}) == address_of({"b": [1, 2], "a": 1})
    assert address_of({"a": 1}) != address_of({"a": 2})


def test_a_flipped_bit_in_the_notes_is_detected(store: StageStore) -> None:
    """Also where only the state is read, as by the next session."""
    published = stage(1)
    store.publish(published, STATE)
    (path,) = store.shared_files.folder.rglob("stage.json")
    path.write_text(path.read_text().replace("  3,", "  2,"))
    assert store.state(published.address) is None
    assert store.find(published.address) is None


def test_a_stage_of_an_earlier_version_has_no_checksum(store: StageStore) -> None:
    published = stage(1)
    store.publish(published, STATE)
    (path,) = store.shared_files.folder.rglob("stage.json")
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))
    assert store.find(published.address) == published
    state = store.state(published.address)
    assert state is not None and state.notes == STATE.notes
