"""Ray, started quietly."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Environment variables that must be set before Ray is imported for the first time."""


@contextmanager
def start_ray(address: str | None = None, cpus: int | None = None) -> Iterator[None]:
    """Ray is up inside of the `with` block; it goes down at its end only if it was started here.

    Args:
        address: of a cluster to join; by default a new one on this machine alone ("local"), never one that
            happens to be found.
        cpus: how many workers a new cluster runs at a time (default: one per core).
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    local = address is None or address == "local"
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(
        address=address or "local",
        num_cpus=cpus if local else None,
        include_dashboard=False if local else None,
        logging_level=logging.ERROR,
        log_to_driver=False,
        _temp_dir=os.environ.get("EARSHOT_RAY_TMP") if local else None,
    )
    try:
        yield
    finally:
        ray.shutdown()
