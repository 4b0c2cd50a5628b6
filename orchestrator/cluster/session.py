"""Ray, started quietly: on this machine alone, or as a guest of a cluster."""

import json
import logging
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.cluster import reaper
from orchestrator.cluster.temp_dir import ray_folder

PACKAGES = ("datasets", "trainables", "orchestrator", "search_spaces")
"""What a worker imports of ours."""
ROOT = Path(__file__).resolve().parents[2]
"""The folder that these packages lie in."""
CARRIED = (
    "EARSHOT_LEASE_SECONDS",
    "EARSHOT_CACHE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)
"""Environment variables that workers of a joined cluster get from the driver. None may be a secret: Ray shows them to
everybody who sees the dashboard. Credentials are the nodes' own (docs/cluster.md)."""
PATIENCE = 3.0  # seconds that the head of a cluster has to answer

_HOST_AND_PORT = re.compile(r"\[?([^/]+?)\]?:([0-9]+)", re.ASCII)


@contextmanager
def start_ray(
    address: str | None = None, cpus: int | None = None, *, dashboard: bool = False, verbose: bool = False
) -> Iterator[str | None]:
    """Ray is up inside of the `with` block; it goes down at its end only if it was started here.

    A cluster that is started here listens on the loopback interface alone, asks for Ray's token, has a temporary folder
    of its own (`orchestrator.cluster.temp_dir`) and dies with this process, even by `kill -9`. The workers of a cluster
    that is joined get our packages from here, whatever their nodes have installed.

    Args:
        address: of a cluster to join: `host:port` or "auto", on a node of it; by default a new one on this
            machine alone ("local"), never one that happens to be found.
        cpus: how many workers a new cluster runs at a time (default: one per core).
        dashboard: whether a new cluster has one, on the loopback interface.
        verbose: whether Ray's own messages and those of its workers are printed.

    Yields:
        The address of the dashboard (`http://host:port`), where there is one.

    Raises:
        EarshotError: nothing answers at the address, its token is not ours, or Ray does not start.
    """
    import ray

    if ray.is_initialized():
        yield None
        return
    logging.getLogger("ray").setLevel(logging.INFO if verbose else logging.ERROR)
    said: dict[str, Any] = {"logging_level": logging.INFO if verbose else logging.ERROR, "log_to_driver": verbose}
    with ExitStack() as stack:
        if address is None or address == "local":
            if dashboard:
                _see_that_it_has_a_dashboard()
            _guard_token()
            folder = stack.enter_context(ray_folder())
            with _loopback(), _packages_importable():
                url = _start(cpus, dashboard, folder, said)
        else:
            url = _join(address, said)
        stack.callback(ray.shutdown)
        yield f"http://{url}" if url else None


def _start(cpus: int | None, dashboard: bool, folder: Path, said: dict[str, Any]) -> str | None:
    import ray

    try:
        context = ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
            **said,
        )
    except Exception as error:  # a bare one where it takes Ray too long, as on a busy machine
        reaper.clear(folder.parent)
        raise EarshotError(
            f"Ray: expected to start it on this machine, found: {_first_line(error)}; run the same command again"
        ) from error
    return context.dashboard_url if dashboard else None


def _join(address: str, said: dict[str, Any]) -> str | None:
    import ray
    from ray.exceptions import AuthenticationError, RayError

    if address.startswith("ray://"):
        raise EarshotError(
            f"--address {printable(address)}: expected host:port or auto, on a node of the cluster; from elsewhere "
            "submit it: ray job submit --working-dir . -- python -m orchestrator.sweep --address auto ..."
        )
    near = _see_that_it_answers(address)
    try:
        if _HOST_AND_PORT.fullmatch(address):
            _see_that_it_knows_us(address)
        with _loopback() if near else nullcontext():
            return ray.init(address=address, runtime_env=runtime_env(), **said).dashboard_url
    except AuthenticationError as error:
        raise EarshotError(
            f"--address {printable(address)}: expected to know the cluster's token, found: "
            f"{_first_line(error).split('. ')[0]}; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        ) from error
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise EarshotError(
            f"--address {printable(address)}: expected a Ray cluster to join, found: {_first_line(error)}; see "
            "that it runs (`ray status`)"
        ) from error


def runtime_env() -> dict[str, Any]:
    """What the workers of a joined cluster are given: our packages, and a few environment variables.

    Inside of a Ray job with a working directory, Ray has brought the packages there already.
    """
    job: dict[str, Any] = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}").get("runtime_env") or {}
    variables = {name: os.environ[name] for name in CARRIED if name in os.environ}
    for name in job.get("env_vars") or {}:  # Ray refuses what is said twice
        variables.pop(name, None)
    brought = "py_modules" in job or ("working_dir" in job and ROOT.is_relative_to(Path.cwd()))
    if brought:
        return {"env_vars": variables}
    return {"env_vars": variables, "py_modules": [str(ROOT / package) for package in PACKAGES]}


@contextmanager
def _packages_importable() -> Iterator[None]:
    """Worker processes of a cluster that starts in this block find our packages first, wherever they are installed."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), before]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextmanager
def _loopback() -> Iterator[None]:
    """Ray listens on the loopback interface alone, as it does by itself on macOS and Windows.

    On Linux it takes 127.0.0.1 for the address that other machines see, and then listens on every interface.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _guard_token() -> None:
    """Sees that nobody else on this machine reads the token: Ray makes its file readable by all."""
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if named or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            number, aside = tempfile.mkstemp(dir=path.parent)  # only its owner may read it
            with os.fdopen(number, "w") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(aside, path)
            except FileExistsError:
                pass  # another process was faster
            finally:
                Path(aside).unlink()
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise EarshotError(
            f"{path}: expected to keep Ray's token there, found: {_first_line(error)}; set RAY_AUTH_TOKEN_PATH to a "
            "file of yours with a long random text, or RAY_AUTH_MODE=disabled where nobody else is on this machine"
        ) from error


def _see_that_it_has_a_dashboard() -> None:
    try:
        import ray.dashboard.optional_deps  # noqa: F401
    except ImportError as error:
        raise EarshotError(
            f"dashboard: expected the packages that it needs, found none ({_first_line(error)}); install the extra: "
            "pip install 'earshot[cluster]'"
        ) from error


def _see_that_it_answers(address: str) -> bool:
    """Connects to an address of the form host:port: Ray itself tries for most of a minute, without a word.

    Returns:
        Whether it answers on the loopback interface alone, where Ray would not look.
    """
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return False  # "auto" is Ray's to resolve
    try:
        with socket.create_connection((match[1], int(match[2])), timeout=PATIENCE) as connection:
            if not ip_address(connection.getpeername()[0]).is_loopback:
                return False
    except (OSError, OverflowError, UnicodeError) as error:  # OverflowError: the port; UnicodeError: the host
        raise EarshotError(
            f"--address {printable(address)}: expected the GCS port of a Ray head (6379 by default), found no answer "
            f"({_first_line(error)}); start one with `ray start --head`, or mend the address"
        ) from error
    import ray

    try:
        socket.create_connection((ray.util.get_node_ip_address(), int(match[2])), timeout=PATIENCE).close()
    except OSError:
        return True
    return False


def _see_that_it_knows_us(address: str) -> None:
    """Shows a cluster our token, once; `ray.init` does so twenty times, and tells only that it failed."""
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    ensure_token_if_auth_enabled(create_token_if_missing=False)  # else Ray's C++ part would end this process
    with _muted():
        GcsClient(address=address)


@contextmanager
def _muted() -> Iterator[None]:
    """Nothing is printed on standard error, not even by libraries in C++."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def last_line(error: Exception) -> str:
    """What an error of Ray ends with: the reason, below the stack of the worker."""
    lines = _lines(error)
    return printable(lines[-1]) if lines else type(error).__name__


def _first_line(error: Exception) -> str:
    lines = _lines(error)
    return printable(lines[0].rstrip(".")) if lines else type(error).__name__


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]
