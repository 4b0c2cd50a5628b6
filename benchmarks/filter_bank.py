"""Compares the batched Kaldi filter bank with torchaudio's, which takes one clip at a time.

    python -m benchmarks.filter_bank [--device cuda]

measures both alternately in one process on batches of noise, and prints milliseconds per batch (median of the repeats)
and the largest difference.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torchaudio
from torch import Tensor

from datasets.utils.errors import EarshotError, error_line
from orchestrator.reporting.markdown import table
from trainables.learners.features import BATCH
from trainables.networks.device import pick_device
from trainables.networks.kaldi_filter_bank import RATE, KaldiFilterBank

BINS = 128
SIZES = ((0.25, BATCH), (1.0, BATCH), (2.0, 1), (2.0, BATCH), (2.0, 256), (4.0, BATCH))  # seconds, clips


def loop(waves: Tensor) -> Tensor:
    """Clip by clip: `[clips, samples]` at 16 kHz to `[clips, frames, 128]`."""
    settings = {"sample_frequency": float(RATE), "window_type": "hanning", "num_mel_bins": BINS, "dither": 0.0}
    return torch.stack([torchaudio.compliance.kaldi.fbank(wave[None], **settings) for wave in waves])


def seconds_of(compute: Callable[[], Tensor], device: torch.device) -> float:
    """Wall time of a call, with the work that it leaves to a GPU."""
    _wait_for(device)
    started = time.perf_counter()
    compute()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(device: torch.device, repeats: int) -> list[list[object]]:
    """A row per size: seconds, clips, milliseconds of the loop and of the batched pass, ratio, largest difference."""
    bank = KaldiFilterBank(BINS, device)
    rows: list[list[object]] = []
    for seconds, clips in SIZES:
        waves = 0.1 * torch.randn(clips, round(seconds * RATE), generator=torch.Generator().manual_seed(0)).to(device)
        difference = float((loop(waves) - bank(waves)).abs().max())
        times = [
            (seconds_of(lambda: loop(waves), device), seconds_of(lambda: bank(waves), device))  # noqa: B023
            for _ in range(repeats)
        ]
        slow, fast = 1000 * np.median(times, axis=0)
        rows.append([f"{seconds:g}", clips, f"{slow:.1f}", f"{fast:.1f}", f"{slow / fast:.1f}", f"{difference:g}"])
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.filter_bank`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filter_bank", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    parser.add_argument("--repeats", type=int, default=15, help="(default: 15)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        rows = measure(pick_device(options.device), options.repeats)
    except EarshotError as error:
        print(error_line(error), file=sys.stderr)
        return 2
    print(table([">clip, s", ">clips", ">loop, ms", ">batched, ms", ">ratio", ">largest difference"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
