import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.benchmark.audit import (
    Audit,
    Balance,
    LabelPair,
    balance,
    class_loudness,
    examine,
    label_pairs,
    repeats,
    shared,
)
from datasets.benchmark.ceiling import accuracy_ceilings, protocol_ceiling
from datasets.benchmark.clips import ClipTable
from datasets.benchmark.listing import Listing
from datasets.benchmark.measures import Measures, measure
from datasets.corpora.registry import find_corpus
from datasets.utils.errors import EarshotError

LSB = 1 / 32768


def table(labels: str, splits: str) -> ClipTable:
    """Clips '0', '1', ...: a digit for the label and a letter for the split of each."""
    names = {"r": "train", "v": "val", "t": "test"}
    numbers = np.array([int(label) for label in labels], np.int32)
    classes = tuple(f"class {label}" for label in range(max(numbers, default=0) + 1))
    return ClipTable(tuple(map(str, range(len(labels)))), numbers, np.array([names[s] for s in splits], "U5"), classes)


# --- ceilings: contents are letters, all clips are test clips


@pytest.mark.parametrize(
    ("contents", "labels", "new_labels", "expected"),
    [
        ("abcd", "0011", [[0], [1]], [1, 1]),
        ("abab", "0011", [[0], [1]], [1, 1 / 2]),  # both clips of 1 are clips of 0
        ("abab", "0011", [[1], [0]], [1, 1 / 2]),
        ("abbc", "0011", [[0, 1]], [3 / 4]),
        ("aaab", "0012", [[0], [1], [2]], [1, 2 / 3, 3 / 4]),  # the label with more clips of 'a' is predicted
        ("aaaa", "0123", [[0], [1], [2], [3]], [1, 1 / 2, 1 / 3, 1 / 4]),
        ("aabb", "0101", [[0, 1]], [1 / 2]),
        ("aab", "002", [[1], [0]], [np.nan, 1]),  # no clips of class 1; repeats within a class do not lower the ceiling
    ],
)
def test_ceilings(contents: str, labels: str, new_labels: list[list[int]], expected: list[float]) -> None:
    ceilings = accuracy_ceilings(contents, table(labels, "t" * len(labels)), new_labels)
    np.testing.assert_allclose(ceilings, expected)


def test_only_test_clips_count_for_the_ceiling() -> None:
    assert accuracy_ceilings("aaab", table("0101", "rvtt"), [[0, 1]]) == (1,)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=8))
def test_the_ceiling_is_the_accuracy_of_the_best_predictions(clips: list[tuple[str, int]]) -> None:
    contents, labels = [content for content, _ in clips], [label for _, label in clips]
    best = max(
        np.mean([predictions["abc".index(content)] == label for content, label in clips])
        for predictions in product(range(3), repeat=3)
    )
    clip_table = table("".join(map(str, labels)), "t" * len(clips))
    assert accuracy_ceilings(contents, clip_table, [set(labels)]) == (pytest.approx(best),)


def test_the_ceiling_of_a_protocol_follows_its_class_order() -> None:
    """Six classes of five train, one val and two test clips; the test clips of the labels 0 and 5 are the same."""
    labels = "".join(str(label) * 8 for label in range(6))
    clips = table(labels, "rrrrrvtt" * 6)
    contents = [f"{label if label != '5' or i % 8 < 6 else '0'}-{i % 8}" for i, label in enumerate(labels)]
    listing = Listing(clips, tuple(contents), tuple(contents), None, 1.0)
    fixed = protocol_ceiling("ffcac-100", listing)
    assert (fixed.classes, fixed.accuracy) == ((5, 6), (1, pytest.approx(10 / 12)))
    seeded = {protocol_ceiling("ffcac-100", listing, seed).accuracy for seed in range(8)}
    assert {round(first, 3) for first, _ in seeded} == {0.8, 1} and {last for _, last in seeded} == {10 / 12}
    with pytest.raises(EarshotError) as error:
        protocol_ceiling("ffcac-25", listing)
    assert str(error.value) == (
        "protocol ffcac-25: does not fit this benchmark: needs 25 classes (base 5, then 5 a session, 5 sessions), "
        "the benchmark has 6; leave --protocol out for those that fit"
    )
    with pytest.raises(EarshotError, match="benchmark does not say how many of its classes are base classes; leave --"):
        protocol_ceiling("fcac", listing)
    with pytest.raises(EarshotError, match=r"protocol 'ffcac': not known; did you mean 'f?fcac"):
        protocol_ceiling("ffcac", listing)


# --- duplicates and sources


@pytest.mark.parametrize(
    ("contents", "labels", "splits", "pairs"),
    [
        ("abcd", "0011", "rtrt", []),
        ("aabb", "0011", "rtrt", []),
        ("abab", "0011", "rtrt", [(0, 1, 2, (2, 0, 2))]),
        ("aaa", "001", "rrv", [(0, 1, 1, (2, 1, 0))]),
        ("aaab", "0121", "rvtt", [(0, 1, 1, (1, 1, 0)), (0, 2, 1, (1, 0, 1)), (1, 2, 1, (0, 1, 1))]),
        ("abcabc", "000111", "rvtrtt", [(0, 1, 3, (2, 1, 3))]),
        ("aaaaab", "000110", "rrvttr", [(0, 1, 1, (2, 1, 2))]),  # the same clip often
        ("", "", "", []),
    ],
)
def test_label_pairs(
    contents: str, labels: str, splits: str, pairs: list[tuple[int, int, int, tuple[int, int, int]]]
) -> None:
    assert label_pairs(contents, table(labels, splits)) == tuple(LabelPair(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("keys", "splits", "expected"),
    [  # (keys in both, keys in test, test clips with a key in both)
        ("abcd", "rrtt", (0, 2, ())),
        ("abbc", "rrtt", (1, 2, (2,))),
        ("aabaa", "rttvt", (1, 2, (1, 4))),
        ("aabb", "vtvt", (0, 2, ())),
    ],
)
def test_overlap_of_train_and_test(keys: str, splits: str, expected: tuple[int, int, tuple[int, ...]]) -> None:
    overlap = shared(keys, table("0" * len(keys), splits), "train", "test")
    assert (overlap.keys, overlap.of, overlap.positions, overlap.by_label) == (*expected, (len(expected[2]),))


def test_overlap_is_counted_by_the_classes_of_the_second_split() -> None:
    assert shared("aaab", table("0121", "rttt"), "train", "test").by_label == (0, 1, 1)


def test_repeats_are_within_one_class_and_split() -> None:
    assert repeats("aaaaab", table("001000", "rrrttr")) == (1, 4)


# --- audio


def tone(amplitude: float, samples: int = 8000) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 100 * np.arange(samples) / samples)


def test_levels_are_relative_to_full_scale() -> None:
    audio = np.stack([tone(0), tone(1), tone(0.1), np.full(8000, 0.5), tone(0.001)]).astype(np.float32)
    measures = measure(audio)
    np.testing.assert_allclose(measures.rms_db, [-np.inf, -3.0103, -23.0103, -6.0206, -63.0103], atol=1e-3)


@pytest.mark.parametrize(
    ("samples", "clipped"),
    [
        ([0, 1, 1, 0, 0, 0, 0, 0], 0),
        ([0, 1, 1, 1, 0, 0, 0, 0], 3),
        ([1, 1, 1, 0, 1, 1, 0, 1], 3),
        ([0, 0, 0, 0, -1, -1, -1, -1], 4),
        ([1, 1, 1, 0, 1, 1, 1, 1], 7),
        ([1, -1, 1, -1, 1, -1, 1, -1], 8),
        ([1.7, 1.2, 1 - LSB, 0, 0, 0, 0, 0], 3),
        ([1 - 2 * LSB] * 8, 0),
        ([1, 1], 0),
    ],
)
def test_a_run_of_three_samples_at_full_scale_is_clipped(samples: list[float], clipped: int) -> None:
    assert measure(np.array([samples], np.float32)).clipped.tolist() == [clipped]


def test_contents_are_equal_if_the_16_bit_samples_are_equal() -> None:
    wave = np.round(tone(0.5) / LSB) * LSB
    louder = wave.copy()
    louder[4321] += LSB
    audio = np.stack([wave, wave + 0.4 * LSB, louder, wave[::-1], wave]).astype(np.float32)
    contents = measure(audio).contents.tolist()
    assert contents[0] == contents[1] == contents[4]
    assert len(set(contents)) == 3 and all(len(content) == 32 for content in contents)


def test_measures_do_not_depend_on_the_batch() -> None:
    audio = np.random.default_rng(0).normal(0, 0.5, (7, 500)).astype(np.float32)
    whole = measure(audio)
    parts = Measures.concatenate([measure(audio[4:]), measure(audio[:0]), measure(audio[:4])])
    again = parts.at(np.array([3, 4, 5, 6, 0, 1, 2]))
    assert again.contents.tolist() == whole.contents.tolist() and again.clipped.tolist() == whole.clipped.tolist()
    np.testing.assert_array_equal(again.rms_db, whole.rms_db)
    assert len(Measures.concatenate([]).contents) == 0


def test_class_loudness_excludes_near_silent_clips() -> None:
    levels = np.array([-20.0, -30, -90, -np.inf, -40, -61])
    loudness = class_loudness(levels, np.array([0, 0, 0, 1, 2, 2]), 3)
    np.testing.assert_allclose(loudness, [[-25, np.sqrt(50)], [np.nan, np.nan], [-40, np.nan]])


def test_base_and_novel_classes_are_balanced_separately() -> None:
    counts = np.array([[8, 2, 4], [4, 2, 4], [5, 0, 1], [5, 0, 3], [5, 0, 0]])
    assert balance(counts, 2) == (
        Balance("base", "train", 4, 6.0, 8),
        Balance("base", "val", 2, 2.0, 2),
        Balance("base", "test", 4, 4.0, 4),
        Balance("novel", "train", 5, 5.0, 5),
        Balance("novel", "test", 0, 1.0, 3),
    )
    undivided = balance(counts, None)
    assert [entry.ratio for entry in undivided] == [2, np.inf, np.inf]
    assert {entry.part for entry in undivided} == {"all"}


def test_a_benchmark_without_clips_is_an_error() -> None:
    with pytest.raises(EarshotError, match="nothing: expected clips, found none"):
        examine("nothing", Listing(table("", ""), (), (), None, 1.0))


# --- the published lists


def published(shared_folder: Path, name: str, folder: str, **options: str) -> Audit:
    corpus = find_corpus(name)
    meta = shared_folder / "published" / folder
    fields: dict[str, Any] = {"meta": meta, **{key: meta / value for key, value in options.items()}}
    clips = corpus.listing(corpus.options_type(**fields))
    assert clips is not None
    return examine(name, clips, [protocol_ceiling("ffcac-25", clips)])


def test_ls100_as_published_has_five_pairs_of_labels_with_the_same_clips(shared: Path) -> None:
    audit = published(shared, "ls100-published", "ls100")
    labels = [(12, 13), (14, 15), (17, 18), (53, 54), (92, 93)]
    assert audit.pairs == tuple(LabelPair(*pair, 750, (1000, 300, 200)) for pair in labels)
    assert audit.ceiling == 0.95
    np.testing.assert_allclose(audit.ceilings[0].accuracy, [1, 1, 14 / 15, 0.85, 0.88])
    assert [overlap.keys for overlap in audit.splits] == [0, 0, 0] and not audit.repeats


def test_fsc89_setup1_shares_2643_soundscapes_all_of_novel_classes(shared: Path) -> None:
    audit = published(shared, "fsc89", "fsc89", vocabulary="vocabulary.json")
    leak = audit.sources[0]
    assert (leak.keys, leak.of, len(leak.positions)) == (2643, 15511, 3028)
    assert not any(leak.by_label[:59]) and all(leak.by_label[59:])
    assert not audit.pairs and not audit.repeats and [overlap.keys for overlap in audit.splits] == [0, 0, 0]
    assert audit.ceiling == 1 and audit.ceilings[0].accuracy == (1,) * 5


@pytest.mark.parametrize(("name", "classes"), [("nsynth100", 100), ("nsynth200", 200)])
def test_nsynth_has_no_duplicates_and_no_overlap(shared: Path, name: str, classes: int) -> None:
    audit = published(shared, name, "nsynth")
    assert len(audit.counts) == classes and Counter(audit.counts[:, 2].tolist()) == {100: classes}
    assert not audit.pairs and not audit.repeats
    assert not any(overlap.keys for overlap in (*audit.splits, *audit.sources))
    assert [(entry.part, entry.split, entry.least, entry.most) for entry in audit.balance] == [
        ("base", "train", 200, 200),
        ("base", "val", 100, 100),
        ("base", "test", 100, 100),
        ("novel", "train", 100, 100),
        ("novel", "test", 100, 100),
    ]


@pytest.mark.parametrize("module", ["audit", "listing", "manifest", "protocol", "shard_writer", "shards"])
def test_the_package_is_imported_without_heavy_libraries(module: str) -> None:
    heavy = "{'torch', 'ray', 'pandas', 'scipy'}"
    program = f"import sys, datasets.benchmark.{module}; print(sorted({heavy} & set(sys.modules)))"
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
