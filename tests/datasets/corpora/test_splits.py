"""Splits by file and by group."""

import hashlib
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.corpora.splits import connected_classes, split_files, split_groups


def counts(splits: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(Counter(splits.values())[split] for split in ("train", "val", "test"))


@given(
    st.integers(2, 60),
    st.sampled_from([(0.6, 0.2), (0.5, 0.0), (0.05, 0.05), (0.9, 0.05), (0.34, 0.33)]),
    st.integers(0, 9),
)
def test_every_class_has_train_and_test_files(number: int, parts: tuple[float, float], seed: int) -> None:
    paths = [f"c/{i}.wav" for i in range(number)]
    splits = split_files(paths, *parts, seed)
    assert sorted(splits) == sorted(paths)
    train, _, test = counts(splits)
    assert train >= 1 and test >= 1
    assert abs(train - parts[0] * number) <= 1
    assert splits == split_files(paths[::-1], *parts, seed)


def test_split_is_as_documented() -> None:
    """Computed independently: sha256 of '0', a zero byte and the path."""
    paths = [f"c/{i}.wav" for i in range(10)]
    ordered = sorted(paths, key=lambda path: hashlib.sha256(b"0\0" + path.encode()).hexdigest())
    wanted = dict(zip(ordered, ["train"] * 6 + ["val"] * 2 + ["test"] * 2, strict=True))
    assert split_files(paths, 0.6, 0.2, 0) == wanted
    assert split_files(paths, 0.6, 0.2, 1) != wanted
    assert counts(split_files(paths[:3], 0.6, 0.2, 0)) == (2, 0, 1)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 12), min_size=1, max_size=25), min_size=1),
    st.sampled_from([(0.6, 0.2), (0.5, 0.0), (0.8, 0.1)]),
    st.integers(0, 3),
)
def test_no_group_is_in_two_splits(files: dict[str, list[int]], parts: tuple[float, float], seed: int) -> None:
    classes = {
        name: {f"{name}/{i}.wav": str(group) for i, group in enumerate(groups)} for name, groups in files.items()
    }
    splits = split_groups(classes, *parts, seed)
    assert {name: set(paths) for name, paths in splits.items()} == {name: set(paths) for name, paths in classes.items()}
    of_group: dict[str, set[str]] = {}
    for name, groups in classes.items():
        for path, group in groups.items():
            of_group.setdefault(group, set()).add(splits[name][path])
    assert all(len(found) == 1 for found in of_group.values())
    assert split_groups(dict(reversed(classes.items())), *parts, seed) == splits
    if len(classes) == 1 and len(of_group) >= 2:
        (only,) = splits.values()
        assert {"train", "test"} <= set(only.values())


def test_fractions_are_approached_for_equal_and_unequal_groups() -> None:
    equal = {f"{group}-{take}": str(group) for group in range(10) for take in range(4)}
    assert counts(split_groups({"a": equal}, 0.6, 0.2, 0)["a"]) == (24, 8, 8)
    unequal = {f"{group}-{take}": str(group) for group, size in enumerate((60, 20, 9, 7, 4)) for take in range(size)}
    for seed in range(5):
        assert counts(split_groups({"a": unequal}, 0.6, 0.2, seed)["a"]) == (60, 20, 20)
    three = {f"{group}-{take}": str(group) for group in range(3) for take in range(5)}
    assert counts(split_groups({"a": three}, 0.6, 0.2, 0)["a"]) == (5, 5, 5)  # val is not left empty


def test_speakers_of_all_classes_are_disjoint_and_each_class_has_its_fractions() -> None:
    classes = {
        emotion: {f"{emotion}/{speaker}_{take}": str(speaker) for speaker in range(10) for take in range(3)}
        for emotion in ("angry", "calm", "sad")
    }
    splits = split_groups(classes, 0.6, 0.2, 0)
    assert {counts(of_class) for of_class in splits.values()} == {(18, 6, 6)}
    assert split_groups(classes, 0.6, 0.2, 1) != splits


def test_a_new_class_with_its_own_groups_changes_no_other_class() -> None:
    classes = {name: {f"{name}/{i}": f"{name}{i // 3}" for i in range(30)} for name in "ac"}
    before = split_groups(classes, 0.6, 0.2, 0)
    after = split_groups({**classes, "b": {f"b/{i}": f"b{i // 2}" for i in range(9)}}, 0.6, 0.2, 0)
    assert {name: after[name] for name in before} == before
    shared = {**classes, "b": {"b/1": "a0", "b/2": "x"}}
    assert connected_classes(shared) == [("a", "b"), ("c",)]


def test_train_and_test_where_the_first_order_fails() -> None:
    """Each class has two groups and shares them with its neighbours: they have to alternate."""
    chain = {f"{i:02d}": {f"{i}/a": f"g{i}", f"{i}/b": f"g{i + 1}"} for i in range(12)}
    for seed in range(5):
        splits = split_groups(chain, 0.5, 0.0, seed)
        assert {counts(of_class) for of_class in splits.values()} == {(1, 0, 1)}


@pytest.mark.parametrize(
    "classes", [{"a": {"1": "g", "2": "g"}}, {n: {n + "1": n, n + "2": chr(97 + (ord(n) - 96) % 3)} for n in "abc"}]
)
def test_impossible_groups_stay_whole(classes: dict[str, dict[str, str]]) -> None:
    splits = split_groups(classes, 0.5, 0.0, 0)
    assert not all({"train", "test"} <= set(of_class.values()) for of_class in splits.values())
