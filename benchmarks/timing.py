"""Wall time of a computation on a CPU or a GPU."""

import time
from collections.abc import Callable

import torch


def wall_seconds(compute: Callable[[], object], device: torch.device) -> float:
    """Seconds of a call, with the work that it leaves to a GPU."""
    _wait_for(device)
    started = time.perf_counter()
    compute()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
