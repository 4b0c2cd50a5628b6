"""Presets end to end with the real commands: prepare, audit, a sweep of two methods, its report."""

import csv
import re
from pathlib import Path

import pytest

from datasets.benchmark.shards import Shards
from orchestrator import audit, prepare, report, sweep
from tests.support.published_layouts import LAYOUTS

CLASSES = {"esc50": 5, "urbansound8k": 4, "speech-commands": 4}
SHORT = ["--sample-rate=16000", "--clip-seconds=0.4"]
SWEEP = ["--protocol", "free", "--base", "2", "--way", "1", "--shot", "2", "--seeds", "1", "--name", "run"]


@pytest.mark.parametrize(
    "name", ["esc50", *(pytest.param(name, marks=pytest.mark.slow) for name in ("speech-commands", "urbansound8k"))]
)
def test_from_the_published_folder_to_the_report(
    name: str, tmp_path: Path, ray_up: object, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out, run = tmp_path / "source", tmp_path / name, tmp_path / "runs/run"
    LAYOUTS[name](source)
    assert prepare.main([name, "--source", str(source), "--out", str(out), *SHORT]) == 0
    assert "earshot sweep --benchmark" in capfd.readouterr().out
    Shards(out).verify()
    assert audit.main([str(out)]) == 0
    assert re.search(r"^recordings in train and test +none of \d+ groups +ok", capfd.readouterr().out, re.M)
    space = tmp_path / "space.yaml"
    space.write_text("methods: {simplecil: {}, slda: {}}\n")
    folders = ["--benchmark", str(out), "--space", str(space), "--runs", str(run.parent)]
    assert sweep.main([*folders, "--storage", str(tmp_path / "storage"), *SWEEP]) == 0
    assert report.main([str(run)]) == 0
    with (run / "report/sessions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    for method, head in (("simplecil", "prototype"), ("slda", "discriminant")):
        found = [float(row["micro_mean"]) for row in rows if (row["method"], row["head"]) == (method, head)]
        assert len(found) == CLASSES[name] - 1 and min(found) > 1.5 / CLASSES[name]
