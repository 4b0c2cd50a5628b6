"""Compares the batched Kaldi filter bank with torchaudio's, which takes one clip at a time.

    python -m benchmarks.filter_bank [--device cuda]

measures both alternately in one process on batches of noise, and prints milliseconds per batch (median of the repeats)
and the largest difference.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torchaudio
from torch import Tensor

from benchmarks.rows import Row, rows_table
from benchmarks.timing import wall_seconds
from datasets.utils.cli import as_program
from trainables.learners.features import BATCH
from trainables.networks.device import pick_device
from trainables.networks.kaldi_filter_bank import RATE, KaldiFilterBank

BINS = 128
SIZES = ((0.25, BATCH), (1.0, BATCH), (2.0, 1), (2.0, BATCH), (2.0, 256), (4.0, BATCH))  # seconds, clips


def loop(waves: Tensor) -> Tensor:
    """Clip by clip: `[clips, samples]` at 16 kHz to `[clips, frames, 128]`."""
    settings = {"sample_frequency": float(RATE), "window_type": "hanning", "num_mel_bins": BINS, "dither": 0.0}
    return torch.stack([torchaudio.compliance.kaldi.fbank(wave[None], **settings) for wave in waves])


def measure(device: torch.device, repeats: int, sizes: Sequence[tuple[float, int]] = SIZES) -> Iterator[Row]:
    """Per size: seconds, clips, milliseconds of the loop and of the batched pass, ratio, largest difference."""
    bank = KaldiFilterBank(BINS, device)
    for seconds, clips in sizes:
        waves = 0.1 * torch.randn(clips, round(seconds * RATE), generator=torch.Generator().manual_seed(0)).to(device)
        difference = float((loop(waves) - bank(waves)).abs().max())
        times = [
            (wall_seconds(lambda: loop(waves), device), wall_seconds(lambda: bank(waves), device))  # noqa: B023
            for _ in range(repeats)
        ]
        slow, fast = (1000 * float(value) for value in np.median(times, axis=0))
        yield {
            "clip, s": seconds,
            "clips": clips,
            "loop, ms": slow,
            "batched, ms": fast,
            "ratio": slow / fast,
            "largest difference": difference,
        }


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.filter_bank`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filter_bank", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    parser.add_argument("--repeats", type=int, default=15, help="(default: 15)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(rows_table(list(measure(pick_device(options.device), options.repeats))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
