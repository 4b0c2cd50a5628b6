"""Peak memory and time of cutting one long recording with the `folder` corpus, as a worker does it.

    python -m benchmarks.long_recordings --out bench [--hours 1 6]

Writes FLAC files of noise at 48 kHz and cuts each in a process of its own: all clips, with loudness normalisation, and
only the first two clips. Prints the resident memory before and at its peak.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

RATE = 48_000
WAYS = {"all clips": {}, "all clips, loudness": {"loudness": True}, "first two clips": {"max_clips_per_file": 2}}

_WORKER = """
import json, resource, sys, time
from pathlib import Path
from datasets.corpora.corpus import Unit
from datasets.corpora.folder import Folder, FolderOptions
import scipy.signal, torch, torchaudio.functional
folder, name, options = Path(sys.argv[1]), sys.argv[2], FolderOptions(**json.loads(sys.argv[3]))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, start = peak(), time.perf_counter()
unit = Unit("a", (name,), {"label": 0, "class_name": "a", "splits": ["train"]})
clips = sum(1 for _ in Folder().cut(folder, unit, options))
print(clips, round(time.perf_counter() - start, 1), before, peak())
"""


def write_recording(path: Path, hours: float) -> None:
    """Writes noise with a level that changes every minute; existing files stay."""
    if path.exists():
        return
    random = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(round(hours * 60)):
            level = random.uniform(0.001, 0.3)
            file.write((level * random.standard_normal(60 * RATE, np.float32)).clip(-1, 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m benchmarks.long_recordings`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_recordings", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the recordings")
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 6.0])
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    table = Table("hours", "way", "clips", "s", "memory before (MiB)", "peak (MiB)")
    for hours in options.hours:
        path = options.out / f"{hours:g}h.flac"
        write_recording(path, hours)
        for way, settings in WAYS.items():
            command = [sys.executable, "-c", _WORKER, str(options.out), path.name, json.dumps(settings)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            table.add_row(f"{hours:g}", way, *done.stdout.split())
            print(f"{hours:g} h, {way}: {done.stdout.strip()}", flush=True)  # a run takes minutes
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
