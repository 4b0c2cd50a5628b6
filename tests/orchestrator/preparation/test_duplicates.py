"""Duplicates and silent clips are left out on request, and the result does not depend on interruptions."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.benchmark.manifest import FILE_NAME, Manifest
from datasets.benchmark.shards import Shards
from orchestrator.auditing.audit import audit
from orchestrator.auditing.findings import findings
from orchestrator.preparation.pipeline import prepare
from orchestrator.prepare import main
from tests.support.prepare_processes import contents

RATE = 8000
OPTIONS = {"sample_rate": RATE, "clip_seconds": 0.5, "loudness": False}
DROP = {**OPTIONS, "drop_duplicates": True, "drop_silence": True}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten recordings of two clips; one is in both, one twice in a class, one half silent."""
    root, random = tmp_path_factory.mktemp("duplicates"), np.random.default_rng(0)
    for name in ("bell", "drum"):
        (root / name).mkdir()
        for number in range(10):
            wave = random.uniform(-0.3, 0.3, RATE)
            if (name, number) == ("drum", 0):
                wave[RATE // 2 :] = 0
            soundfile.write(root / name / f"{name}{number}x.wav", wave, RATE)
    shutil.copy(root / "bell/bell0x.wav", root / "drum/copy.wav")
    for number in range(10):  # every recording of a class once more: each pair of splits has copies
        shutil.copy(root / f"bell/bell{number}x.wav", root / f"bell/again{number}x.wav")
    return root


@pytest.fixture(scope="module")
def dropped(source: Path, tmp_path_factory: pytest.TempPathFactory, ray_up: object) -> Path:
    out = tmp_path_factory.mktemp("dropped")
    prepare("folder", source, out, DROP)
    return out


def rows(out: Path) -> list[tuple[str, str]]:
    with (out / "rejected.csv").open(newline="") as file:
        return [(row["file"], row["reason"]) for row in csv.DictReader(file)]


def test_the_audit_finds_neither_duplicates_nor_silence(dropped: Path, source: Path, tmp_path: Path) -> None:
    prepare("folder", source, tmp_path / "all", OPTIONS)
    before = {finding.kind: finding.verdict for finding in findings(audit(tmp_path / "all"))}
    assert (before["labels"], before["splits"], before["silent"]) == ("warning", "warning", "warning")
    after = {finding.kind: finding.verdict for finding in findings(audit(dropped))}
    assert {after[kind] for kind in ("labels", "splits", "repeats", "silent")} == {"ok"}
    shards = Shards(dropped)
    shards.verify()
    assert len(shards.table) == 62 - 22 - 1 == shards.manifest.clips.total
    settings = Manifest.load(tmp_path / "all").settings
    assert shards.manifest.settings == settings | {"drop_duplicates": True, "drop_silence": True}
    assert not {"drop_duplicates", "drop_silence"} & set(settings)


def test_dropped_clips_are_listed_and_the_copy_in_train_is_kept(dropped: Path, source: Path, tmp_path: Path) -> None:
    listed = rows(dropped)
    assert len(listed) == 23 and Manifest.load(dropped).source.rejected == 0
    assert [(file, reason.split(": ")[1]) for file, reason in listed if "silence" in reason] == [
        ("drum/drum0x.wav", "digital silence")
    ]
    prepare("folder", source, tmp_path, OPTIONS)
    full, kept = Shards(tmp_path), set(Shards(dropped).table.clip_ids)
    copies: dict[bytes, list[tuple[int, str]]] = {}
    digests = full.digests(range(len(full.table)))
    for digest, clip_id, split in zip(digests, full.table.clip_ids, full.table.splits, strict=True):
        copies.setdefault(digest, []).append((["train", "val", "test"].index(split), clip_id))
    silent = next(row for row in listed if "silence" in row[1])[1].split()[1]
    assert kept == {min(group)[1] for group in copies.values()} - {silent}


def test_an_interrupted_run_gives_the_same_bytes(dropped: Path, source: Path, tmp_path: Path) -> None:
    shutil.copytree(dropped, tmp_path / "it")
    out = tmp_path / "it"
    expected, listed = contents(out), (out / "rejected.csv").read_bytes()
    for name in ("00000", "00001"):
        (out / FILE_NAME).unlink()
        (out / f"shards/{name}.parquet").unlink()
        (out / "rejected.csv").unlink()
        prepare("folder", source, out, DROP)
        assert contents(out) == expected and (out / "rejected.csv").read_bytes() == listed


def test_where_the_kept_copy_went_away_another_is_kept(dropped: Path, source: Path, tmp_path: Path) -> None:
    changed, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(source, changed)
    shutil.copytree(dropped, out)
    kept = rows(dropped)[0][1].split(" of ")[1].split(" in ")[0]
    (changed / kept).unlink()
    prepare("folder", changed, out, DROP, force=True)
    prepare("folder", changed, tmp_path / "fresh", DROP)
    assert contents(out) == contents(tmp_path / "fresh") and rows(out) == rows(tmp_path / "fresh")


def test_the_summary_counts_dropped_clips(dropped: Path, source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["folder", "--source", str(source), "--out", str(dropped), "--sample-rate", str(RATE)]
    assert main([*words, "--clip-seconds", "0.5", "--drop-duplicates", "--drop-silence"]) == 0
    out, err = capfd.readouterr()
    assert "dropped    23 clips, listed in rejected.csv" in out and "rejected:" not in err and "up to date" in err
