"""The private APIs of Ray that this project uses, all of them in this file: check them when Ray is upgraded.

Tested with Ray 2.60. Callers import Ray first, because importing it takes seconds.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
