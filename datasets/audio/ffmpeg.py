"""Reads formats that libsndfile does not read, with the program ffmpeg: M4A and AAC, WebM, video files with sound.

The program is that of the package `imageio-ffmpeg` (the extra [ffmpeg]) or the one on the path. It decodes the first
stream of audio of one local file to 32-bit floating point in the AU format, without a shell, and nothing else: other
protocols are closed to it, and so are formats that refer to other files (playlists). Bounds: `CPU_SECONDS` and
`MEMORY_BYTES` of the process, `STALL_SECONDS` without output.

Reasons to reject a file are a few fixed texts, as they are stored: ffmpeg's own messages differ between versions and
name paths. What is wrong with the program or the machine is an `FfmpegFailedError`, and no reason to reject a file.
"""

import errno
import os
import resource
import select
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line, printable

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
    "tta": (".tta",),
    "wv": (".wv",),
}
SUFFIXES = frozenset(suffix for suffixes in _DEMUXERS.values() for suffix in suffixes)
"""Lower case, with the dot; none of them is one of libsndfile's. MPEG program and transport streams are absent: ffmpeg
reads one that was cut off without an error."""
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


NO_STREAM = "no audio stream"
DAMAGED = "truncated or damaged"
UNKNOWN = "ffmpeg cannot decode it"
_REASONS = {
    UNKNOWN: ("not on whitelist",),  # before the error that follows from it
    NO_STREAM: ("matches no streams", "does not contain any stream"),
    DAMAGED: ("Invalid data", "orrupt", "prematurely", "partial file", "moov atom not found", "Input/output error"),
}
"""Reasons to reject a file, and parts of the messages that mean them; other messages mean `UNKNOWN`."""
_OUT_OF_MEMORY = "Cannot allocate memory"
_UNREADABLE = ("Input/output error", "Stale file handle")
"""Also reported for files that end early: whether the file can be read decides."""
_ENVIRONMENT_FAILS = (
    "Resource temporarily unavailable",
    "Too many open files",
    "Unrecognized option",
    "Option not found",
    "Unknown encoder",
)
"""Parts of messages about the machine, or about a program without what is needed of it."""
_NOT_STARTED = (126, 127)
"""Exit status of a program that cannot be started, such as one whose shared libraries are absent."""
_INTERRUPTED = 255
"""Exit status of ffmpeg after a signal that it handles."""


class FfmpegError(Exception):
    """A file cannot be read; the message is one of a few fixed reasons, without the file name."""


class FfmpegFailedError(OSError):
    """The program or the machine fails, not the file: it can be read after a repair."""

    def __str__(self) -> str:
        return f"{printable(str(self.filename))}: {self.strerror}" if self.filename else str(self.strerror)


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


@cache
def check_program(program: str) -> None:
    """Checks that a program can be started, once if it can.

    Raises:
        EarshotError: it cannot.
    """
    try:
        done = subprocess.run(
            [program, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=_environment(),
            timeout=STALL_SECONDS,
        )
        problem = _first_line(done.stderr) or f"exit status {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = printable(one_line(error))
    if problem:
        raise EarshotError(
            f"{printable(program)}: expected ffmpeg to run with -version, found: {problem}; install it again, or "
            "without --ffmpeg leave out what it reads"
        )


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}


def _first_line(messages: bytes) -> str:
    """The first message of the program; "" if there is none."""
    return next(
        (printable(line.strip()) for line in messages.decode(errors="replace").splitlines() if line.strip()), ""
    )


def ffmpeg_blocks(path: Path, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Decodes the first stream of audio of a file in little memory.

    Args:
        path: of the file.
        size: about how many values are decoded at a time.

    Yields:
        Samples float32 [frames, channels], at least one frame, and their rate in Hz; nothing for an empty stream.

    Raises:
        FfmpegError: the program runs out of a bound of time or memory, or reports any error. A file that ends early is
            an error only where its format shows that: not always in AAC, AC-3, AMR and AVI.
        FfmpegFailedError: the program is absent, fails, is ended by a signal or gives no output; the disk fails.
    """
    try:
        yield from _blocks(path, size)
    except FfmpegFailedError as error:
        error.filename = str(path)
        raise


def _blocks(path: Path, size: int) -> Iterator[tuple[np.ndarray, int]]:
    program = find_ffmpeg()
    if program is None:
        raise FfmpegFailedError(errno.ENOENT, MISSING)
    before = _cpu_seconds()
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            _command(program, path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            bufsize=0,
            cwd="/",
            env=_environment(),
        )
        try:
            _limit(process.pid)
            assert process.stdout is not None
            pipe = _Pipe(process.stdout)
            yield from _decode(pipe, size, lambda: _problem(process, messages, path, before))
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
    """Sets the bounds of a process from outside, as code between fork and exec is not safe beside threads.

    Raises:
        FfmpegFailedError: the system does not permit it; nothing is decoded without them.
    """
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
        except ProcessLookupError:  # it has ended
            return
        except OSError as error:
            raise FfmpegFailedError(errno.EPERM, f"the bounds of ffmpeg cannot be set ({error.strerror})") from None


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
                raise FfmpegFailedError(errno.EIO, f"ffmpeg gave no samples for {STALL_SECONDS} s")
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


def _cpu_seconds() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _problem(process: "subprocess.Popen[bytes]", messages: IO[bytes], path: Path, before: float) -> str:
    """Why a process that has closed its output cannot decode the file: a fixed reason; "" if it did.

    Args:
        process: of the program.
        messages: what it wrote.
        path: of the file.
        before: `_cpu_seconds` before it was started.

    Raises:
        FfmpegFailedError: not due to the file.
    """
    try:
        status = process.wait(STALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise FfmpegFailedError(errno.EIO, f"ffmpeg did not end within {STALL_SECONDS} s") from None
    messages.seek(0)
    content = messages.read(_MESSAGE_BYTES)
    text = content.decode(errors="replace").replace(str(path.absolute()), "").strip()  # a name means nothing
    if not status and not text:
        return ""
    # With equal soft and hard limits, Linux ends a process with SIGKILL at the bound of its processor time, which it
    # measures less exactly than the time that it reports.
    if status in (-signal.SIGXCPU, -signal.SIGKILL) and _cpu_seconds() - before > 0.9 * CPU_SECONDS - 0.5:
        return f"ffmpeg needs more than {CPU_SECONDS} s of processor time"
    if status == -signal.SIGXFSZ:  # more messages than `_MESSAGE_BYTES`
        return DAMAGED
    if status < 0 or status in _NOT_STARTED or (status == _INTERRUPTED and not text):
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        raise FfmpegFailedError(errno.EIO, f"ffmpeg {how}" + (text and f": {_first_line(content)}"))
    if any(part in text for part in _ENVIRONMENT_FAILS):
        raise FfmpegFailedError(errno.EIO, f"ffmpeg failed: {_first_line(content)}")
    if any(part in text for part in _UNREADABLE):
        _check_readable(path)
    if _OUT_OF_MEMORY in text:
        return f"ffmpeg needs more than {MEMORY_BYTES >> 20} MiB of memory"
    return next((reason for reason, parts in _REASONS.items() if any(part in text for part in parts)), UNKNOWN)


def _check_readable(path: Path) -> None:
    """Reads a whole file.

    Raises:
        FfmpegFailedError: a part of it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError as error:
        raise FfmpegFailedError(error.errno or errno.EIO, error.strerror or str(error)) from None
