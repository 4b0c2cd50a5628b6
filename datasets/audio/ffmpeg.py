"""Reads formats that libsndfile does not read, with the program ffmpeg: M4A and AAC, WebM, video files with sound.

The program is that of the package `imageio-ffmpeg` (the extra [ffmpeg]) or the one on the path. It decodes the first
stream of audio of one local file to 32-bit floating point in the AU format, without a shell, and nothing else: other
protocols are closed to it, and so are formats that refer to other files (playlists). Bounds: `CPU_SECONDS` and
`MEMORY_BYTES` of the process, `STALL_SECONDS` without output.
"""

import os
import resource
import select
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

from datasets.utils.text import printable

_DEMUXERS = {
    "aac": (".aac",),
    "ac3": (".ac3",),
    "amr": (".amr", ".awb"),
    "ape": (".ape",),
    "asf": (".asf", ".wma", ".wmv"),
    "avi": (".avi",),
    "flv": (".flv",),
    "matroska": (".mka", ".mkv", ".weba", ".webm"),
    "mov": (".3g2", ".3gp", ".m4a", ".m4b", ".m4v", ".mov", ".mp4"),
    "mpeg": (".mpeg", ".mpg"),
    "mpegts": (".m2ts", ".mts"),
    "tta": (".tta",),
    "wv": (".wv",),
}
SUFFIXES = frozenset(suffix for suffixes in _DEMUXERS.values() for suffix in suffixes)
"""Lower case, with the dot; none of them is one of libsndfile's."""
_ENDINGS = tuple(SUFFIXES)
_FORMATS = (*_DEMUXERS, "flac", "mp3", "ogg", "wav")  # the last ones for files with a wrong suffix

CPU_SECONDS = 900
STALL_SECONDS = 120
MEMORY_BYTES = 4 << 30
"""Address space of the process."""

MISSING = "needs ffmpeg, which was not found: pip install 'earshot[ffmpeg]', or install the program ffmpeg"

_MESSAGE_BYTES = 1 << 16
_HEADER = struct.Struct(">4sIIIII")  # AU: magic, position of the samples, size, encoding, rate, channels
_FLOAT = 6  # encoding
_MAX_HEADER, _MAX_CHANNELS = 1 << 16, 1024
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")


class FfmpegError(Exception):
    """A file cannot be read; the message is a short reason without the file name."""


def needs_ffmpeg(path: str | Path) -> bool:
    """Whether the suffix of a file is that of a format that is read with ffmpeg."""
    return str(path).lower().endswith(_ENDINGS)


@cache
def find_ffmpeg() -> str | None:
    """The path of the program; None if it is not installed."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg")
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (RuntimeError, OSError):  # a package without the program
        return shutil.which("ffmpeg")


def ffmpeg_blocks(path: Path, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes the first stream of audio of a file in little memory.

    Args:
        path: of the file.
        size: about how many values are decoded at a time.

    Yields:
        Samples float32 [frames, channels], at least one frame, and their rate in Hz; nothing for an empty stream.

    Raises:
        FfmpegError: the program is absent, runs out of a bound, or reports any error: a shortened recording is none.
    """
    program = find_ffmpeg()
    if program is None:
        raise FfmpegError(MISSING)
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            _command(program, path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            bufsize=0,
            cwd="/",
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        try:
            _limit(process.pid)
            assert process.stdout is not None
            pipe = _Pipe(process.stdout)
            yield from _decode(pipe, size, lambda: _problem(process, messages))
        finally:  # also if the caller needs no more samples
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _command(program: str, path: Path) -> list[str]:
    quiet = ["-nostdin", "-hide_banner", "-loglevel", "error", "-xerror"]
    source = ["-protocol_whitelist", "file", "-format_whitelist", ",".join(_FORMATS), "-threads", "1"]
    chosen = ["-map", "0:a:0", "-map_metadata", "-1", "-vn", "-sn", "-dn", "-threads", "1"]
    file = f"file:{path.absolute()}"  # with the protocol, no name is taken for an option or an address
    return [program, *quiet, *source, "-i", file, *chosen, "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]


def _limit(pid: int) -> None:
    """Sets the bounds of a process from outside, as code between fork and exec is not safe beside threads."""
    for kind, value in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, _MESSAGE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            hard = resource.prlimit(pid, kind)[1]
            limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, kind, (limit, limit))
        except (ProcessLookupError, PermissionError):  # it has ended, or runs under tighter rules
            return


class _Pipe:
    """Reads the output of a process; one that writes nothing for too long is an error."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer at the end."""
        parts, missing = [], size
        while missing:
            if not self._poll.poll(1000 * STALL_SECONDS):
                raise FfmpegError(f"ffmpeg gave no samples for {STALL_SECONDS} s")
            part = self._file.read(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def _decode(pipe: _Pipe, size: int, problem: Callable[[], str]) -> Iterator[tuple[np.ndarray, int]]:
    head = pipe.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise FfmpegError(problem() or "ffmpeg gave no samples")
    magic, start, _, encoding, rate, channels = _HEADER.unpack(head)
    sound = magic == b".snd" and encoding == _FLOAT and 0 < channels <= _MAX_CHANNELS and rate > 0
    if not sound or not _HEADER.size <= start <= _MAX_HEADER:
        raise FfmpegError("ffmpeg gave samples in another format than asked for")
    pipe.read(start - _HEADER.size)
    frames = max(1, size // channels)
    while True:
        content = pipe.read(4 * channels * frames)
        if len(content) % (4 * channels):
            raise FfmpegError(problem() or "ffmpeg gave a part of a sample")
        if content:
            yield np.frombuffer(content, ">f4").astype(np.float32).reshape(-1, channels), rate
        if len(content) < 4 * channels * frames:
            break
    if found := problem():
        raise FfmpegError(found)


def _problem(process: "subprocess.Popen[bytes]", messages: IO[bytes]) -> str:
    """What went wrong in a process that has closed its output; "" if nothing did."""
    try:
        status = process.wait(STALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"ffmpeg did not end within {STALL_SECONDS} s"
    messages.seek(0)
    lines = [line for line in messages.read(_MESSAGE_BYTES).decode(errors="replace").splitlines() if line.strip()]
    if not status and not lines:
        return ""
    reason = printable(lines[0].rpartition("] ")[2].strip()) if lines else f"exit status {status}"
    return f"ffmpeg: {reason}"
