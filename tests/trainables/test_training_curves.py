"""Curves of trainings: what is kept of long ones, their file, and its damage."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.utils.errors import EarshotError
from tests.support.interleaving import between_steps
from trainables.learners.training_listener import Epoch
from trainables.training_curves import (
    POINTS,
    TRAININGS,
    CurveRecorder,
    Curves,
    curves_of,
    parse_curves,
    write_curves,
)


def record(*lengths: int, done: int | None = None) -> Curves:
    """Curves of trainings of some lengths, the last of them up to epoch `done`."""
    recorder = CurveRecorder()
    for index, epochs in enumerate(lengths):
        last = done if done is not None and index == len(lengths) - 1 else epochs
        for epoch in range(1, last + 1):
            recorder(Epoch(f"training {index}", epoch, epochs, 1 / epoch, 0.1))
    return recorder.curves()


def test_a_short_training_is_kept_whole() -> None:
    (curve,) = record(4)
    assert (curve.name, curve.epochs, curve.epoch, curve.lr) == ("training 0", 4, (1, 2, 3, 4), (0.1,) * 4)
    assert curve.loss == (1.0, 0.5, 0.333333, 0.25)


@given(epochs=st.integers(1, 5000), data=st.data())
def test_of_a_long_training_evenly_spaced_epochs_are_kept(epochs: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(1, epochs))
    (curve,) = record(epochs, done=done)
    assert curve.epoch[0] == 1 and curve.epoch[-1] == done
    assert min(done, POINTS // 2) <= len(curve.epoch) <= POINTS
    steps = {after - before for before, after in zip(curve.epoch[1:-1], curve.epoch[2:-1], strict=False)}
    assert len(steps) <= 1
    assert all(loss == pytest.approx(1 / epoch, rel=1e-5) for epoch, loss in zip(curve.epoch, curve.loss, strict=True))


def test_another_thread_reads_no_curve_that_is_too_long() -> None:
    recorder = CurveRecorder()
    for epoch in range(1, 2 * POINTS + 10):
        is_thinned = epoch % POINTS in (0, 1, 2)
        with between_steps(CurveRecorder.__call__.__code__, recorder.curves if is_thinned else lambda: None):
            recorder(Epoch("training 0", epoch, 1000, 1 / epoch, 0.1))
    assert recorder.curves() == record(1000, done=2 * POINTS + 9)


def test_a_session_may_train_several_times_but_not_without_end() -> None:
    assert [curve.epochs for curve in record(3, 150)] == [3, 150]
    assert len(record(*[1] * (TRAININGS + 1))) == TRAININGS


def test_a_file_of_curves_is_small_and_reads_back() -> None:
    curves = record(*[2000] * TRAININGS)
    content = write_curves(7, curves)
    assert parse_curves(content, "it") == (7, curves)
    assert len(content) < 40_000
    assert curves_of(json.loads(content)["trainings"]) == curves


CURVE = {"name": "base session", "epochs": 3, "epoch": [1, 2], "loss": [2.0, 1.0], "lr": [0.1, 0.1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80", "expected a JSON object"),
        (b"[]", "expected a JSON object"),
        (b"[" * 100_000, "expected a JSON object"),
        (json.dumps({"session": -1, "trainings": []}).encode(), "session: "),
        (json.dumps({"session": 0, "trainings": [{**CURVE, "loss": [1.0]}]}).encode(), "as many values"),
        (json.dumps({"session": 0, "trainings": [{**CURVE, "epoch": [2, 1]}]}).encode(), "ascending"),
        (json.dumps({"session": 0, "trainings": [{**CURVE, "epoch": [1, 4]}]}).encode(), "ascending"),
        (json.dumps({"session": 0, "trainings": [{**CURVE, "loss": [1.0, float("nan")]}]}).encode(), "finite"),
        (json.dumps({"session": 0, "trainings": [CURVE] * (TRAININGS + 1)}).encode(), "trainings: "),
        (write_curves(0, record(2)).replace(b"0.5", b"0.4"), "checksum: "),
    ],
)
def test_a_damaged_file_is_one_line(content: bytes, message: str) -> None:
    with pytest.raises(EarshotError, match=message) as caught:
        parse_curves(content, "training-00.json")
    assert str(caught.value).startswith("training-00.json: ") and "\n" not in str(caught.value)


def test_a_name_from_a_file_is_printable() -> None:
    content = json.dumps({"session": 0, "trainings": [{**CURVE, "name": "a\x1b[31m\nb"}]}).encode()
    assert parse_curves(content, "it")[1][0].name == "a\\x1b[31m\\nb"


@pytest.mark.parametrize("values", [None, [], [{"name": "it"}], ["text"], 3])
def test_curves_of_another_form_are_none(values: object) -> None:
    assert curves_of(values) == ()
