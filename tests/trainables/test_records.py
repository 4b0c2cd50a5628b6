"""Records of trials on disk: their keys do not change when names in the code do."""

import json
from pathlib import Path

import pytest

from datasets.utils.checksum import with_checksum
from datasets.utils.errors import EarshotError
from tests.support.run_folders import trial
from trainables.records import SessionRecord, TrialRecord


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a trial with one session."""
    record = trial(tmp_path, "ede-aaaaaaaa", 0, [[0.5]])
    return tmp_path / "trials" / record.trial


def test_the_keys_on_disk(folder: Path) -> None:
    content = json.loads((folder / "trial.json").read_text())
    assert list(content) == [
        "schema_version", "trial", "configuration", "method", "settings", "varied", "seeds", "benchmark",
        "benchmark_fingerprint", "class_names", "protocol", "backbone", "frontend", "heads", "default_head",
        "planned_sessions", "status", "stopped_by", "error", "sessions", "checksum",
    ]  # fmt: skip
    assert list(content["sessions"][0]) == [
        "index", "classes", "stage", "predictions", "predictions_sha256", "seconds", "reused",
        "parameters_stored", "parameters_used", "peak_bytes",
    ]  # fmt: skip


def test_loading_and_saving_changes_no_byte(folder: Path, tmp_path: Path) -> None:
    TrialRecord.load(folder).save(tmp_path / "copy")
    assert (tmp_path / "copy/trial.json").read_bytes() == (folder / "trial.json").read_bytes()


@pytest.mark.parametrize("cached", [True, False])
def test_cached_is_reused_on_disk(cached: bool) -> None:
    values = {"index": 0, "classes": [0], "stage": "-", "predictions": "-", "seconds": 1.0}
    values |= {"parameters_stored": 1, "parameters_used": 1}
    records = [SessionRecord.model_validate({**values, key: cached}) for key in ("reused", "cached")]
    assert records[0] == records[1] and records[0].cached is cached
    with pytest.raises(ValueError, match="reused"):
        SessionRecord.model_validate(values)


def test_errors_name_the_file_and_the_key(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match="not found; expected the record of a trial"):
        TrialRecord.load(tmp_path / "nowhere")
    content = json.loads((folder / "trial.json").read_text())
    (folder / "trial.json").write_text(json.dumps(with_checksum({**content, "status": "asleep"})))
    with pytest.raises(EarshotError, match=r"trial\.json: status: .*; run the sweep again to rewrite it"):
        TrialRecord.load(folder)


def test_a_changed_digit_is_an_error(folder: Path) -> None:
    path = folder / "trial.json"
    text = path.read_text()
    path.write_text(text.replace('"planned_sessions": 1', '"planned_sessions": 3'))
    with pytest.raises(
        EarshotError, match=r"trial\.json: checksum: .* damaged or was edited; delete the folder of the"
    ):
        TrialRecord.load(folder)
    content = {key: value for key, value in json.loads(text).items() if key != "checksum"}
    path.write_text(json.dumps(content))
    assert TrialRecord.load(folder).planned_sessions == 1  # of an earlier version
