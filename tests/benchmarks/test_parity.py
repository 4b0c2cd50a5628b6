"""Our EDE compared with the released EDE: one chain on real speech, to the last prediction."""

from pathlib import Path

from benchmarks.parity import repeat


def test_every_prediction_and_exemplar_is_that_of_the_released_ede(shared: Path, tmp_path: Path) -> None:
    sessions = repeat(shared, tmp_path)
    assert len(sessions) == 6
    for equal in sessions:
        assert set(equal) == {"exemplars", "prototype", "linear", "nme"}
        assert all(found == count for found, count in equal.values()), sessions
    heads = ("prototype", "linear", "nme")
    assert sum(equal[head][1] for equal in sessions for head in heads) == 8142
