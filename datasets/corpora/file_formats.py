"""Which files of a source folder are recordings: what libsndfile reads and, on request, what ffmpeg reads."""

from collections.abc import Iterator
from pathlib import Path

import soundfile

from datasets.audio.decoder_messages import silent_decoder
from datasets.audio.ffmpeg import MISSING, SUFFIXES, find_ffmpeg, needs_ffmpeg
from datasets.audio.recordings import readable_suffixes
from datasets.corpora.inventory import Inventory, scan
from datasets.utils.errors import EarshotError
from datasets.utils.text import plural, printable

EXAMINED = 200
"""Recordings whose sample rate is looked at: reading every header of a large corpus takes minutes."""


def list_recordings(source: Path, ffmpeg: bool) -> Inventory:
    """Lists the recordings in a folder.

    Args:
        source: the folder.
        ffmpeg: whether formats that ffmpeg reads are included.

    Raises:
        EarshotError: `source` cannot be read, or a file needs ffmpeg, which is not installed.
    """
    inventory = scan(source, readable_suffixes() | (SUFFIXES if ffmpeg else frozenset()))
    for file in inventory.files if ffmpeg else ():
        check_ffmpeg(source, file.path)
    return inventory


def check_ffmpeg(source: Path, path: str) -> None:
    """Raises an `EarshotError` if a recording, relative to the source folder, needs ffmpeg and there is none."""
    if needs_ffmpeg(path) and find_ffmpeg() is None:
        raise EarshotError(f"{printable(str(source / path))}: {MISSING}")


def ffmpeg_hint(inventory: Inventory) -> str:
    """'3 files such as a/1.m4a can be read with --ffmpeg'; "" if there are none."""
    found = [path for path in inventory.others if needs_ffmpeg(path)]
    example = f" such as {printable(found[0])}" if found else ""
    return f"{plural(len(found), 'file')}{example} can be read with --ffmpeg" if found else ""


def format_warnings(source: Path, inventory: Inventory, sample_rate: int) -> Iterator[str]:
    """Files that --ffmpeg would read, and recordings below the sample rate of the clips, in Hz."""
    if hint := ffmpeg_hint(inventory):
        yield hint
    if low := low_rates(source, inventory, sample_rate):
        yield low


def low_rates(source: Path, inventory: Inventory, sample_rate: int) -> str:
    """A warning about recordings below the sample rate of the clips; "" if there are none.

    At most `EXAMINED` headers are read, of recordings at equal distances in the order of their paths.

    Args:
        source: folder of the recordings.
        inventory: its files.
        sample_rate: of the clips, in Hz.
    """
    files = [file.path for file in inventory.files if not needs_ffmpeg(file.path)]
    chosen = [files[number * len(files) // min(len(files), EXAMINED)] for number in range(min(len(files), EXAMINED))]
    rates = {path: _rate(source / path) for path in chosen}
    low = {path: rate for path, rate in rates.items() if 0 < rate < sample_rate}
    if not low:
        return ""
    path = min(low, key=lambda path: (low[path], path))
    of = "" if len(chosen) == len(files) else f" of {len(chosen)} that were looked at"
    return (
        f"{plural(len(low), 'recording')}{of} below --sample-rate {sample_rate}, such as {printable(path)} at "
        f"{low[path]} Hz: they are resampled, and have no sound above {low[path] / 2:g} Hz"
    )


def _rate(path: Path) -> int:
    """The sample rate of a recording in Hz; 0 if its header cannot be read, which is reported when it is cut."""
    try:
        with silent_decoder(path.suffix.lower() == ".mp3"):
            return int(soundfile.info(str(path)).samplerate)
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError):
        return 0
