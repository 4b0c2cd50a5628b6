"""Protocols: session sizes, class order, support draw, validation clips."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from datasets.benchmark.clips import ClipTable
from datasets.benchmark.protocol import NAMED, AnyProtocol, Protocol, classes_present, draw_support, make_sessions
from datasets.utils.errors import EarshotError


def table(classes: int, train: int = 8, val: int = 3, test: int = 4) -> ClipTable:
    rows = [
        (f"{label:03d}-{index:03d}", label, split)
        for label in range(classes)
        for index, split in enumerate(["train"] * train + ["val"] * val + ["test"] * test)
    ]
    return ClipTable(
        clip_ids=tuple(row[0] for row in rows),
        labels=np.array([row[1] for row in rows], dtype=np.int32),
        splits=np.array([row[2] for row in rows]),
        class_names=tuple(f"class {label}" for label in range(classes)),
    )


def sizes(protocol: Protocol, classes: int, base_classes: int | None = None) -> list[int]:
    sessions = make_sessions(protocol, table(classes), order_seed=0, support_seed=0, base_classes=base_classes)
    return [len(session.classes) for session in sessions]


@pytest.mark.parametrize(
    ("protocol", "classes", "base_classes", "expected"),
    [
        (NAMED["ffcac-25"], 100, 60, [5] * 5),
        (NAMED["ffcac-50"], 100, 60, [5] * 10),
        (NAMED["ffcac-100"], 100, 60, [5] * 20),
        (NAMED["ffcac-100"], 89, 59, [5] * 17 + [4]),  # the last session may be smaller
        (NAMED["fcac"], 100, 60, [60] + [5] * 8),  # LS-100
        (NAMED["fcac"], 100, 55, [55] + [5] * 9),  # NSynth-100
        (NAMED["fcac"], 89, 59, [59] + [5] * 6),  # FSC-89
        (NAMED["fciac"], 100, 60, [60] + [5, 0] * 8),
        (NAMED["fciac"], 89, 59, [59] + [5, 0] * 6),
        (Protocol(base=10, way=3, leave=1, sessions=4), 24, None, [10, 3, 0, 3]),
        (Protocol(base=4, way=4), 24, None, [4] * 6),
        (Protocol(base=10, way=3, sessions=2), 24, None, [10, 3]),
    ],
)
def test_session_sizes(protocol: Protocol, classes: int, base_classes: int | None, expected: list[int]) -> None:
    assert sizes(protocol, classes, base_classes) == expected


@pytest.mark.parametrize("seed", [0, 1])
def test_classes_that_leave(seed: int) -> None:
    """Of two, one is a base class and one of those that came last; none leaves twice."""
    protocol = NAMED["fciac"].model_copy(update={"class_order": "seeded"})
    sessions = make_sessions(protocol, table(100), order_seed=seed, support_seed=0, base_classes=60)
    base = set(sessions[0].labels)
    gone: set[int] = set()
    for before, session in itertools.pairwise(sessions):
        if not session.leaving:
            continue
        first, second = (clips.label for clips in session.leaving)
        assert first in base - gone and second in before.labels
        assert [clips.support for clips in session.leaving if clips.label == second] == [
            clips.support for clips in before.classes if clips.label == second
        ]
        gone |= {first, second}
    assert len(gone) == 16
    present = classes_present(sessions)
    assert len(present) == 100 - 16 and not {clips.label for clips in present} & gone
    other = make_sessions(protocol, table(100), order_seed=seed + 1, support_seed=0, base_classes=60)
    assert [one.leaving for one in other] != [one.leaving for one in sessions]


def test_a_fixed_order_has_a_fixed_draw_of_leaving_classes() -> None:
    protocol = Protocol(base=5, way=3, leave=2)
    one, two = (make_sessions(protocol, table(14), order_seed=seed, support_seed=0) for seed in (0, 1))
    assert one == two


def test_the_support_draw_matches_the_released_code(golden: dict[str, np.ndarray]) -> None:
    draws = [key for key in golden if key.startswith("draw_seed")]
    assert len(draws) == 18
    for key in draws:
        seed, count = (int(part) for part in key.removeprefix("draw_seed").split("_n"))
        assert draw_support(count, 5, seed) == tuple(golden[key])


def test_the_support_draw_does_not_use_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    draw_support(50, 5, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())


@given(seed=st.integers(0, 2**31), shot=st.integers(1, 7))
def test_every_clip_of_a_class_has_at_most_one_role(seed: int, shot: int) -> None:
    for session in make_sessions(Protocol(way=2, shot=shot), table(6), order_seed=seed, support_seed=seed):
        for clips in session.classes:
            assert len(clips.support) == shot
            assert len(clips.query) == 4
            roles = [*clips.support, *clips.validation, *clips.query]
            assert len(set(roles)) == len(roles)
            assert set(clips.support) <= set(clips.pool)


def test_a_protocol_may_use_all_clips_of_base_classes() -> None:
    base, *later = make_sessions(NAMED["fcac"], table(12), order_seed=0, support_seed=0, base_classes=2)
    assert [len(clips.support) for clips in base.classes] == [8, 8]
    assert {len(clips.support) for session in later for clips in session.classes} == {5}


def test_without_a_val_split_validation_clips_are_train_clips_outside_the_support() -> None:
    for session in make_sessions(Protocol(way=2, shot=5), table(4, val=0), order_seed=0, support_seed=1):
        for clips in session.classes:
            assert len(clips.validation) == 3
            assert not set(clips.validation) & {*clips.support, *clips.query}


def test_the_number_of_validation_clips_is_limited() -> None:
    sessions = make_sessions(Protocol(way=2, validation=2), table(4), order_seed=0, support_seed=0)
    assert {len(clips.validation) for session in sessions for clips in session.classes} == {2}


def test_a_seeded_order_permutes_the_classes_of_the_protocol() -> None:
    protocol = NAMED["ffcac-25"].model_copy(update={"class_order": "seeded"})

    def order(seed: int) -> list[int]:
        sessions = make_sessions(protocol, table(40), order_seed=seed, support_seed=0)
        return [label for session in sessions for label in session.labels]

    assert sorted(order(0)) == list(range(25))
    assert order(0) == order(0)
    assert order(0) != order(1)


def test_order_and_support_seeds_are_independent() -> None:
    protocol = Protocol(way=2, class_order="seeded")
    first = make_sessions(protocol, table(6), order_seed=0, support_seed=0)
    other_support = make_sessions(protocol, table(6), order_seed=0, support_seed=1)
    assert [s.labels for s in first] == [s.labels for s in other_support]
    assert [s.support for s in first] != [s.support for s in other_support]


def test_an_explicit_order_is_used() -> None:
    protocol = Protocol(base=2, way=1, sessions=3, class_order=(5, 0, 3, 1))
    assert [s.labels for s in make_sessions(protocol, table(6), order_seed=0, support_seed=0)] == [
        (5, 0),
        (3,),
        (1,),
    ]


@pytest.mark.parametrize(
    ("protocol", "clips", "message"),
    [
        (NAMED["ffcac-25"], table(24), "needs 25 classes .* the benchmark has 24"),
        (NAMED["fcac"], table(24), "give --base"),
        (
            Protocol(way=2, shot=9, base_shot=8),
            table(4),
            r"too few train clips for the shots: 'class 2' \(label 2\) has 8 of 9, 'class 3' \(label 3\) has 8",
        ),
        (Protocol(way=2), table(2, test=0), r"no test clips: 'class 0' .*, 'class 1' .*; take"),
        (
            Protocol(way=2, shot=8),
            table(2, val=0),
            r"no validation clips, .*: 'class 0' .*, 'class 1' .*; take",
        ),
        (
            Protocol(way=2, shot=9),
            table(2, test=0),
            r"shots: 'class 0' .* has 8 of 9; no test clips: 'class 0' \(label 0\), 'class 1'",
        ),
        (Protocol(way=2, shot=9), table(30), r"\(label 19\) has 8 of 9 and 10 more; take fewer"),
        (
            Protocol(base=3, way=1, leave=1),
            table(9),
            r"session 6 removes 1 base classes \(leave 1\), 1 are left and one must stay; take fewer with --leave",
        ),
        (Protocol(base=9, way=1, leave=4), table(12), r"removes 2 of the classes that came last .*, these are 1"),
        (Protocol(way=2, class_order=(0, 9)), table(4), "label 9 is not in the benchmark; expected 0 to 3"),
        (Protocol(way=2, class_order=(0, 1, 2)), table(4), "names 3 labels, protocol free needs 4"),
    ],
)
def test_a_protocol_that_does_not_fit_the_benchmark_is_an_error(
    protocol: Protocol, clips: ClipTable, message: str
) -> None:
    with pytest.raises(EarshotError, match=message):
        make_sessions(protocol, clips, order_seed=0, support_seed=0)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("ffcac-50", "ffcac-50"),
        ({"name": "ffcac-50"}, "ffcac-50"),
        ({"name": "ffcac-50", "class_order": "seeded", "validation": 3}, "ffcac-50"),
        ({"name": "ffcac-50", "shot": 1}, "ffcac-50-changed"),
        ({"name": "ffcac-50", "exemplars": 0}, "ffcac-50"),
        ({"name": "ffcac-50", "class_order": [3, 1]}, "ffcac-50-changed"),
        ({"name": "free", "shot": 1}, "free"),
        ({"name": "mine", "way": 2}, "mine"),
    ],
)
def test_a_changed_protocol_loses_its_published_name(value: Any, name: str) -> None:
    protocol = TypeAdapter(AnyProtocol).validate_python(value)
    assert protocol.name == name
    if name.startswith("ffcac-50"):
        assert protocol.sessions == 10
    assert TypeAdapter(AnyProtocol).validate_python(protocol.model_dump(mode="json")) == protocol


@pytest.mark.parametrize("value", ["ffcac-51", {"name": "../escape"}, {"name": ["x"]}])
def test_unknown_and_invalid_names_are_rejected(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AnyProtocol).validate_python(value)


def test_validation_clips_are_never_in_the_pool() -> None:
    """Without a val split, `compat: reference` must not choose exemplars among the clips for model selection."""
    for session in make_sessions(Protocol(way=2, shot=2), table(4, val=0), order_seed=0, support_seed=0):
        for clips in session.classes:
            assert not set(clips.validation) & set(clips.pool)


def test_a_repeated_label_is_rejected() -> None:
    with pytest.raises(ValidationError, match="names a label twice"):
        Protocol(class_order=(1, 1))
