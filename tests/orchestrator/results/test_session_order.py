"""Confusion in the order of sessions, compared with counts by hand."""

from pathlib import Path

import numpy as np

from orchestrator.results.run import Run
from orchestrator.results.session_order import places, session_confusions
from tests.support.run_folders import WriteTrial
from trainables.records import TrialRecord

FIRST = [[0.9], [0.8, 0.7]]
SECOND = [[0.6], [0.5, 0.4]]


def test_with_one_class_order_places_are_classes(write_trial: WriteTrial, tmp_path: Path) -> None:
    write_trial("ede-00000001", 0, FIRST)
    write_trial("ede-00000001", 1, SECOND)
    run = Run.load(tmp_path / "run")
    order = places(run, "ede-00000001")
    assert (order.begins, order.labels) == ((0, 2), (0, 1, 2, 3))
    for t in range(2):
        counts = session_confusions(run, "ede-00000001", t)["prototype"]
        expected = run.confusion("ede-00000001", "prototype", t)
        np.testing.assert_array_equal(counts.by_label, expected)
        np.testing.assert_array_equal(counts.by_place, expected[: 2 * (t + 1), : 2 * (t + 1)])
    assert session_confusions(run, "ede-00000001", 2)["prototype"].by_place.shape == (0, 0)


def test_chains_with_other_class_orders_are_summed_by_place(write_trial: WriteTrial, tmp_path: Path) -> None:
    """The second chain learns class 3 before class 2: in its session 1 they change places; class 0 keeps its own."""
    write_trial("ede-00000001", 0, FIRST)
    alone = session_confusions(Run.load(tmp_path / "run"), "ede-00000001", 1)["prototype"].by_place
    record = write_trial("ede-00000001", 1, FIRST)
    base, later = record.sessions
    changed: TrialRecord = record.model_copy(update={"sessions": (base, later.model_copy(update={"classes": (3, 2)}))})
    changed.save(tmp_path / "run" / "trials" / record.trial)
    run = Run.load(tmp_path / "run")
    order = places(run, "ede-00000001")
    assert (order.begins, order.labels) == ((0, 2), (0, 1, None, None))
    swapped = alone[[0, 1, 3, 2]][:, [0, 1, 3, 2]]
    counts = session_confusions(run, "ede-00000001", 1)["prototype"].by_place
    np.testing.assert_array_equal(counts, alone + swapped)


def test_a_session_that_brings_no_class_has_no_place(write_trial: WriteTrial, tmp_path: Path) -> None:
    record = write_trial("ede-00000001", 0, FIRST)
    base, later = record.sessions
    leaving = later.model_copy(update={"classes": (), "left": (1,), "predictions": base.predictions})
    leaving = leaving.model_copy(update={"predictions_sha256": base.predictions_sha256})
    record.model_copy(update={"sessions": (base, leaving)}).save(tmp_path / "run" / "trials" / record.trial)
    run = Run.load(tmp_path / "run")
    assert places(run, "ede-00000001").begins == (0, 2)
    assert session_confusions(run, "ede-00000001", 1)["prototype"].by_place.shape == (2, 2)
