"""Making room in a store: what stays is whole, what went is computed again and is the same."""

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
from datasets.utils.location import Found, Location
from tests.support.object_store import empty_bucket
from trainables.chain_config import ChainConfig
from trainables.records import PREDICTIONS
from trainables.session_chain import Chain
from trainables.store import arrays
from trainables.store.arrays import ArrayStore, Rows
from trainables.store.eviction import chosen, evict
from trainables.store.inventory import StageFiles, holdings
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
    """Digests of what the chains predict with this store."""
    found = []
    for rate in RATES:
        chain = Chain(config(tones, store, rate), folder / f"trial-{rate}")
        while not chain.done:
            chain.step()
        files = sorted((folder / f"trial-{rate}").glob("session-*.parquet"))
        found += [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return found


@pytest.fixture(scope="module")
def full(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store after two chains, and what they predicted."""
    folder = tmp_path_factory.mktemp("full")
    return folder / "store", predictions(tones, folder / "store", folder)


@pytest.fixture
def store(full: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of it, of which nothing was used for two hours or more."""
    place = tmp_path / "store"
    shutil.copytree(full[0], place)
    age(place, 2)
    return place


def age(store: Path, hours: float, seed: int = 0) -> None:
    """Makes files as old as that, or up to an hour older."""
    draw = random.Random(seed)
    for path in sorted(store.rglob("*")):
        then = time.time() - hours * HOUR - draw.uniform(0, HOUR)
        os.utime(path, (then, then))


def names(store: Path) -> set[str]:
    return {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}


def damages(store: Path | str) -> list[str]:
    return [str(damage) for damage in verify(holdings(Location.of(store))).damages]


@pytest.mark.parametrize("fraction", [0.9, 0.6, 0.3, 0.02, 0.0])
def test_what_stays_is_whole_and_what_went_is_the_same_again(
    full: tuple[Path, list[str]], tones: Path, store: Path, tmp_path: Path, fraction: float
) -> None:
    age(store, 2, seed=round(100 * fraction))
    before = holdings(Location.of(store)).size
    limit = round(before * fraction)
    (told,) = evict(store, limit, dry_run=True)
    assert names(store) == names(full[0])
    (room,) = evict(store, limit)
    held = holdings(Location.of(store))
    assert replace(room, place=told.place) == told and room.before == before and room.over == 0
    assert room.after == held.size <= limit
    assert not damages(store)
    stages = held.stages()
    assert {stage.parent for stage in stages} - {None} <= {stage.address for stage in stages}
    assert set(held.parts) == {digest for stage in stages for digest in stage.parts}
    assert not set(room.stages) & set(held.described) and not held.folders.keys() - held.described.keys()
    assert predictions(tones, store, tmp_path) == full[1]
    assert not damages(store)
    assert names(store) <= names(full[0])


digests = st.integers(0, 7).map(lambda number: f"{number:064x}")


@st.composite
def stores(draw: st.DrawFn) -> dict[str, Any]:
    """Chains that branch, parts that they share, arrays; times from 0 to 100, of which those after 80 are young."""
    moments = st.integers(0, 100).map(float)
    parts = {d: Found(part_file(d), draw(st.integers(0, 9)), draw(moments)) for d in draw(st.sets(digests))}
    stages: list[StageFiles] = []
    for number in range(draw(st.integers(0, 8))):
        parent = draw(st.sampled_from([None, *stages]))
        depends_on = {"session": 0 if parent is None else parent.session + 1, "parent": parent and parent.address}
        held = tuple(draw(st.sets(st.sampled_from(sorted(parts))))) if parts else ()
        stages.append(StageFiles(f"{number:064x}", draw(moments), draw(st.integers(0, 9)), held, depends_on))
    arrays = {d: Found(f"features/{d}.npy", draw(st.integers(0, 9)), draw(moments)) for d in draw(st.sets(digests))}
    live = draw(st.sets(st.sampled_from(["none", *map(stage_file, (s.address for s in stages))])))
    return {"stages": stages, "parts": parts, "arrays": arrays, "live": live, "young": 80.0}


def held_bytes(store: dict[str, Any], going: list[StageFiles], leaving: list[Found]) -> int:
    """What is left once these, and the parts that nobody has any more, are gone."""
    stages = [stage for stage in store["stages"] if stage not in going]
    kept = {digest for stage in stages for digest in stage.parts}
    parts = [part for d, part in store["parts"].items() if d in kept or part.modified > store["young"]]
    arrays = [array for array in store["arrays"].values() if array not in leaving]
    return sum(stage.size for stage in stages) + sum(found.size or 0 for found in parts + arrays)


@given(stores(), st.integers(0, 60), st.integers(0, 100))
@settings(max_examples=150, deadline=None)
def test_least_recently_used_first_and_no_more_than_needed(store: dict[str, Any], limit: int, stale: int) -> None:
    total = sum(stage.size for stage in store["stages"])
    total += sum(found.size or 0 for kind in ("parts", "arrays") for found in store[kind].values())
    going, leaving = chosen(**store, excess=total - limit, stale=stale)
    used = {stage.address: stage.used for stage in store["stages"]}
    for stage in reversed(store["stages"]):
        if stage.parent is not None:
            used[stage.parent] = max(used[stage.parent], used[stage.address])
    gone = [used[stage.address] for stage in going] + [array.modified for array in leaving]
    may_go = {s.address: used[s.address] for s in store["stages"] if stage_file(s.address) not in store["live"]}
    stay = [when for address, when in may_go.items() if address not in {stage.address for stage in going}]
    stay += [array.modified for array in store["arrays"].values() if array not in leaving]

    assert all(when <= store["young"] for when in gone)
    assert all(stage.address in may_go for stage in going)
    assert max(gone, default=0) <= min((when for when in stay), default=100)
    assert all(when > min(stale, store["young"]) for when in stay)
    fits = held_bytes(store, going, leaving) <= limit
    assert fits or all(when > store["young"] for when in stay)
    if gone and max(gone) > stale:  # the last one that went was needed
        last = max(gone)
        others = [s for s in going if used[s.address] < last], [array for array in leaving if array.modified < last]
        assert held_bytes(store, *others) > limit
    for stage in going:
        assert all(child in going or stage_file(child.address) in store["live"] for child in children(store, stage))


def children(store: dict[str, Any], stage: StageFiles) -> list[StageFiles]:
    return [other for other in store["stages"] if other.parent == stage.address]


def publish(place: Path | str, number: int, *parts: str, parent: str | None = None) -> str:
    """A stage with these parts; parts of one name are equal."""
    rows = {"split": ["test"], "clip_id": ["a"], "label": [0], "head": ["h"], "prediction": [number]}
    depends_on = {"method": "m", "session": number, "parent": parent}
    stage = Stage(address_of(depends_on), depends_on, pa.table(rows, schema=PREDICTIONS), 1.5, 10, 7)
    tensors = {part: {"w": torch.full((100,), float(ord(part)))} for part in parts}
    StageStore(place).publish(stage, State(tensors, {}))
    return stage.address


def test_a_shared_part_survives_until_its_last_stage_goes(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = publish(store, 0, "a", "b")
    age(store, 4)
    second = publish(store, 1, "b", "c")
    size = holdings(Location.of(store)).size
    (room,) = evict(store, size - 1)
    assert room.stages == (first,) and room.parts == 1
    assert StageStore(store).find(first) is None
    state = StageStore(store).state(second)
    assert state is not None and set(state.parts) == {"b", "c"}
    age(store, 4)
    (room,) = evict(store, 1)
    assert room.stages == (second,) and room.parts == 2 and not names(store)


def test_what_was_used_within_the_hour_stays(tmp_path: Path) -> None:
    store = tmp_path / "store"
    old, used = publish(store, 0, "a"), publish(store, 1, "b")
    age(store, 2)
    assert StageStore(store).find(used) is not None  # marks it
    (room,) = evict(store, 1)
    assert room.stages == (old,) and room.over == room.after - 1
    assert not damages(store)


def test_a_part_that_is_about_to_be_published_again_stays(tmp_path: Path) -> None:
    """The stage that had it goes; another one, not there yet, has just found it."""
    store = tmp_path / "store"
    publish(store, 0, "a", "b")
    age(store, 2)
    digest, other = holdings(Location.of(store)).parts
    assert StageStore(store).depot.keep(part_file(digest))
    (room,) = evict(store, 1)
    assert room.parts == 1 and names(store) == {part_file(digest)}
    assert not StageStore(store).depot.keep(part_file(other))


def test_an_embedding_that_is_read_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    embeddings = ArrayStore(store / "features")
    old, new = ("1" * 64, "2" * 64)
    for address in (old, new):
        embeddings.get(address, 4, lambda: iter([np.arange(4.0)]))
    age(store, 2)
    array = embeddings.get(new, 4, lambda: iter([]))
    (room,) = evict(store, 1)
    assert room.arrays == (old,) and room.over
    age(store, 2)
    monkeypatch.setattr(arrays, "MARK", 0.0)
    monkeypatch.setattr(arrays, "RESIDENT", 0)  # as if it were read batch by batch, for hours
    assert Rows(array, "cpu")[torch.tensor([2])].tolist() == [2.0]
    (room,) = evict(store, 1)
    assert room.arrays == ()


def test_an_empty_folder_that_goes_holds_no_lease_up(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    lease = Lease(Location.of(folder / "x.lease"))
    ended = threading.Event()

    def sweeps() -> None:
        while not ended.wait(0.001):
            Location.of(folder).remove_folder()

    sweeper = threading.Thread(target=sweeps)
    sweeper.start()
    try:
        for _ in range(200):
            assert lease.take()
            lease.release()
    finally:
        ended.set()
        sweeper.join()


def test_unused_for_goes_although_there_is_room(tmp_path: Path) -> None:
    store = tmp_path / "store"
    old = publish(store, 0, "a")
    age(store, 48)
    publish(store, 1, "b")
    age(store / "parts", 0)
    (room,) = evict(store, unused_for=24 * HOUR)
    assert room.stages == (old,)


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    store = tmp_path / "store"
    whole = publish(store, 0, "a")
    half = publish(store, 1, "b")
    (store / stage_file(half)).unlink()
    living = Lease(Location.of(store / f"{stage_file('c' * 64)}.lease"))
    assert living.take()
    computed = (store / stage_file("c" * 64)).parent
    for path in (computed / ".predictions.parquet.77.aside", store / "parts" / ".88.aside", computed / "mine.txt"):
        path.write_bytes(b"half")
    failed = store / "stages/dd" / ("d" * 64)
    failed.mkdir(parents=True)
    hold = "import os, sys; from datasets.utils.location import Location; from trainables.store.lease import Lease\n"
    hold += "assert Lease(Location.of(sys.argv[1])).take(); os.kill(os.getpid(), 9)"
    dead = store / f"features/ee/{'e' * 64}.npy.lease"
    assert subprocess.run([sys.executable, "-c", hold, str(dead)], check=False).returncode == -9
    silent = store / f"features/ff/{'f' * 64}.npy.lease"
    Location.of(silent).write(b'{"host": "another", "owner": "x", "beat": 1}')
    age(store, 2)
    (room,) = evict(store, thorough=True)
    assert room.leftovers == 4 and room.parts == 1 and not room.stages
    inside = {path.name: path for path in computed.iterdir()}
    assert sorted(inside) == [".predictions.parquet.77.aside", "mine.txt", "stage.json.lease"]
    (part,) = holdings(Location.of(store)).parts
    kept = {stage_file(whole), predictions_file(whole), part_file(part)}
    assert names(store) == kept | {path.relative_to(store).as_posix() for path in inside.values()}
    assert not failed.exists() and not damages(store)
    living.release()


def test_a_store_that_fits_is_not_read(tmp_path: Path) -> None:
    store = tmp_path / "store"
    publish(store, 0, "a")
    (path,) = store.rglob("stage.json")
    path.write_text("no JSON")
    (room,) = evict(store, 10**9)
    assert room.before == room.after and path.exists()


def test_links_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
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


def test_killed_at_any_moment_it_leaves_no_stage_without_its_parts(store: Path, tmp_path: Path) -> None:
    for number in range(1, 72, 7):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(store, copy)
        child = os.fork()
        if child == 0:
            count = 0

            def dies(event: str, _: object, last: int = number) -> None:
                nonlocal count
                count += event in ("os.remove", "os.rename", "os.rmdir")
                if count == last:
                    os._exit(9)

            sys.addaudithook(dies)
            try:
                evict(copy, 1)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert names(copy) and not damages(copy)
        age(copy, 2)
        evict(copy, 1)
        assert not names(copy) and not [path for path in copy.glob("stages/*/*")]


def test_while_another_process_computes(full: tuple[Path, list[str]], tones: Path, tmp_path: Path) -> None:
    """Old files of the same sessions come and go all the while."""
    store = tmp_path / "store"
    (tmp_path / "chain.yaml").write_text(yaml.safe_dump(config(tones, store, RATES[1]).model_dump(mode="json")))
    arguments = ["--config", str(tmp_path / "chain.yaml"), "--out", str(tmp_path / "trial")]
    process = subprocess.Popen([sys.executable, "-m", "trainables.chain", *arguments])
    went = 0
    while process.poll() is None:
        put_back_as_old(full[0], store, tmp_path / "old")
        (room,) = evict(store, 1, thorough=True)
        went += len(room.stages)
        time.sleep(0.05)  # leaves the other one a core
    assert process.returncode == 0 and went
    assert not damages(store)
    files = sorted((tmp_path / "trial").glob("session-*.parquet"))
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in files] == full[1][3:]


def put_back_as_old(full: Path, store: Path, aside: Path) -> None:
    """Brings files that went from the store, last used long ago; descriptions last."""
    some = [name for name in names(full) if not name.startswith("features/") or name.split("/")[1] < "20"]
    for name in sorted(some, key=lambda name: (name.startswith("stages/"), name.endswith("stage.json"))):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        if not (store / name).exists():
            shutil.copyfile(full / name, aside)
            os.utime(aside, (0, 0))
            with suppress(FileExistsError):
                os.link(aside, store / name)
            aside.unlink()


@pytest.fixture
def bucket() -> Iterator[str]:
    with empty_bucket("upkeep") as uri:
        yield uri


def test_behind_a_uri_and_in_its_copy(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    place = f"{bucket}/runs/store"
    first, second = publish(place, 0, "a", "b"), publish(place, 1, "b", "c")
    size = holdings(Location.of(place)).size
    assert not damages(place)
    assert all(room.over and not room.stages for room in evict(place, 1))  # young
    rooms = evict(place, size - 1, grace=-2)
    assert [len(room.stages) for room in rooms] == [1, 1] and not damages(place)
    (left,) = holdings(Location.of(place)).stages()
    assert left.address in (first, second)
    assert StageStore(place).state(left.address) is not None
    damaged = part_file(left.parts[0])
    (Location.of(place) / damaged).write(b"damaged")
    (told,) = damages(place)
    assert told.startswith(f"{damaged}: expected SHA-256") and told.endswith("1 of the stages need it")
    evict(place, 1, grace=-2)
    left_over = list(Location.of(place).walk())
    assert not [found.name for found in left_over if found.size is not None or found.name.count("/") > 1]
