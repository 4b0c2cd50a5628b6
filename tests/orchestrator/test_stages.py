"""`earshot stages`: tables, eviction, detected damage, errors."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datasets.utils.location import Location
from orchestrator.stages import main
from tests.support.stores import publish
from trainables.store.arrays import ArrayStore
from trainables.store.inventory import list_store
from trainables.store.lease import Lease


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three stages, of which two share a part, and two embeddings."""
    place = tmp_path / "runs" / "store"
    base = publish(place, "ede", 0, "gh")
    publish(place, "ede", 1, "gi", parent=base)
    publish(place, "simplecil", 0, "p", seconds=300)
    for number in (1, 2):
        ArrayStore(place / "features").get(f"{number}" * 64, 5, lambda: iter([np.ones((5, 100), np.float16)]))
    return place


def first_file(store: Path, pattern: str) -> Path:
    return sorted(store.rglob(pattern))[0]


def test_ls_counts_shared_parts_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", str(store), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    on_disk = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    assert summary["size"] == on_disk
    rows = [[row[key] for key in ("method", "session", "stages", "shared_parts")] for row in summary["sessions"]]
    assert rows == [["ede", 0, 1, 1], ["ede", 1, 1, 1], ["simplecil", 0, 1, 0]]
    part = first_file(store, "*.safetensors").stat().st_size
    assert summary["parts"] == {"count": 4, "shared": 1, "size": 4 * part, "size_unshared": 5 * part}
    assert sum(row["size"] for row in summary["sessions"]) + summary["embeddings"]["size"] == on_disk
    first, second, _ = summary["stages"]
    assert first["size"] - second["size"] in range(part - 100, part + 100)
    assert summary["embeddings"]["count"] == 2 and summary["computing"] == summary["others"]["count"] == 0


def test_the_module_runs_as_a_program(store: Path) -> None:
    command = [sys.executable, "-m", "orchestrator.stages", "ls", str(store)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "") and "3 stages with 4 parts" in process.stdout


def test_ls_shows_tables(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lease = Lease(Location.of(store / "features" / "77" / f"{'7' * 64}.npy.lease"))
    assert lease.take()
    (store / "parts" / ".77.aside").write_bytes(b"half")
    (store / "notes").write_text("mine")
    assert main(["ls", str(store)]) == 0
    text = capsys.readouterr().out
    lease.release()
    assert "simplecil        0       1        5 min" in text
    assert "3 stages with 4 parts" in text and "1 shared" in text and "2 embeddings, 2.3 kB" in text
    assert "1 active or stale lease\n" in text and "1 file (4 B) of no published stage\n" in text
    assert "1 file (4 B) not managed by the store; ignored\n" in text
    assert main(["ls", str(store), "--stages"]) == 0
    text = capsys.readouterr().out
    for address in list_store(Location.of(store)).descriptions:
        assert f"{address[:12]}" in text
    assert "dddddddd  " in text


def test_texts_of_a_stage_are_escaped(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(store, "[red]x\x1b[2J", 0, "p")
    assert main(["ls", str(store)]) == 0
    text = capsys.readouterr().out
    assert "[red]x" in text and "\x1b[2J" not in text


def test_the_name_of_a_run_refers_to_its_store(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "mine" / "trials").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in ([], ["runs/store"], ["mine"], ["runs/mine"], [f"file://{store}"]):
        assert main(["ls", *name]) == 0
        assert "3 stages" in capsys.readouterr().out


def test_runs_is_the_folder_of_names_of_runs(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs" / "mine" / "trials").mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for place in ([], ["mine"]):
        assert main(["ls", *place, "--runs", "../runs"]) == 0
        assert "3 stages" in capsys.readouterr().out
        assert main(["verify", *place, "--runs", str(tmp_path / "runs")]) == 0
        assert "3 stages" in capsys.readouterr().err
    assert main(["ls", "mine"]) == 2
    assert "mine: expected a store" in capsys.readouterr().err
    assert main(["ls", "--runs", "nothing"]) == 2
    assert "nothing/store: expected a store" in capsys.readouterr().err


def test_gc_reports_what_it_removes(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = list_store(Location.of(store)).size
    assert main(["gc", str(store), "--max-size", "1kB"]) == 0
    captured = capsys.readouterr()
    assert "0 stages, 0 parts, 0 embeddings, 0 leftovers removed" in captured.out
    assert "over --max-size are kept: used within the last 60 min" in captured.err
    for path in store.rglob("*"):
        os.utime(path, (time.time() - 86400, time.time() - 86400))
    (used,) = [path for path in store.rglob("*.npy") if path.name.startswith("1")]
    os.utime(used)
    assert main(["gc", str(store), "--unused-for", "1h30m", "--dry-run"]) == 0
    assert "3 stages, 4 parts, 1 embedding, 0 leftovers would be removed" in capsys.readouterr().out
    assert list_store(Location.of(store)).size == size
    assert main(["gc", str(store), "--max-size", "2kB"]) == 0
    assert "-> 1.1 kB; 3 stages, 4 parts, 1 embedding, 0 leftovers removed" in capsys.readouterr().out
    assert [path for path in store.rglob("*") if path.is_file()] == [used]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """Replaces the file by that of another stage: undamaged, but the wrong one."""
    other = sorted(path.parents[2].rglob(path.name))[1]
    shutil.copyfile(other, path)


def flip_note(path: Path) -> None:
    """Changes a digit of the learner's notes; the file stays a valid description."""
    text = path.read_text()
    at = text.index("3", text.index('"notes"'))
    path.write_text(text[:at] + "2" + text[at + 1 :])


DAMAGES: list[tuple[Callable[[Path], None], str, str]] = [
    (cut, "stage.json", "found a damaged one"),
    (empty, "stage.json", "found a damaged one"),
    (swap, "stage.json", "found a damaged one"),
    (flip_note, "stage.json", "found a damaged one"),
    (flip, "predictions.parquet", "expected SHA-256"),
    (swap, "predictions.parquet", "expected SHA-256"),
    (Path.unlink, "predictions.parquet", "expected a file, found none"),
    (flip, "*.safetensors", "expected SHA-256"),
    (empty, "*.safetensors", "expected SHA-256"),
    (Path.unlink, "*.safetensors", "expected a file, found none; "),
    (flip, "*.npy", "expected contents that match the checksum"),
    (cut, "*.npy", "expected 1143 bytes, found 1123"),
    (empty, "*.npy", "found a damaged header"),
]


@pytest.mark.parametrize(("damage", "pattern", "reason"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_verify_detects_damage_and_removes_it(
    store: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], pattern: str, reason: str
) -> None:
    assert main(["verify", str(store)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "3 stages, 4 parts, 2 embeddings" in captured.err and "no damage" in captured.err
    path = first_file(store, pattern)
    damage(path)
    assert main(["verify", str(store)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path.relative_to(store).as_posix()}: ") and reason in line
    assert main(["verify", str(store), "--remove"]) == 1
    assert "1 damaged; removed" in capsys.readouterr().err
    assert main(["verify", str(store)]) == 0
    assert not path.exists()


def test_verify_names_every_damaged_file(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [*store.rglob("*.npy"), *store.rglob("*.safetensors")]
    for path in paths:
        flip(path)
    assert main(["verify", str(store)]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == len(paths) == 6 and "6 damaged" in captured.err
    assert "; needed by 2 stages" in captured.out


def test_stages_without_a_checksum_are_counted(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = first_file(store, "stage.json")
    content = json.loads(path.read_text())
    del content["checksum"]
    path.write_text(json.dumps(content))
    assert main(["verify", str(store)]) == 0
    assert "3 stages (1 without a checksum of their notes), 4 parts" in capsys.readouterr().err


def test_of_an_embedding_without_a_checksum_the_length_is_verified(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = first_file(store, "*.npy")
    np.save(path, np.ones((5, 100), np.float16))
    assert main(["verify", str(store)]) == 0
    assert "2 embeddings (1 by length only)" in capsys.readouterr().err
    np.save(path, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    assert main(["verify", str(store)]) == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["ls", "nothing"], "nothing: expected a store"),
        (["gc", "."], "found no store"),
        (["verify", "nosuch://x"], "not a URI of pyarrow.fs"),
        (["ls", ""], "empty text"),
    ],
)
def test_a_place_without_a_store_is_an_error(
    arguments: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and reason in line


@pytest.mark.parametrize(
    "flags", [["--max-size", "0"], ["--max-size", "much"], ["--unused-for", "-1d"], ["--max", "1"]]
)
def test_sizes_and_durations_are_checked(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["gc", *flags])
    except SystemExit as exit_:
        status = exit_.code
    assert status == 2 and capsys.readouterr().err.splitlines()[-1].startswith("error: ")
