"""A sweep whose nodes share no folder with its driver: stages, embeddings and records are in an object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.utils.location import Location
from orchestrator.exporting.export import export
from orchestrator.results.run_folder import RunFolder
from tests.support.object_store import empty_bucket
from tests.support.sweep_processes import PROTOCOL, command, predictions, records, run

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket() -> Iterator[str]:
    """A folder in an empty bucket."""
    with empty_bucket("sweeps") as uri:
        yield f"{uri}/of-ours"


def test_two_machines_share_the_sessions_in_a_bucket(
    bucket: str, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, local = tmp_path / "first", tmp_path / "second", tmp_path / "local"
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache of the first"))
    printed = run(command(tones, first, "--storage", bucket))
    assert "16 sessions computed, 2 cached" in printed or "18 sessions computed" in printed
    assert {record.status for record in records(first)} == {"finished"}
    place = Location.of(bucket)
    assert (place / "store").files() == ["features", "parts", "stages"]
    assert (place / "run").files() == ["sweep.json", "trials"]
    assert not list(first.glob("store/*"))

    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache of the second"))
    assert "0 sessions computed, 18 cached" in run(command(tones, second, "--storage", bucket))
    assert predictions(first) == predictions(second)
    run([*command(tones, local), *PROTOCOL])
    assert predictions(local) == predictions(first)
    exported = export(RunFolder(second / "run"), "best", tmp_path / "model")
    assert exported.session == 2
