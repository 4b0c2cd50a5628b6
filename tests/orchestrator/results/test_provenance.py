"""Provenance in sweep.json: start and wall time over several launches."""

from pathlib import Path

import pytest

from orchestrator.results.provenance import provenance, with_seconds
from orchestrator.results.run_folder import RunFolder


def test_began_is_the_start_of_the_first_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["2026-01-01 10:00 UTC", "2026-01-01 12:00 UTC", "2026-01-02 10:00 UTC", "2026-01-02 12:00 UTC"])
    monkeypatch.setattr("orchestrator.results.provenance._now", lambda: next(times))
    folder = RunFolder(tmp_path / "run")
    for _ in range(2):  # a launch, and one that resumes it
        with folder.lock({}, {}):
            assert folder.description()["made"]["began"] == "2026-01-01 10:00 UTC"
        assert folder.description()["made"]["began"] == "2026-01-01 10:00 UTC"


def test_wall_time_is_the_sum_over_launches() -> None:
    first = with_seconds(provenance(None), 60.04)
    assert first["seconds"] == 60.0
    assert with_seconds(provenance(first), 30.2) == {**first, "seconds": 90.2}
