"""Starts Ray on this machine, or joins a running cluster."""

import json
import logging
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.cluster import ray_private, reaper
from orchestrator.cluster.temp_dir import ray_folder
from orchestrator.cluster.watchdog import Health, watchdog
from trainables.networks.own_code import PLACES, OwnCode

PACKAGES = ("datasets", "trainables", "orchestrator", "search_spaces", "recipes")
"""Our packages, which workers get."""
ROOT = Path(__file__).resolve().parents[2]
"""The folder that these packages are in."""
FORWARDED_VARIABLES = (
    "EARSHOT_LEASE_SECONDS",
    "EARSHOT_CACHE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)
"""Environment variables that the driver passes to the workers of a joined cluster. None may be a secret: everybody who
has access to the dashboard can read them. Nodes have credentials of their own (docs/cluster.md)."""
CONNECT_TIMEOUT = 3.0  # seconds for the head of a cluster to accept a connection

_HOST_AND_PORT = re.compile(r"\[?([^/]+?)\]?:([0-9]+)", re.ASCII)


@contextmanager
def start_ray(
    address: str | None = None,
    cpus: int | None = None,
    *,
    dashboard: bool = False,
    verbose: bool = False,
    advice: str = "Run the same command again to resume.",
    code: Sequence[OwnCode] = (),
) -> Iterator[str | None]:
    """Starts or joins Ray for the `with` block. Does nothing if Ray is already running in this process.

    A cluster that is started here listens on the loopback interface only, requires Ray's token, uses its own temporary
    folder (`orchestrator.cluster.temp_dir`) and ends with this process, even after `kill -9`. The workers of a joined
    cluster get our packages from this process, whatever is installed on their nodes. If Ray dies, the block ends with
    an error (`orchestrator.cluster.watchdog`).

    Args:
        address: of a cluster to join, `host:port` or "auto", on a node of it; by default ("local") a new cluster
            is started on this machine, even if another one is running.
        cpus: number of workers of a new cluster (default: one per core).
        dashboard: whether a new cluster has a dashboard, on the loopback interface.
        verbose: whether messages of Ray and its workers are printed.
        advice: what the user can do if Ray dies.
        code: of networks of the user's own, which workers import: from where it is, or from a copy.

    Yields:
        The address of the dashboard (`http://host:port`), if there is one.

    Raises:
        EarshotError: nothing answers at the address, the token is wrong, or Ray does not start, or dies.
    """
    import ray

    if ray.is_initialized():
        yield None
        return
    level = logging.INFO if verbose else logging.ERROR
    logging.getLogger("ray").setLevel(level)
    logs = {"logging_level": level, "log_to_driver": verbose}
    with ExitStack() as stack:
        if address is None or address == "local":
            if dashboard:
                _check_dashboard_installed()
            _protect_token()
            folder = stack.enter_context(ray_folder())
            with ray_private.loopback_only(), _quietly(verbose), _worker_environment(folder.parent, code):
                url = _start(cpus, dashboard, folder, logs)
            health: Health = ray_private.LocalHealth()
            clean_up: Callable[[], None] = partial(reaper.clear, folder.parent)
        else:
            with _quietly(verbose):
                url = _join(address, logs, code)
            health, clean_up = ray_private.JoinedHealth(), lambda: None
        stack.enter_context(watchdog(health, advice, shut_down=ray.shutdown, clean_up=clean_up))
        yield f"http://{url}" if url else None


@contextmanager
def _quietly(verbose: bool) -> Iterator[None]:
    """Keeps the handlers of signals that Ray replaces, and its messages from the terminal unless `verbose`."""
    with ray_private.keep_signals(), nullcontext() if verbose else ray_private.no_messages():
        yield


def _start(cpus: int | None, dashboard: bool, folder: Path, logs: dict[str, Any]) -> str | None:
    import ray

    try:
        context = ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            **ray_private.local_options(folder),
            **logs,
        )
    except Exception as error:  # Ray raises a bare Exception if starting takes too long, as on a busy machine
        reaper.clear(folder.parent)
        raise EarshotError(
            f"Ray: expected it to start on this machine, found: {_first_line(error)}; run the same command again"
        ) from error
    return context.dashboard_url if dashboard else None


def _join(address: str, logs: dict[str, Any], code: Sequence[OwnCode]) -> str | None:
    import ray
    from ray.exceptions import AuthenticationError, RayError

    if address.startswith("ray://"):
        raise EarshotError(
            f"--address {printable(address)}: expected host:port or auto, on a node of the cluster; from other "
            "machines, submit a job: ray job submit --working-dir . -- python -m orchestrator.sweep --address auto ..."
        )
    is_local = _check_reachable(address)
    try:
        if _HOST_AND_PORT.fullmatch(address):
            ray_private.check_token(address)
        with ray_private.loopback_only() if is_local else nullcontext(), tempfile.TemporaryDirectory() as folder:
            copies = [one.copy(Path(folder)) for one in code]
            return ray.init(address=address, runtime_env=runtime_env(copies), **logs).dashboard_url
    except AuthenticationError as error:
        raise EarshotError(
            f"--address {printable(address)}: expected the token of the cluster, found: "
            f"{_first_line(error).split('. ')[0]}; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        ) from error
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise EarshotError(
            f"--address {printable(address)}: expected a Ray cluster to join, found: {_first_line(error)}; "
            "check that it is running (`ray status`)"
        ) from error


def runtime_env(copies: Sequence[Path] = ()) -> dict[str, Any]:
    """Ray's runtime environment for the workers of a joined cluster: our packages, and a few environment variables.

    In a Ray job whose working directory has our packages, the workers have them already. A job that has modules of its
    own (`py_modules`) has to contain all code: Ray does not add to them.

    Args:
        copies: folders with the code of networks of the user's own (`OwnCode.copy`).
    """
    job: dict[str, Any] = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}").get("runtime_env") or {}
    variables = {name: os.environ[name] for name in FORWARDED_VARIABLES if name in os.environ}
    for name in job.get("env_vars") or {}:  # Ray rejects variables that are set twice
        variables.pop(name, None)
    if "py_modules" in job:
        return {"env_vars": variables}
    if copies:
        variables[PLACES] = os.pathsep.join(folder.name for folder in copies)
    has_packages = "working_dir" in job and ROOT.is_relative_to(Path.cwd())
    modules = [str(folder) for folder in [*(() if has_packages else (ROOT / name for name in PACKAGES)), *copies]]
    return {"env_vars": variables, **({"py_modules": modules} if modules else {})}


@contextmanager
def _worker_environment(folder: Path, code: Sequence[OwnCode]) -> Iterator[None]:
    """The environment of a cluster that starts in this block.

    Workers find our packages first, wherever they are installed, and know where the user's code is. Their temporary
    files are in `folder` and vanish with it: Ray kills its workers, so libraries cannot remove theirs.
    """
    tempfile.gettempdir()  # of this process; it is looked up once
    temporary = folder / "t"
    temporary.mkdir()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    roots = os.pathsep.join(str(one.root) for one in code)
    changes = {"PYTHONPATH": path, "TMPDIR": str(temporary), PLACES: roots}
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _protect_token() -> None:
    """Makes the token readable for this user only, before Ray creates its file readable for all users."""
    variables = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if variables or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    path = Path.home() / ".ray" / "auth_token"
    if not path.exists() and not os.access(path.parent if path.parent.exists() else Path.home(), os.W_OK):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # a container: home folders such as / are read-only there
        return
    try:
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # readable for its owner only
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass  # another process was faster
            finally:
                Path(temporary).unlink()
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise EarshotError(
            f"{path}: expected to store Ray's token there, found: {_first_line(error)}; set RAY_AUTH_TOKEN_PATH to a "
            "file with a long random text, or RAY_AUTH_MODE=disabled if no other person uses this machine"
        ) from error


def _check_dashboard_installed() -> None:
    try:
        import ray.dashboard.optional_deps  # noqa: F401
    except ImportError as error:
        raise EarshotError(
            f"dashboard: expected the packages that it requires, found none ({_first_line(error)}); install them: "
            "pip install 'earshot[cluster]'"
        ) from error


def _check_reachable(address: str) -> bool:
    """Connects to an address of the form host:port; Ray itself would try for most of a minute without a message.

    Returns:
        Whether only the loopback interface answers, which Ray does not try by default.

    Raises:
        EarshotError: nothing answers.
    """
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return False  # Ray resolves "auto"
    try:
        with socket.create_connection((match[1], int(match[2])), timeout=CONNECT_TIMEOUT) as connection:
            if not ip_address(connection.getpeername()[0]).is_loopback:
                return False
    except (OSError, OverflowError, UnicodeError) as error:  # OverflowError: the port; UnicodeError: the host
        raise EarshotError(
            f"--address {printable(address)}: expected the GCS port of a Ray head (6379 by default), found no answer "
            f"({_first_line(error)}); start one with `ray start --head`, or correct the address"
        ) from error
    import ray

    try:
        socket.create_connection((ray.util.get_node_ip_address(), int(match[2])), timeout=CONNECT_TIMEOUT).close()
    except OSError:
        return True
    return False


def last_line(error: Exception) -> str:
    """The last line of an error of Ray: the reason, below the stack trace of the worker."""
    lines = _lines(error)
    return printable(lines[-1]) if lines else type(error).__name__


def _first_line(error: Exception) -> str:
    lines = _lines(error)
    return printable(lines[0].rstrip(".")) if lines else type(error).__name__


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]
