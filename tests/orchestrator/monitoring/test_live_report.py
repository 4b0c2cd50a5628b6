"""What a run folder has beside its results: the report page while it runs, ceilings, provenance."""

import json
from pathlib import Path

import pytest

from datasets.benchmark.shards import Shards
from datasets.utils.checksum import with_checksum
from datasets.utils.location import Location
from orchestrator.monitoring.live_report import PAGE, LiveReport
from orchestrator.monitoring.sweep_state import SweepState
from orchestrator.results.ceilings import FILE_NAME, SharedClips, ceilings, save_shared_clips
from orchestrator.results.provenance import commit, provenance
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from tests.support.audited_benchmarks import write_planted
from tests.support.run_folders import WriteTrial
from tests.support.trial_events import TrialEvents


def test_the_page_is_written_while_a_sweep_runs(write_trial: WriteTrial, tones: Path, tmp_path: Path) -> None:
    write_trial("ede-00000001", 0, [[0.9]], planned=3, status="running")
    trial = TrialEvents()
    state = SweepState({(trial.state.chain.method, trial.state.chain.backbone_spec): 4}, sessions=3, attempts=4)
    with LiveReport(RunFolder(tmp_path / "run"), Location.of(tones), state) as live:
        TrialEvents(live, seed=7).start().end("failed", "no <memory> left")
        TrialEvents(live).start().session(0).session(1)  # the second follows at once: the page is not written again
    page = (tmp_path / "run" / PAGE).read_text(encoding="utf-8")
    assert 'data-live="yes"' in page and "1 session so far" in page
    assert "no &lt;memory&gt; left" in page, "a failure is shown, as on the console"
    assert "1 of 4 trials ended" in page
    assert json.loads((tmp_path / "run" / FILE_NAME).read_text())["shared"] == []


def test_ceilings_by_hand() -> None:
    # label 0 and 1 share a content: 3 clips of label 0, 2 of label 1; label 2 shares one clip with label 0
    shared = SharedClips(fingerprint="f", clips=(10, 10, 10), shared=(((0, 3), (1, 2)), ((0, 1), (2, 1))))
    assert shared.ceilings([[0], [1], [2]]) == pytest.approx([1, 18 / 20, 27 / 30])
    assert shared.ceilings([[2], [1], [0]]) == pytest.approx([1, 1, 27 / 30])


def test_ceilings_of_a_benchmark_with_identical_clips(tmp_path: Path) -> None:
    benchmark = write_planted(tmp_path / "planted")  # one test clip of label 0 is one of label 1, too
    (tmp_path / "run").mkdir()
    save_shared_clips(Shards(benchmark), tmp_path / "run")
    content = json.loads((tmp_path / "run" / FILE_NAME).read_bytes())
    assert content == with_checksum(content)
    kept = SharedClips.model_validate({key: value for key, value in content.items() if key != "checksum"})
    assert kept.clips == (4,) * 6 and kept.shared == (((0, 1), (1, 1)),)
    assert kept.ceilings([range(6)]) == pytest.approx([23 / 24])


def test_a_run_without_them_has_none(write_trial: WriteTrial, tmp_path: Path) -> None:
    write_trial("ede-00000001", 0, [[0.9]])
    assert ceilings(Run.load(tmp_path / "run")) is None
    (tmp_path / "run" / FILE_NAME).write_text('{"fingerprint": 3}')
    assert ceilings(Run.load(tmp_path / "run")) is None


def test_where_results_come_from_is_kept_over_launches(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.lock({}, {}):
        first = folder.description()["made"]
    with folder.lock({}, {}):
        pass
    made = folder.description()["made"]
    assert made["began"] == first["began"] and made["commit"] == commit()
    assert made["seconds"] >= first["seconds"]
    assert {"torch", "ray", "earshot"} <= set(made["versions"])
    assert provenance("nonsense")["seconds"] == 0
