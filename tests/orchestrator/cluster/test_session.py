"""Ray on this machine: what it listens on, what it prints, what it leaves; and clusters that are not there."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.cluster.reaper import writers
from orchestrator.cluster.session import PACKAGES, runtime_env, start_ray
from orchestrator.cluster.temp_dir import PREFIX, prune, ray_folder
from tests.support.processes import descendants, running, wait_for

REPOSITORY = Path(__file__).parents[3]
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1 as /proc/net/tcp and tcp6 write it


def python(code: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What a process of its own does: this one may have Ray up already."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


JOIN = """
import sys
from datasets.utils.errors import EarshotError
from orchestrator.cluster.session import start_ray
try:
    with start_ray(sys.argv[1]):
        import ray
        print(ray.get_runtime_context().gcs_address)
except EarshotError as error:
    print(error)
"""

EVERYTHING = """
import json, os, sys, urllib.error, urllib.request
from orchestrator.cluster.session import start_ray
from tests.support.processes import descendants, listening

def status(url, **headers):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers)).status
    except urllib.error.HTTPError as error:
        return error.code

with start_ray(cpus=1, dashboard=True, verbose=True) as url:
    import ray
    ray.get(ray.remote(lambda: print("a worker speaks")).remote())
    folder = ray._private.worker._global_node.get_session_dir_path()
    outer = os.path.dirname(os.path.dirname(folder))
    token = open(os.path.join(os.environ["HOME"], ".ray", "auth_token")).read()
    ours = [os.getpid(), *descendants(os.getpid())]
    found = {
        "url": url, "without": status(f"{url}/api/version"),
        "with": status(f"{url}/api/version", Authorization=f"Bearer {token}"),
        "folder": outer, "mode": os.stat(outer).st_mode & 0o777, "listening": sorted(listening(ours)),
        "token": os.stat(os.path.join(os.environ["HOME"], ".ray", "auth_token")).st_mode & 0o777,
    }
found["left"] = os.path.exists(outer)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with start_ray(cpus=1):
        yield


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one cluster, started with all that can be asked for, says of itself."""
    process = python(EVERYTHING, HOME=str(tmp_path_factory.mktemp("home")))
    assert process.returncode == 0, process.stderr
    return {**json.loads(process.stdout.splitlines()[-1]), "output": process.stdout + process.stderr}


def test_everything_listens_on_the_loopback_interface_alone(everything: dict[str, Any]) -> None:
    assert set(everything["listening"]) and set(everything["listening"]) <= LOOPBACK


def test_the_dashboard_asks_for_the_token(everything: dict[str, Any]) -> None:
    assert everything["url"].startswith("http://127.0.0.1:")
    assert (everything["without"], everything["with"]) == (401, 200)


def test_token_and_folder_are_their_owners_alone(everything: dict[str, Any]) -> None:
    assert (everything["token"], everything["mode"]) == (0o600, 0o700)
    assert Path(everything["folder"]).parent == Path(os.environ["EARSHOT_RAY_TMP"])
    assert not everything["left"]


def test_verbose_brings_the_messages_back(everything: dict[str, Any]) -> None:
    assert "Started a local Ray instance" in everything["output"] and "a worker speaks" in everything["output"]


def test_a_dashboard_that_is_not_installed_is_told_in_one_line() -> None:
    code = """
import sys
sys.modules["aiohttp_cors"] = None  # as if it were not there
from datasets.utils.errors import EarshotError
from orchestrator.cluster.session import start_ray
try:
    with start_ray(dashboard=True):
        pass
except EarshotError as error:
    print(error)
"""
    said = python(code).stdout
    assert said.startswith("dashboard: expected the packages that it needs") and said.count("\n") == 1
    assert said.endswith("pip install 'earshot[cluster]'\n")


def test_a_token_that_others_could_read_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.cluster.session import _guard_token

    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("a" * 64)
    token.chmod(0o644)
    _guard_token()
    assert token.stat().st_mode & 0o777 == 0o600 and token.read_text() == "a" * 64
    token.unlink()
    token.parent.rmdir()
    token.parent.write_text("in the way")
    with pytest.raises(EarshotError, match=r"expected to keep Ray's token there, found: .* set RAY_AUTH_TOKEN_PATH"):
        _guard_token()


def test_a_cluster_that_is_not_there_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = python(JOIN, address).stdout
    assert said.startswith(f"--address {address}: expected the GCS port of a Ray head") and said.count("\n") == 1
    said = python(JOIN, "nonsense").stdout
    assert said.startswith("--address nonsense: expected a Ray cluster to join, found: ") and said.count("\n") == 1
    said = python(JOIN, "ray://host:10001").stdout
    assert said.startswith("--address ray://host:10001: expected host:port or auto") and "ray job submit" in said


def test_a_cluster_that_is_there_is_joined(ray_up: object) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    process = python(JOIN, address)
    assert (process.stdout, process.stderr) == (f"{address}\n", "")


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Starts a process that prints a line when it is ready; returns then."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_a_killed_owner_leaves_neither_process_nor_folder(tmp_path: Path) -> None:
    code = """
import sys, time
from orchestrator.cluster.session import start_ray
with start_ray(cpus=1):
    import ray
    @ray.remote
    def busy(path):
        open(path, "w").close()
        while True:
            sum(range(10**6))
    work = busy.remote(sys.argv[1])
    print(ray._private.worker._global_node.get_session_dir_path(), flush=True)
    time.sleep(600)
"""
    begun = tmp_path / "begun"
    place = Path(os.environ["EARSHOT_RAY_TMP"])
    before = set(place.glob(f"{PREFIX}*"))
    owner = start(code, str(begun))
    try:
        wait_for(begun.exists, 60)
        family = descendants(owner.pid)
        (folder,) = set(place.glob(f"{PREFIX}*")) - before
        assert len(family) > 5 and running(family) == family
    finally:
        owner.kill()
        owner.wait()
    wait_for(lambda: not running(family) and not folder.exists(), 30)


def test_the_next_start_clears_what_a_killed_caretaker_left(short: Path) -> None:
    code = """
import subprocess, sys, time
from pathlib import Path
from orchestrator.cluster.temp_dir import ray_folder
with ray_folder(Path(sys.argv[1])) as folder:
    folder.mkdir()
    with (folder / "log").open("w") as log:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=log, start_new_session=True)
    print("ready", flush=True)
    time.sleep(600)
"""
    owner = start(code, str(short))
    (folder,) = short.glob(f"{PREFIX}*")
    orphans = writers(folder)
    caretaker = [process for process in descendants(owner.pid) if process not in orphans]
    assert len(orphans) == len(caretaker) == 1 and prune(short) == []  # its owner lives
    for process in (*caretaker, owner.pid):
        os.kill(process, signal.SIGKILL)
    owner.wait()
    assert folder.exists() and running(orphans)
    with ray_folder(short):
        assert not folder.exists()
        wait_for(lambda: not running(orphans), 10)
    assert not list(short.iterdir())


def test_only_folders_of_dead_owners_are_removed(short: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    (short / f"{PREFIX}link").symlink_to(tmp_path)
    (short / f"{PREFIX}file").touch()
    (short / "another").mkdir()
    (short / f"{PREFIX}dead" / "r").mkdir(parents=True)
    with ray_folder(short) as mine, ray_folder(short) as other:
        mine.mkdir()
        assert sorted(path.name for path in short.iterdir()) == sorted(
            [f"{PREFIX}link", f"{PREFIX}file", "another", mine.parent.name, other.parent.name]
        )
    assert sorted(path.name for path in short.iterdir()) == sorted([f"{PREFIX}link", f"{PREFIX}file", "another"])
    assert (tmp_path / "kept").exists()


def test_who_reads_a_log_is_no_part_of_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with (tmp_path / "log").open() as log:
        reader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=log)
    try:
        assert writers(tmp_path) == []
    finally:
        reader.kill()
        reader.wait()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="er-") as folder:
        yield Path(folder)


def test_a_place_that_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARSHOT_RAY_TMP", str(tmp_path / ("x" * 40)))
    with pytest.raises(EarshotError, match=r"EARSHOT_RAY_TMP .*: expected a folder whose path has 22 bytes at most"):
        ray_folder().__enter__()


def test_workers_of_a_joined_cluster_get_our_code_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LEASE_SECONDS", "7")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = runtime_env()
    assert given["env_vars"]["EARSHOT_LEASE_SECONDS"] == "7" and "secret" not in str(given)
    assert given["py_modules"] == [str(REPOSITORY / package) for package in PACKAGES]


@pytest.mark.parametrize(
    ("job", "folder", "brought"),
    [
        ({"working_dir": "gcs://_ray_pkg_1.zip"}, REPOSITORY, True),
        ({"working_dir": "gcs://_ray_pkg_1.zip"}, REPOSITORY / "docs", False),  # our code is not in it
        ({"py_modules": ["gcs://_ray_pkg_1.zip"]}, REPOSITORY / "docs", True),
        ({}, REPOSITORY, False),
    ],
)
def test_a_job_that_has_brought_our_code_does_not_bring_it_twice(
    monkeypatch: pytest.MonkeyPatch, job: dict[str, Any], folder: Path, brought: bool
) -> None:
    described = {"runtime_env": {**job, "env_vars": {"EARSHOT_CACHE": "/job"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(described))
    monkeypatch.setenv("EARSHOT_CACHE", "/driver")  # Ray refuses a variable that both name
    monkeypatch.chdir(folder)
    given = runtime_env()
    assert "EARSHOT_CACHE" not in given["env_vars"] and ("py_modules" not in given) == brought
