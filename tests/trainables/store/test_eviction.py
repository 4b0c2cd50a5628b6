"""Evicting from a store: remaining stages are complete, evicted ones are computed again with equal results."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.benchmark.protocol import Protocol
from datasets.utils.location import FolderEntry, Location
from tests.support.object_store import empty_bucket
from trainables.chain_config import ChainConfig
from trainables.records import PREDICTIONS
from trainables.session_chain import Chain
from trainables.store import arrays
from trainables.store.arrays import ArrayRows, ArrayStore
from trainables.store.eviction import evict, select_for_eviction
from trainables.store.inventory import StageFiles, list_store
from trainables.store.layout import address_of, part_file, predictions_file, stage_file
from trainables.store.lease import Lease
from trainables.store.stages import Stage, StageStore
from trainables.store.state import State
from trainables.store.verification import verify

HOUR = 3600.0
RATES = (0.01, 0.02)  # of two chains that share their base session


def config(tones: Path, store: Path | str, rate: float) -> ChainConfig:
    quick = {"base_epochs": 2, "incremental_epochs": 2, "incremental_lr": rate}
    protocol = Protocol(base=2, way=2, shot=3)
    return ChainConfig(benchmark=tones, method="ede", settings=quick, protocol=protocol, store=store)


def predictions(tones: Path, store: Path, folder: Path) -> list[str]:
    """Digests of the predictions of the chains with this store."""
    digests = []
    for rate in RATES:
        chain = Chain(config(tones, store, rate), folder / f"trial-{rate}")
        while not chain.done:
            chain.step()
        files = sorted((folder / f"trial-{rate}").glob("session-*.parquet"))
        digests += [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return digests


@pytest.fixture(scope="module")
def full(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store after two chains, and the digests of their predictions."""
    folder = tmp_path_factory.mktemp("full")
    return folder / "store", predictions(tones, folder / "store", folder)


@pytest.fixture
def store(full: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of it that was last used at least two hours ago."""
    place = tmp_path / "store"
    shutil.copytree(full[0], place)
    age(place, 2)
    return place


def age(store: Path, hours: float, seed: int = 0) -> None:
    """Sets the time of last use of all files to `hours` ago, or up to an hour earlier."""
    draw = random.Random(seed)
    for path in sorted(store.rglob("*")):
        then = time.time() - hours * HOUR - draw.uniform(0, HOUR)
        os.utime(path, (then, then))


def names(store: Path) -> set[str]:
    return {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}


def damages(store: Path | str) -> list[str]:
    return [str(damage) for damage in verify(list_store(Location.of(store))).damages]


@pytest.mark.parametrize("fraction", [0.9, 0.6, 0.3, 0.02, 0.0])
def test_remaining_stages_are_complete_and_evicted_ones_are_computed_again_equally(
    full: tuple[Path, list[str]], tones: Path, store: Path, tmp_path: Path, fraction: float
) -> None:
    age(store, 2, seed=round(100 * fraction))
    before = list_store(Location.of(store)).size
    limit = round(before * fraction)
    (forecast,) = evict(store, limit, dry_run=True)
    assert names(store) == names(full[0])
    (eviction,) = evict(store, limit)
    inventory = list_store(Location.of(store))
    assert replace(eviction, place=forecast.place) == forecast
    assert eviction.size_before == before and eviction.excess == 0
    assert eviction.size_after == inventory.size <= limit
    assert not damages(store)
    stages = inventory.stages()
    assert {stage.parent for stage in stages} - {None} <= {stage.address for stage in stages}
    assert set(inventory.parts) == {digest for stage in stages for digest in stage.parts}
    assert not set(eviction.stages) & set(inventory.descriptions)
    assert not inventory.stage_folders.keys() - inventory.descriptions.keys()
    assert predictions(tones, store, tmp_path) == full[1]
    assert not damages(store)
    assert names(store) <= names(full[0])


def test_verification_reports_its_progress_in_bytes(store: Path) -> None:
    inventory = list_store(Location.of(store))
    progress: list[int] = []
    verify(inventory, progress.append)
    assert progress == sorted(progress) and progress[-1] == inventory.size


digests = st.integers(0, 7).map(lambda number: f"{number:064x}")


@st.composite
def stores(draw: st.DrawFn) -> dict[str, Any]:
    """Branching chains, shared parts and arrays; times from 0 to 100, of which those after 80 are recent."""
    moments = st.integers(0, 100).map(float)
    parts = {d: FolderEntry(part_file(d), draw(st.integers(0, 9)), draw(moments)) for d in draw(st.sets(digests))}
    stages: list[StageFiles] = []
    for number in range(draw(st.integers(0, 8))):
        parent = draw(st.sampled_from([None, *stages]))
        depends_on = {"session": 0 if parent is None else parent.session + 1, "parent": parent and parent.address}
        used = tuple(draw(st.sets(st.sampled_from(sorted(parts))))) if parts else ()
        stages.append(StageFiles(f"{number:064x}", draw(moments), draw(st.integers(0, 9)), used, depends_on))
    arrays = {
        d: FolderEntry(f"features/{d}.npy", draw(st.integers(0, 9)), draw(moments)) for d in draw(st.sets(digests))
    }
    locked = draw(st.sets(st.sampled_from(["none", *map(stage_file, (s.address for s in stages))])))
    return {"stages": stages, "parts": parts, "arrays": arrays, "locked": locked, "used_since": 80.0}


def remaining_bytes(store: dict[str, Any], evicted: list[StageFiles], evicted_arrays: list[FolderEntry]) -> int:
    """Bytes that remain after these, and the parts that are then unreferenced, are removed."""
    stages = [stage for stage in store["stages"] if stage not in evicted]
    referenced = {digest for stage in stages for digest in stage.parts}
    parts = [part for d, part in store["parts"].items() if d in referenced or part.modified > store["used_since"]]
    arrays = [array for array in store["arrays"].values() if array not in evicted_arrays]
    return sum(stage.size for stage in stages) + sum(file.size or 0 for file in parts + arrays)


@given(stores(), st.integers(0, 60), st.integers(0, 100))
@settings(max_examples=150)
def test_selects_the_least_recently_used_and_no_more_than_needed(
    store: dict[str, Any], limit: int, unused_since: int
) -> None:
    total = sum(stage.size for stage in store["stages"])
    total += sum(file.size or 0 for kind in ("parts", "arrays") for file in store[kind].values())
    evicted, evicted_arrays = select_for_eviction(**store, excess=total - limit, unused_since=unused_since)
    used = {stage.address: stage.last_used for stage in store["stages"]}
    for stage in reversed(store["stages"]):
        if stage.parent is not None:
            used[stage.parent] = max(used[stage.parent], used[stage.address])
    gone = [used[stage.address] for stage in evicted] + [array.modified for array in evicted_arrays]
    unlocked = {s.address: used[s.address] for s in store["stages"] if stage_file(s.address) not in store["locked"]}
    kept = [when for address, when in unlocked.items() if address not in {stage.address for stage in evicted}]
    kept += [array.modified for array in store["arrays"].values() if array not in evicted_arrays]

    assert all(when <= store["used_since"] for when in gone)
    assert all(stage.address in unlocked for stage in evicted)
    assert max(gone, default=0) <= min(kept, default=100)
    assert all(when > min(unused_since, store["used_since"]) for when in kept)
    fits = remaining_bytes(store, evicted, evicted_arrays) <= limit
    assert fits or all(when > store["used_since"] for when in kept)
    if gone and max(gone) > unused_since:  # the last one was needed
        last = max(gone)
        others = [s for s in evicted if used[s.address] < last], [a for a in evicted_arrays if a.modified < last]
        assert remaining_bytes(store, *others) > limit
    for stage in evicted:
        assert all(child in evicted or stage_file(child.address) in store["locked"] for child in children(store, stage))


def children(store: dict[str, Any], stage: StageFiles) -> list[StageFiles]:
    return [other for other in store["stages"] if other.parent == stage.address]


def publish(place: Path | str, number: int, *parts: str, parent: str | None = None) -> str:
    """Publishes a stage with these parts; parts of one name are equal."""
    rows = {"split": ["test"], "clip_id": ["a"], "label": [0], "head": ["h"], "prediction": [number]}
    depends_on = {"method": "m", "session": number, "parent": parent}
    stage = Stage(address_of(depends_on), depends_on, pa.table(rows, schema=PREDICTIONS), 1.5, 10, 7)
    tensors = {part: {"w": torch.full((100,), float(ord(part)))} for part in parts}
    StageStore(place).publish(stage, State(tensors, {}))
    return stage.address


def test_a_shared_part_is_removed_with_its_last_stage(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = publish(store, 0, "a", "b")
    age(store, 4)
    second = publish(store, 1, "b", "c")
    size = list_store(Location.of(store)).size
    (eviction,) = evict(store, size - 1)
    assert eviction.stages == (first,) and eviction.parts == 1
    assert StageStore(store).find(first) is None
    state = StageStore(store).state(second)
    assert state is not None and set(state.parts) == {"b", "c"}
    age(store, 4)
    (eviction,) = evict(store, 1)
    assert eviction.stages == (second,) and eviction.parts == 2 and not names(store)


def test_stages_used_within_the_hour_are_kept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    old, used = publish(store, 0, "a"), publish(store, 1, "b")
    age(store, 2)
    assert StageStore(store).find(used) is not None  # marks it
    (eviction,) = evict(store, 1)
    assert eviction.stages == (old,) and eviction.excess == eviction.size_after - 1
    assert not damages(store)


def test_a_part_that_is_about_to_be_published_again_is_kept(tmp_path: Path) -> None:
    """Its stage is evicted; another one, not published yet, has just protected it."""
    store = tmp_path / "store"
    publish(store, 0, "a", "b")
    age(store, 2)
    digest, other = list_store(Location.of(store)).parts
    assert StageStore(store).shared_files.protect(part_file(digest))
    (eviction,) = evict(store, 1)
    assert eviction.parts == 1 and names(store) == {part_file(digest)}
    assert not StageStore(store).shared_files.protect(part_file(other))


def test_reading_an_embedding_marks_it_as_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    embeddings = ArrayStore(store / "features")
    old, new = ("1" * 64, "2" * 64)
    for address in (old, new):
        embeddings.get(address, 4, lambda: iter([np.arange(4.0)]))
    age(store, 2)
    array = embeddings.get(new, 4, lambda: iter([]))
    (eviction,) = evict(store, 1)
    assert eviction.arrays == (old,) and eviction.excess
    age(store, 2)
    monkeypatch.setattr(arrays, "MARK_SECONDS", 0.0)
    monkeypatch.setattr(arrays, "RESIDENT", 0)  # as if it were read batch by batch, for hours
    assert ArrayRows(array, "cpu")[torch.tensor([2])].tolist() == [2.0]
    (eviction,) = evict(store, 1)
    assert eviction.arrays == ()


def test_a_lease_is_created_although_its_empty_folder_is_removed_all_the_time(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    lease = Lease(Location.of(folder / "x.lease"))
    ended = threading.Event()

    def remove_folders() -> None:
        while not ended.wait(0.001):
            Location.of(folder).remove_folder()

    remover = threading.Thread(target=remove_folders)
    remover.start()
    try:
        for _ in range(200):
            assert lease.take()
            lease.release()
    finally:
        ended.set()
        remover.join()


def test_unused_for_evicts_although_the_store_fits(tmp_path: Path) -> None:
    store = tmp_path / "store"
    old = publish(store, 0, "a")
    age(store, 48)
    publish(store, 1, "b")
    age(store / "parts", 0)
    (eviction,) = evict(store, unused_for=24 * HOUR)
    assert eviction.stages == (old,)


def test_leftovers_of_crashed_processes_are_removed_and_files_of_running_ones_are_kept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    complete = publish(store, 0, "a")
    incomplete = publish(store, 1, "b")
    (store / stage_file(incomplete)).unlink()
    active = Lease(Location.of(store / f"{stage_file('c' * 64)}.lease"))
    assert active.take()
    computed = (store / stage_file("c" * 64)).parent
    for path in (computed / ".predictions.parquet.77.aside", store / "parts" / ".88.aside", computed / "mine.txt"):
        path.write_bytes(b"half")
    failed = store / "stages/dd" / ("d" * 64)
    failed.mkdir(parents=True)
    hold = "import os, sys; from datasets.utils.location import Location; from trainables.store.lease import Lease\n"
    hold += "assert Lease(Location.of(sys.argv[1])).take(); os.kill(os.getpid(), 9)"
    abandoned = store / f"features/ee/{'e' * 64}.npy.lease"
    assert subprocess.run([sys.executable, "-c", hold, str(abandoned)], check=False).returncode == -9
    stale = store / f"features/ff/{'f' * 64}.npy.lease"
    Location.of(stale).write(b'{"host": "another", "owner": "x", "beat": 1}')
    age(store, 2)
    (eviction,) = evict(store, full_scan=True)
    assert eviction.leftovers == 4 and eviction.parts == 1 and not eviction.stages
    inside = {path.name: path for path in computed.iterdir()}
    assert sorted(inside) == [".predictions.parquet.77.aside", "mine.txt", "stage.json.lease"]
    (part,) = list_store(Location.of(store)).parts
    published = {stage_file(complete), predictions_file(complete), part_file(part)}
    assert names(store) == published | {path.relative_to(store).as_posix() for path in inside.values()}
    assert not failed.exists() and not damages(store)
    active.release()


def test_descriptions_of_a_store_within_its_limit_are_not_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    publish(store, 0, "a")
    (path,) = store.rglob("stage.json")
    path.write_text("no JSON")
    (eviction,) = evict(store, 10**9)
    assert eviction.size_before == eviction.size_after and path.exists()


def test_links_and_foreign_files_are_ignored(tmp_path: Path) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    publish(store, 0, "a")
    elsewhere.mkdir()
    name = "5" * 64
    (elsewhere / f"{name}.npy").write_bytes(b"mine")
    (store / "features").mkdir()
    (store / "features" / "55").symlink_to(elsewhere)
    (store / "notes.txt").write_text("mine")
    (store / "parts" / f"{name}.safetensors").write_text("in the wrong folder")
    age(store, 2)
    evict(store, 1)
    assert names(store) == {"notes.txt", f"parts/{name}.safetensors"}
    assert (elsewhere / f"{name}.npy").exists()


def test_an_eviction_killed_at_any_moment_leaves_no_stage_without_its_parts(store: Path, tmp_path: Path) -> None:
    for number in range(1, 72, 7):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(store, copy)
        child = os.fork()
        if child == 0:
            count = 0

            def exit_at(event: str, _: object, last: int = number) -> None:
                nonlocal count
                count += event in ("os.remove", "os.rename", "os.rmdir")
                if count == last:
                    os._exit(9)

            sys.addaudithook(exit_at)
            try:
                evict(copy, 1)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert names(copy) and not damages(copy)
        age(copy, 2)
        evict(copy, 1)
        assert not names(copy) and not [path for path in copy.glob("stages/*/*")]


def test_evicting_while_another_process_computes(full: tuple[Path, list[str]], tones: Path, tmp_path: Path) -> None:
    """Old files of the same sessions are added and evicted all the time."""
    store = tmp_path / "store"
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(config(tones, store, RATES[1]).model_dump(mode="json")))
    arguments = ["--config", str(tmp_path / "chain.yaml"), "--out", str(tmp_path / "trial")]
    process = subprocess.Popen([sys.executable, "-m", "trainables.chain", *arguments])
    evicted = 0
    while process.poll() is None:
        restore_as_old(full[0], store, tmp_path / "old")
        (eviction,) = evict(store, 1, full_scan=True)
        evicted += len(eviction.stages)
        time.sleep(0.05)  # leaves a core to the other process
    assert process.returncode == 0 and evicted
    assert not damages(store)
    files = sorted((tmp_path / "trial").glob("session-*.parquet"))
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in files] == full[1][3:]


def restore_as_old(full: Path, store: Path, temporary: Path) -> None:
    """Restores evicted files as last used long ago; descriptions last."""
    restored = [name for name in names(full) if not name.startswith("features/") or name.split("/")[1] < "20"]
    for name in sorted(restored, key=lambda name: (name.startswith("stages/"), name.endswith("stage.json"))):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        if not (store / name).exists():
            shutil.copyfile(full / name, temporary)
            os.utime(temporary, (0, 0))
            with suppress(FileExistsError):
                os.link(temporary, store / name)
            temporary.unlink()


@pytest.fixture
def bucket() -> Iterator[str]:
    with empty_bucket("eviction") as uri:
        yield uri


def test_evicting_behind_a_uri_and_from_the_local_copy(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    place = f"{bucket}/runs/store"
    first, second = publish(place, 0, "a", "b"), publish(place, 1, "b", "c")
    size = list_store(Location.of(place)).size
    assert not damages(place)
    assert all(eviction.excess and not eviction.stages for eviction in evict(place, 1))  # used recently
    evictions = evict(place, size - 1, keep_used=-2)
    assert [len(eviction.stages) for eviction in evictions] == [1, 1] and not damages(place)
    (left,) = list_store(Location.of(place)).stages()
    assert left.address in (first, second)
    assert StageStore(place).state(left.address) is not None
    damaged = part_file(left.parts[0])
    (Location.of(place) / damaged).write(b"damaged")
    (line,) = damages(place)
    assert line.startswith(f"{damaged}: expected SHA-256") and line.endswith("needed by 1 stage")
    evict(place, 1, keep_used=-2)
    remaining = list(Location.of(place).walk())
    assert not [file.name for file in remaining if file.size is not None or file.name.count("/") > 1]
