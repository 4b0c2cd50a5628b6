"""Prepare: as a function and as a command, resumed, interrupted, on invalid input."""

import csv
import itertools
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.benchmark.manifest import Manifest
from datasets.benchmark.shards import Shards
from datasets.corpora.folder import FolderOptions
from datasets.corpora.registry import corpora
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location
from orchestrator.preparation.output_folder import LOCK, OutputFolder
from orchestrator.preparation.pipeline import prepare
from orchestrator.prepare import main
from tests.support.prepare_processes import FLAGS, OPTIONS, RATE, contents, speech


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def prepared(source: Path, tmp_path_factory: pytest.TempPathFactory, ray_up: object) -> Path:
    """A finished benchmark; tests must not modify it."""
    out = tmp_path_factory.mktemp("prepared")
    prepare("librispeech", source, out, OPTIONS)
    return out


def test_benchmark_is_complete_and_contains_the_recordings(prepared: Path, source: Path) -> None:
    shards = Shards(prepared)
    shards.verify()
    manifest = shards.manifest
    assert manifest.class_names == ("0", "1", "2", "3") and len(manifest.shards) == 4
    assert (manifest.clips.train, manifest.clips.val, manifest.clips.test) == (16, 4, 8)
    assert manifest.settings == {
        "speakers": None, "clip_seconds": 0.5, "sample_rate": 16000, "train": 4, "val": 1, "test": 2,
        "split": "block", "loudness": False,
    }  # fmt: skip
    first = soundfile.read(source / "2/1/2-1-0000.flac", dtype="float32")[0]
    position = shards.table.clip_ids.index("2_1")
    assert np.array_equal(shards.audio([position])[0], first[8000:16000])
    assert (prepared / "rejected.csv").read_text() == "file,reason\n"
    assert sorted(path.name for path in prepared.iterdir()) == [
        ".prepare.lock", "README.md", "croissant.json", "manifest.json", "rejected.csv", "shards",
    ]  # fmt: skip


def test_second_run_does_nothing(prepared: Path, source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.*") if path.name != ".prepare.lock"}
    assert main(["librispeech", "--source", str(source), "--out", str(prepared), "--no-loudness", *FLAGS]) == 0
    out, err = capfd.readouterr()
    assert err == f"nothing to do: {prepared} is complete and up to date\n" and re.search(
        r"units +0 computed, 4 cached\n", out
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_benchmark_with_other_settings_is_not_modified_without_force(
    source: Path, tmp_path: Path, ray_up: object
) -> None:
    prepare("librispeech", source, tmp_path, OPTIONS)
    before = contents(tmp_path)
    with pytest.raises(EarshotError, match=r"\(train: 4 -> 3; split: block -> cyclic\); choose another --out"):
        prepare("librispeech", source, tmp_path, {**OPTIONS, "train": 3, "split": "cyclic"})
    with pytest.raises(EarshotError, match=rf"\(name: {tmp_path.name} -> other\)"):
        prepare("librispeech", source, tmp_path, OPTIONS, name="other")
    assert contents(tmp_path) == before and Manifest.load(tmp_path)
    manifest = prepare("librispeech", source, tmp_path, {**OPTIONS, "train": 3, "speakers": 2}, force=True)
    assert manifest.clips.train == 6 and len(contents(tmp_path)) == 2
    Shards(tmp_path).verify()


def test_changed_source_is_reported_and_only_its_unit_is_recomputed(tmp_path: Path, ray_up: object) -> None:
    source, out = speech(tmp_path / "in"), tmp_path / "out"
    prepare("librispeech", source, out, OPTIONS)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    os.utime(source / "1/1/1-1-0002.flac", ns=(1, 1))
    with pytest.raises(EarshotError, match=r"\(source: \w{12}\.\.\. -> \w{12}\.\.\.\); .*copied without .* times; "):
        prepare("librispeech", source, out, OPTIONS)
    prepare("librispeech", source, out, OPTIONS, force=True)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["00001.parquet"]


def test_damaged_and_missing_shards_are_recomputed(
    source: Path, prepared: Path, tmp_path: Path, ray_up: object
) -> None:
    prepare("librispeech", source, tmp_path, OPTIONS)
    path = tmp_path / "shards/00002.parquet"
    path.unlink()
    prepare("librispeech", source, tmp_path, OPTIONS)
    assert contents(tmp_path) == contents(prepared)
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(content)
    with pytest.raises(EarshotError, match=r"00002\.parquet: expected SHA-256"):
        Shards(tmp_path).verify()
    prepare("librispeech", source, tmp_path, OPTIONS, force=True)
    assert contents(tmp_path) == contents(prepared)


def test_invalid_files_are_rejected_with_reasons_up_to_a_limit(tmp_path: Path, ray_up: object) -> None:
    source, out = speech(tmp_path / "in", speakers=2, seconds=1.2), tmp_path / "out"
    folder = source / "0/1"
    cut = folder / "0-1-0003.flac"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "0-1-0004.flac").write_text("no audio")
    (folder / "0-1-0005.wav").touch()
    samples = np.zeros(9000, np.float32)
    samples[7] = np.nan
    soundfile.write(folder / "0-1-0006.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(EarshotError, match=r"2 of 11 files are unusable, more than --max-rejected 0.01 allows"):
        prepare("librispeech", source, out, OPTIONS)
    assert contents(out) == {}  # two are detected before any unit is computed
    with pytest.raises(EarshotError, match=r"4 of 11 files are unusable, more than --max-rejected 0.2 allows"):
        prepare("librispeech", source, out, OPTIONS, max_rejected=0.2)
    finished = contents(out)
    assert len(finished) == 2 and not (out / "manifest.json").exists()
    manifest = prepare("librispeech", source, out, OPTIONS, max_rejected=0.5)
    assert contents(out) == finished and manifest.source.rejected == 4
    with (out / "rejected.csv").open() as file:
        rows = {row["file"].split("/")[-1]: row["reason"] for row in csv.DictReader(file)}
    assert rows["0-1-0003.flac"].startswith("truncated or damaged")
    assert rows["0-1-0004.flac"].startswith("not readable as audio")
    assert rows["0-1-0005.wav"] == "zero bytes"
    assert rows["0-1-0006.wav"] == "holds NaN or infinite samples"


def test_class_without_clips_is_an_error_and_leaves_no_manifest(tmp_path: Path, ray_up: object) -> None:
    source, out = speech(tmp_path / "in", speakers=2), tmp_path / "out"
    for number in range(2):
        path = source / f"1/1/1-1-000{number}.flac"
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(EarshotError, match=r"expected more than 5 clips .* found 4 of speaker '1'"):
        prepare("librispeech", source, out, OPTIONS, max_rejected=0.9)
    assert not (out / "manifest.json").exists()


def test_two_runs_at_a_time_are_rejected(source: Path, tmp_path: Path) -> None:
    with (
        OutputFolder(Location.of(tmp_path)).locked(),
        pytest.raises(EarshotError, match=r"another prepare is running in this folder; wait for it to end$"),
    ):
        prepare("librispeech", source, tmp_path, OPTIONS)
    assert (tmp_path / LOCK).exists()  # released, but still marks the folder as ours


def test_folder_with_other_files_is_rejected(source: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/00009.parquet").write_text("mine")
    with pytest.raises(EarshotError, match="expected an empty folder or a benchmark, found other files"):
        prepare("librispeech", source, tmp_path, OPTIONS)
    assert (tmp_path / "shards/00009.parquet").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--train=0"],
            "error: prepare librispeech: --train: input should be greater than 0, found '0'\n",
        ),
        (["--clip-seconds=x"], "error: prepare librispeech: --clip-seconds: input should be a valid number"),
        (
            ["--clip-seconds=0.00001"],
            "error: prepare librispeech: --clip-seconds: input should be greater than or equal to 0.1, found '0.00001'",
        ),
        (
            ["--out=/proc/nope"],
            "error: /proc/nope: cannot be written (No such file or directory); choose another --out\n",
        ),
        (
            ["--source=/absent"],
            "error: /absent: expected a folder of recordings, found: No such file or directory",
        ),
    ],
)
def test_errors_are_one_line_with_exit_status_2(
    arguments: list[str], message: str, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["librispeech", "--source", str(source), "--out", str(tmp_path / "out"), *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith(message) and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_file_system_errors_are_one_line(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert main(["librispeech", "--source", str(source), "--out", str(loop), *FLAGS]) == 2
    assert capfd.readouterr().err.startswith(f"error: {loop}: cannot be written (Too many levels of symbolic links)")
    out = tmp_path / "out"
    (out / "shards/00000.parquet").mkdir(parents=True)
    (out / ".prepare.lock").touch()
    assert main(["librispeech", "--source", str(source), "--out", str(out), *FLAGS]) == 2
    err = capfd.readouterr().err
    assert err.startswith(f"error: {out}/shards/00000.parquet: ") and err.count("\n") == 1
    assert err.endswith("; fix this and run the same command to resume\n")


@pytest.mark.parametrize("name", sorted(corpora()))
def test_help_of_every_corpus_lists_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    for option, field in corpora()[name].options_type.model_fields.items():
        assert f"--{option.replace('_', '-')}" in text
        assert field.description, f"{name}: {option} has no description"


def test_generated_corpus_needs_no_source(tmp_path: Path, ray_up: object) -> None:
    options = {"classes": 6, "clips_per_class": 5, "seconds": 0.25}
    manifest = prepare("demo", None, tmp_path, options)
    assert len(manifest.classes) == 6 and manifest.base_classes == 5
    when = (tmp_path / "manifest.json").stat().st_mtime_ns
    for path in (tmp_path / "source").rglob("*.wav"):
        path.unlink()  # the recordings are no longer needed
    assert prepare("demo", None, tmp_path, options) == manifest
    assert (tmp_path / "manifest.json").stat().st_mtime_ns == when
    with pytest.raises(EarshotError, match="clips_per_class: 5 -> 6"):
        prepare("demo", None, tmp_path, {**options, "clips_per_class": 6})
    with pytest.raises(EarshotError, match="--source: expected the folder of the folder recordings"):
        prepare("folder", None, tmp_path / "x")


def test_partially_generated_recordings_are_removed_by_a_run_of_another_corpus(
    source: Path, tmp_path: Path, ray_up: object
) -> None:
    (tmp_path / ".prepare.lock").touch()
    (tmp_path / f".source{TEMPORARY_SUFFIX}/flute").mkdir(parents=True)
    prepare("librispeech", source, tmp_path, OPTIONS)
    assert not (tmp_path / f".source{TEMPORARY_SUFFIX}").exists()


def test_folder_corpus_on_published_notes(shared: Path, tmp_path: Path, ray_up: object) -> None:
    options = {"sample_rate": 44100, "clip_seconds": 2.0}
    manifest = prepare("folder", shared / "corpora/philharmonia", tmp_path, options)
    assert len(manifest.classes) == 15 and manifest.source.files == 900 and manifest.source.rejected == 0
    assert manifest.clips.total == 1030


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """Two classes of six recordings, each in four files."""
    source = tmp_path / "takes"
    for name in ("dog", "rain"):
        (source / name).mkdir(parents=True)
        for number, take in itertools.product(range(6), "ABCD"):
            samples = np.random.default_rng(number).uniform(-0.5, 0.5, 2000)
            soundfile.write(source / f"{name}/1-{1000 + number}-{take}.wav", samples, RATE)
    return source


def test_guessed_groups_are_announced_and_stay_in_one_split(
    takes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], ray_up: object
) -> None:
    command = ["folder", "--source", str(takes), "--out", str(tmp_path / "out"), "--clip-seconds=0.1"]
    assert main(command) == 0
    out, _ = capfd.readouterr()
    assert re.search(r"groups +12 guessed from names that share a stem, .* \(--group-from none: split by file\)\n", out)
    shards = Shards(tmp_path / "out")
    assert shards.manifest.settings["group_from"] == "stem"
    splits: dict[str, set[str]] = {}
    for group, split in zip(shards.groups or (), shards.table.splits.tolist(), strict=True):
        splits.setdefault(group, set()).add(split)
    assert len(splits) == 12 and all(len(found) == 1 for found in splits.values())
    assert main(command) == 0 and "0 computed, 2 cached" in capfd.readouterr().out
    assert main([*command, "--group-from=none"]) == 2
    assert "(group_from: stem -> None)" in capfd.readouterr().err
    assert main([*command, "--group-from=none", "--force"]) == 0
    shards = Shards(tmp_path / "out")
    assert shards.groups is None and "group_from" not in shards.manifest.settings
    source = FolderOptions(clip_seconds=0.1, group_from="none")
    assert prepare("folder", takes, tmp_path / "out", source) == shards.manifest  # as options of a model, too


def test_a_doubtful_layout_stops_unless_yes(
    takes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], ray_up: object
) -> None:
    command = ["folder", "--source", str(tmp_path), "--out", str(tmp_path / ".out"), "--clip-seconds=0.1"]
    assert main(command) == 2
    out, err = capfd.readouterr()
    doubt = f"'takes' is the only class, and its folders dog, rain look like classes: give --source {takes}"
    assert (out, err) == ("", f"error: {tmp_path}: {doubt}. Or pass --yes to go on as it is\n")
    assert not (tmp_path / ".out/manifest.json").exists()
    assert main([*command, "--yes"]) == 0
    assert f"warning: {doubt}\n" in capfd.readouterr().err
    assert Manifest.load(tmp_path / ".out").class_names == ("takes",)


def test_short_recordings_and_classes_without_clips_are_all_named(
    takes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], ray_up: object
) -> None:
    command = ["folder", "--source", str(takes), "--out", str(tmp_path / "out"), "--clip-seconds=0.1"]
    assert main([*command, "--min-seconds=0.2"]) == 2
    err = capfd.readouterr().err
    assert "48 of 48 files are unusable" in err and err.count("\n") == 1
    assert "48 recordings are shorter than --min-seconds 0.2; 0.1 would keep 48" not in err
    assert err.endswith(
        "finished work is kept; 48 recordings are shorter than --min-seconds 0.2; 0.124 would keep all\n"
    )
    assert main([*command, "--min-seconds=0.2", "--max-rejected=1"]) == 2
    assert "of every class, found 0 and 0 of class 'dog', 0 and 0 of class 'rain'; add" in capfd.readouterr().err
