"""Which files of a source folder are recordings: what libsndfile reads and, on request, what ffmpeg reads."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import soundfile

from datasets.audio.decoder_messages import silent_decoder
from datasets.audio.ffmpeg import (
    MISSING,
    SUFFIXES,
    FfmpegError,
    check_program,
    ffmpeg_blocks,
    find_ffmpeg,
    needs_ffmpeg,
)
from datasets.audio.recordings import readable_suffixes
from datasets.corpora.inventory import Inventory, scan
from datasets.utils.errors import EarshotError
from datasets.utils.posix_path import suffix
from datasets.utils.text import plural, printable

EXAMINED = 200
"""Recordings whose sample rate is looked at: reading every header of a large corpus takes minutes."""
EXAMINED_BY_FFMPEG = 5
"""As many of those that ffmpeg reads, each of which starts the program."""


def list_recordings(source: Path, ffmpeg: bool) -> Inventory:
    """Lists the recordings in a folder.

    Args:
        source: the folder.
        ffmpeg: whether formats that ffmpeg reads are included.

    Raises:
        EarshotError: `source` cannot be read, or a file needs ffmpeg, which is not installed or does not run.
    """
    inventory = scan(source, readable_suffixes() | (SUFFIXES if ffmpeg else frozenset()))
    for file in inventory.files if ffmpeg else ():
        check_ffmpeg(source, file.path)
    return inventory


def check_ffmpeg(source: Path, path: str) -> None:
    """Raises an `EarshotError` if a recording, relative to the source folder, needs ffmpeg and none runs."""
    if not needs_ffmpeg(path):
        return
    program = find_ffmpeg()
    if program is None:
        raise EarshotError(f"{printable(str(source / path))}: {MISSING}")
    check_program(program)


def same_names(paths: Iterable[str], together: Callable[[], Mapping[str, str]]) -> Iterator[str]:
    """A doubt about recordings of one folder whose names differ in the suffix only, at least one read with ffmpeg.

    A video and its extracted sound, or a recording in two formats, could be in train and test.

    Args:
        paths: of the recordings that are used.
        together: gives by path what the recordings that are kept in one split have in common: a group, or a split that
            is given.
    """
    paths = sorted(paths)
    stems = {_without_suffix(path) for path in paths if needs_ffmpeg(path)}
    by_stem: dict[str, list[str]] = {}
    for path in paths if stems else ():
        if (stem := _without_suffix(path)) in stems:
            by_stem.setdefault(stem, []).append(path)
    several = [same for same in by_stem.values() if len(same) > 1]
    shared = together() if several else {}
    found = [same for same in several if len({shared.get(path, path) for path in same}) > 1]
    if found:
        yield (
            f"{plural(len(found), 'name')} of recordings in several formats, which may be in different splits, such as "
            f"{' and '.join(printable(path) for path in found[0][:2])}: keep one of each"
        )


def _without_suffix(path: str) -> str:
    return path.removesuffix(suffix(path))


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

    At most `EXAMINED` headers are read, of recordings at equal distances in the order of their paths; of those that
    ffmpeg reads, `EXAMINED_BY_FFMPEG`.

    Args:
        source: folder of the recordings.
        inventory: its files.
        sample_rate: of the clips, in Hz.
    """
    files = [file.path for file in inventory.files]
    chosen = _spread([path for path in files if not needs_ffmpeg(path)], EXAMINED)
    chosen += _spread([path for path in files if needs_ffmpeg(path)], EXAMINED_BY_FFMPEG)
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


def _spread(paths: Sequence[str], limit: int) -> list[str]:
    """At most `limit` paths at equal distances."""
    count = min(len(paths), limit)
    return [paths[number * len(paths) // count] for number in range(count)]


def _rate(path: Path) -> int:
    """The sample rate of a recording in Hz; 0 if its header cannot be read, which is reported when it is cut."""
    try:
        if needs_ffmpeg(path):
            return next((rate for _, rate in ffmpeg_blocks(path, 1)), 0)
        with silent_decoder(path.suffix.lower() == ".mp3"):
            return int(soundfile.info(str(path)).samplerate)
    except (soundfile.SoundFileError, FfmpegError, OSError, RuntimeError, TypeError):
        return 0
