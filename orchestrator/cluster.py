"""Ray, started quietly."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from datasets.errors import EarshotError
from datasets.inventory import printable

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Environment variables that must be set before Ray is imported for the first time."""
PATIENCE = 3.0  # seconds that the head of a cluster has to answer

_HOST_AND_PORT = re.compile(r"\[?([^/]+?)\]?:([0-9]+)", re.ASCII)


@contextmanager
def start_ray(address: str | None = None, cpus: int | None = None) -> Iterator[None]:
    """Ray is up inside of the `with` block; it goes down at its end only if it was started here.

    Args:
        address: of a cluster to join: `host:port`, "auto" or `ray://host:port`; by default a new one on this
            machine alone ("local"), never one that happens to be found.
        cpus: how many workers a new cluster runs at a time (default: one per core).

    Raises:
        EarshotError: nothing answers at the address, or Ray does not start.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    local = address is None or address == "local"
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address is not None:
        _see_that_it_answers(address)
    try:
        ray.init(
            address=address or "local",
            num_cpus=cpus if local else None,
            include_dashboard=False if local else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
            _temp_dir=os.environ.get("EARSHOT_RAY_TMP") if local else None,
        )
    except (OSError, RuntimeError, ValueError) as error:  # a ConnectionError is an OSError
        if local:
            raise EarshotError(
                f"Ray: expected to start it on this machine, found: {_first_line(error)}; run the same command again"
            ) from error
        raise EarshotError(
            f"--address {printable(str(address))}: expected a Ray cluster to join, found: {_first_line(error)}; see "
            "that it runs (`ray status`), and set RAY_AUTH_MODE=token if it asks for a token"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _see_that_it_answers(address: str) -> None:
    """Connects to an address of the form host:port: Ray itself tries for most of a minute, without a word."""
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return  # "local", "auto" and ray://... are Ray's to resolve
    try:
        socket.create_connection((match[1], int(match[2])), timeout=PATIENCE).close()
    except (OSError, OverflowError, UnicodeError) as error:  # OverflowError: the port; UnicodeError: the host
        raise EarshotError(
            f"--address {printable(address)}: expected the GCS port of a Ray head (6379 by default), found no answer "
            f"({_first_line(error)}); start one with `ray start --head`, or mend the address"
        ) from error


def last_line(error: Exception) -> str:
    """What an error of Ray ends with: the reason, below the stack of the worker."""
    lines = _lines(error)
    return printable(lines[-1]) if lines else type(error).__name__


def _first_line(error: Exception) -> str:
    lines = _lines(error)
    return printable(lines[0].rstrip(".")) if lines else type(error).__name__


def _lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip()]
