"""The private APIs of Ray that this project uses, all of them in this file: check them when Ray is upgraded.

Tested with Ray 2.60. Callers import Ray first, because importing it takes seconds. `trainables.trial`, which may not
import this file, sets the title of its process in the same way as `set_process_title`.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets.utils.text import printable


def local_options(folder: Path) -> dict[str, Any]:
    """Arguments of `ray.init` for a cluster on the loopback interface whose files are below `folder`."""
    return {"_node_ip_address": "127.0.0.1", "_temp_dir": str(folder)}


@contextmanager
def loopback_only() -> Iterator[None]:
    """Within the block Ray listens on the loopback interface only, as it does by default on macOS and Windows.

    On Linux, Ray assumes that other machines reach it at 127.0.0.1 and listens on every interface.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def check_token(address: str) -> None:
    """Connects to a cluster once with our token; `ray.init` would try twenty times and report only that it failed.

    Args:
        address: `host:port` of its head.

    Raises:
        ray.exceptions.AuthenticationError: the cluster does not accept the token, or there is none.
        RuntimeError: the head cannot be reached.
    """
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    ensure_token_if_auth_enabled(create_token_if_missing=False)  # without a token, Ray's C++ code ends this process
    with _muted_standard_error():
        GcsClient(address=address)


@contextmanager
def keep_signals() -> Iterator[None]:
    """`ray.init` in this block does not replace this process's handler of SIGTERM.

    Ray sets one of its own in Python, and in C++ one that prints the stack and aborts.
    """
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)  # over that of C++


@contextmanager
def no_messages() -> Iterator[None]:
    """Within the block `ray.init` starts no thread that prints errors of the cluster, such as the log of a raylet."""
    from ray._private import worker

    before = worker.listen_error_messages
    worker.listen_error_messages = lambda *_: None
    try:
        yield
    finally:
        worker.listen_error_messages = before


@contextmanager
def trials_with_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Within the block, Tune starts the workers of its trials with these environment variables.

    Tune has no option for the runtime environment of trials; it passes on some variables of this process.
    """
    from ray.tune.execution import class_cache

    names, before = class_cache.ENV_VARS_TO_PROPAGATE, {name: os.environ.get(name) for name in variables}
    class_cache.ENV_VARS_TO_PROPAGATE = names | variables.keys()
    os.environ.update(variables)
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = names
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def set_process_title(title: str) -> None:
    """What `ps`, `top` and Ray's dashboard show for this worker process until its task ends."""
    import ray._raylet

    ray._raylet.setproctitle(printable(title))  # type: ignore[attr-defined]


def forget_wandb() -> None:
    """Imports Tune's callback for W&B as if W&B were not installed.

    Tune imports it to count its uses. W&B makes two temporary folders when it is imported, which stay behind if this
    process is killed.
    """
    before = sys.modules.get("wandb")
    if before is not None:
        return
    sys.modules["wandb"] = None  # type: ignore[assignment]
    try:
        import ray.air.integrations.wandb  # noqa: F401
    finally:
        del sys.modules["wandb"]


class LocalHealth:
    """Whether the processes of the cluster that this process has started are alive."""

    _ESSENTIAL = ("raylet", "gcs_server")  # a raylet ends with its agents

    def __init__(self) -> None:
        from ray._private import worker

        self._node = worker._global_node

    def loss(self, at_once: bool = False) -> str | None:
        """The process that has died; None if all are alive."""
        processes: list[tuple[str, Any]] = self._node.dead_processes() if self._node else []
        for kind, process in processes:
            if kind in self._ESSENTIAL:
                status = process.returncode
                how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
                return f"Ray: its process {kind} {how}"
        return None


class JoinedHealth:
    """Whether the head of a joined cluster answers, and has heartbeats of the node of this process."""

    TIMEOUT = 5.0  # seconds for an answer
    TOLERANCE = 25.0  # seconds without an answer: a head may be started again; Ray itself ends its drivers after 60

    def __init__(self) -> None:
        import ray
        from ray._raylet import GcsClient, NodeID  # type: ignore[attr-defined]

        context = ray.get_runtime_context()
        self._address = context.gcs_address
        self._node = NodeID.from_hex(context.get_node_id())
        self._head = GcsClient(address=self._address)
        self._answered = time.monotonic()

    def loss(self, at_once: bool = False) -> str | None:
        """What has died; None if the head answers and the node is alive."""
        from ray.exceptions import RpcError

        try:
            alive = self._head.check_alive([self._node], timeout=self.TIMEOUT)[0]
        except (RpcError, OSError, RuntimeError) as error:
            silent = time.monotonic() - self._answered
            if not at_once and silent < self.TOLERANCE:
                return None
            return f"Ray: its head at {self._address} has not answered for {silent:.0f} s ({type(error).__name__})"
        self._answered = time.monotonic()
        return None if alive else "Ray: the node of this process has died"


@contextmanager
def _muted_standard_error() -> Iterator[None]:
    """Discards standard error, including that of C++ libraries."""
    saved = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
