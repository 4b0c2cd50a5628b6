"""Ray on this machine: sockets, output, leftovers; and clusters that cannot be joined."""

import json
import os
import re
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
    """Runs code in a new process, as Ray may already be running in this one."""
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

OWN_CLUSTER = """
import json, os, urllib.error, urllib.request
from pathlib import Path
from orchestrator.cluster.session import start_ray
from tests.support.processes import descendants, listening

def status(url, **headers):
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers)).status
    except urllib.error.HTTPError as error:
        return error.code

with start_ray(cpus=1, dashboard=True, verbose=True) as url:
    import ray
    ray.get(ray.remote(lambda: print("printed by a worker")).remote())
    outer = str(Path(ray.nodes()[0]["ObjectStoreSocketName"]).parents[3])  # FOLDER/r/session_.../sockets/plasma_store
    token = open(os.path.join(os.environ["HOME"], ".ray", "auth_token")).read()
    ours = [os.getpid(), *descendants(os.getpid())]
    cluster = {
        "url": url, "without": status(f"{url}/api/version"),
        "with": status(f"{url}/api/version", Authorization=f"Bearer {token}"),
        "folder": outer, "mode": os.stat(outer).st_mode & 0o777, "listening": sorted(listening(ours)),
        "token": os.stat(os.path.join(os.environ["HOME"], ".ray", "auth_token")).st_mode & 0o777,
    }
cluster["left"] = os.path.exists(outer)
print(json.dumps(cluster))
"""


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with start_ray(cpus=1):
        yield


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Properties of a cluster that was started with all options."""
    process = python(OWN_CLUSTER, HOME=str(tmp_path_factory.mktemp("home")))
    assert process.returncode == 0, process.stderr
    return {**json.loads(process.stdout.splitlines()[-1]), "output": process.stdout + process.stderr}


def test_ray_listens_on_the_loopback_interface_only(everything: dict[str, Any]) -> None:
    assert set(everything["listening"]) and set(everything["listening"]) <= LOOPBACK


def test_the_dashboard_requires_the_token(everything: dict[str, Any]) -> None:
    assert everything["url"].startswith("http://127.0.0.1:")
    assert (everything["without"], everything["with"]) == (401, 200)


def test_token_and_folder_are_accessible_to_their_owner_only(everything: dict[str, Any]) -> None:
    assert (everything["token"], everything["mode"]) == (0o600, 0o700)
    assert Path(everything["folder"]).parent == Path(os.environ["EARSHOT_RAY_TMP"])
    assert not everything["left"]


def test_verbose_prints_the_messages_of_ray_and_its_workers(everything: dict[str, Any]) -> None:
    assert "Started a local Ray instance" in everything["output"] and "printed by a worker" in everything["output"]


def test_a_dashboard_that_is_not_installed_is_one_line() -> None:
    code = """
import sys
sys.modules["aiohttp_cors"] = None  # as if it were not installed
from datasets.utils.errors import EarshotError
from orchestrator.cluster.session import start_ray
try:
    with start_ray(dashboard=True):
        pass
except EarshotError as error:
    print(error)
"""
    output = python(code).stdout
    assert output.startswith("dashboard: expected the packages that it requires") and output.count("\n") == 1
    assert output.endswith("pip install 'earshot[cluster]'\n")


def test_a_token_readable_by_others_is_protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.cluster.session import _protect_token

    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("a" * 64)
    token.chmod(0o644)
    _protect_token()
    assert token.stat().st_mode & 0o777 == 0o600 and token.read_text() == "a" * 64
    token.unlink()
    token.parent.rmdir()
    token.parent.write_text("not a folder")
    with pytest.raises(EarshotError, match=r"expected to store Ray's token there, found: .* set RAY_AUTH_TOKEN_PATH"):
        _protect_token()


def test_a_cluster_that_does_not_answer_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        output = python(JOIN, address).stdout
    assert output.startswith(f"--address {address}: expected the GCS port of a Ray head") and output.count("\n") == 1
    output = python(JOIN, "nonsense").stdout
    assert output.startswith("--address nonsense: expected a Ray cluster to join, found: ") and output.count("\n") == 1
    output = python(JOIN, "ray://host:10001").stdout
    assert output.startswith("--address ray://host:10001: expected host:port or auto") and "ray job submit" in output


def test_a_running_cluster_is_joined(ray_up: object) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    process = python(JOIN, address)
    assert (process.stdout, process.stderr) == (f"{address}\n", "")


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Starts a process, and returns once it has printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_a_killed_owner_leaves_neither_processes_nor_a_folder(tmp_path: Path) -> None:
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
    print("ready", flush=True)
    time.sleep(600)
"""
    started = tmp_path / "started"
    place = Path(os.environ["EARSHOT_RAY_TMP"])
    before = set(place.glob(f"{PREFIX}*"))
    owner = start(code, str(started))
    try:
        wait_for(started.exists, 60)
        family = descendants(owner.pid)
        (folder,) = set(place.glob(f"{PREFIX}*")) - before
        assert len(family) > 5 and running(family) == family
    finally:
        owner.kill()
        owner.wait()
    wait_for(lambda: not running(family) and not folder.exists(), 30)


LISTENING = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # if the tests run with nohup, it is ignored
"""
WAITING = """
import os, sys, time
from datasets.utils.cli import as_program
from datasets.utils.errors import Interrupted
from orchestrator.cluster.session import start_ray

@as_program
def main(arguments=None):
    try:
        with start_ray(cpus=1, advice="Run it again."):
            import ray
            work = ray.remote(lambda: time.sleep(600)).remote()
            print("ready", flush=True)
            ray.get(work)
    except KeyboardInterrupt:
        raise Interrupted("interrupted as expected") from None

sys.exit(main())
"""


@pytest.mark.parametrize(
    ("victim", "number", "status", "line"),
    [
        ("raylet/raylet", signal.SIGKILL, 2, "error: Ray: its process raylet was killed by signal 9; .* Run it again."),
        (
            "gcs_server",
            signal.SIGKILL,
            2,
            "error: Ray: its process gcs_server was killed by signal 9; .* Run it again.",
        ),
        ("", signal.SIGTERM, 143, "interrupted as expected"),  # the process that waits
        ("", signal.SIGHUP, 129, "interrupted as expected"),
    ],
    ids=["raylet", "head", "SIGTERM", "SIGHUP"],
)
def test_a_block_that_waits_for_ray_ends_with_one_line(
    victim: str, number: signal.Signals, status: int, line: str
) -> None:
    place = Path(os.environ["EARSHOT_RAY_TMP"])
    before = set(place.glob(f"{PREFIX}*"))
    process = subprocess.Popen(
        [sys.executable, "-c", LISTENING + WAITING],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    family = descendants(process.pid)
    (killed,) = (
        [it for it in family if victim.encode() in command_line(it).split(b"\0")[0]] if victim else [process.pid]
    )
    os.kill(killed, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status, error
    assert re.fullmatch(line + "\n", error)
    wait_for(lambda: not running(family), 20)
    assert set(place.glob(f"{PREFIX}*")) == before


def test_a_block_that_ignores_a_signal_is_ended() -> None:
    """An interrupt in a destructor, for example, is ignored by Python."""
    ignoring = WAITING.replace(
        "            ray.get(work)\n",
        "            while True:\n                try: time.sleep(600)\n                except BaseException: pass\n",
    ).replace("@as_program", "from orchestrator.cluster import watchdog\nwatchdog.PATIENCE = 2.0\n\n@as_program")
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    family = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (143, "interrupted; completed work is saved. Run it again.\n")
    wait_for(lambda: not running(family), 20)


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_the_next_start_cleans_up_after_a_killed_reaper(short: Path) -> None:
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
    reaper = [process for process in descendants(owner.pid) if process not in orphans]
    assert len(orphans) == len(reaper) == 1 and prune(short) == []  # its owner is running
    for process in (*reaper, owner.pid):
        os.kill(process, signal.SIGKILL)
    owner.wait()
    assert folder.exists() and running(orphans)
    with ray_folder(short):
        assert not folder.exists()
        wait_for(lambda: not running(orphans), 10)
    assert not list(short.iterdir())


def test_only_folders_whose_owners_have_exited_are_removed(short: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    (short / f"{PREFIX}link").symlink_to(tmp_path)
    (short / f"{PREFIX}file").touch()
    (short / "another").mkdir()
    (short / f"{PREFIX}exited" / "r").mkdir(parents=True)
    with ray_folder(short) as mine, ray_folder(short) as other:
        mine.mkdir()
        assert sorted(path.name for path in short.iterdir()) == sorted(
            [f"{PREFIX}link", f"{PREFIX}file", "another", mine.parent.name, other.parent.name]
        )
    assert sorted(path.name for path in short.iterdir()) == sorted([f"{PREFIX}link", f"{PREFIX}file", "another"])
    assert (tmp_path / "kept").exists()


def test_a_process_that_reads_a_log_is_not_killed(tmp_path: Path) -> None:
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


def test_a_temporary_folder_with_a_long_path_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EARSHOT_RAY_TMP", str(tmp_path / ("x" * 40)))
    with pytest.raises(EarshotError, match=r"EARSHOT_RAY_TMP .*: expected a folder whose path has 22 bytes at most"):
        ray_folder().__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_temporary_folder_is_named(short: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(short)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounts a small file system, which is not allowed here: {mounted.stderr.strip()}")
    try:
        expected = (
            f"{short}: expected 20.0 MB of free space at least for Ray's temporary files, found 1.0 MB; make room"
        )
        with pytest.raises(EarshotError, match=expected):
            ray_folder(short).__enter__()
        assert not list(short.iterdir())
    finally:
        subprocess.run(["umount", "-l", str(short)], check=True)


def test_a_home_that_cannot_be_written_needs_no_token_file() -> None:
    code = """
import os
from orchestrator.cluster.session import _protect_token
_protect_token()
print(len(os.environ["RAY_AUTH_TOKEN"]))
"""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**inherited, "HOME": "/proc/1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("64\n", "")


def test_workers_of_a_joined_cluster_get_our_packages_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LEASE_SECONDS", "7")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    environment = runtime_env()
    assert environment["env_vars"]["EARSHOT_LEASE_SECONDS"] == "7" and "secret" not in str(environment)
    assert environment["py_modules"] == [str(REPOSITORY / package) for package in PACKAGES]
    own = runtime_env([Path("/tmp/earshot_code_1_2")])
    assert own["py_modules"] == [*environment["py_modules"], "/tmp/earshot_code_1_2"]
    assert own["env_vars"]["EARSHOT_CODE"] == "earshot_code_1_2"


@pytest.mark.parametrize(
    ("job", "folder", "has_packages"),
    [
        ({"working_dir": "gcs://_ray_pkg_1.zip"}, REPOSITORY, True),
        ({"working_dir": "gcs://_ray_pkg_1.zip"}, REPOSITORY / "docs", False),  # our packages are not in it
        ({"py_modules": ["gcs://_ray_pkg_1.zip"]}, REPOSITORY / "docs", True),
        ({}, REPOSITORY, False),
    ],
)
def test_packages_of_a_job_are_not_uploaded_again(
    monkeypatch: pytest.MonkeyPatch, job: dict[str, Any], folder: Path, has_packages: bool
) -> None:
    job_config = {"runtime_env": {**job, "env_vars": {"EARSHOT_CACHE": "/job"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job_config))
    monkeypatch.setenv("EARSHOT_CACHE", "/driver")  # Ray rejects a variable that both set
    monkeypatch.chdir(folder)
    environment = runtime_env()
    assert "EARSHOT_CACHE" not in environment["env_vars"] and ("py_modules" not in environment) == has_packages
